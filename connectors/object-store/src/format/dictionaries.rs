//! Which columns of Parquet are worth a dictionary, as the files so far have shown. A writer gives a dictionary up once it is too
//! large, and writes what follows plainly; until then it has looked up each value, for nothing.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use parquet::{
    basic::{Encoding, PageType},
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        properties::WriterPropertiesBuilder,
    },
    schema::types::ColumnPath,
};

/// After so many files each column is tried again.
const FILES_MAX: u32 = 16;

/// Shared by the files of a partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Dictionaries(Arc<Mutex<GivenUp>>);

#[derive(Debug, Default)]
struct GivenUp {
    columns: HashSet<ColumnPath>,
    files: u32,
}

impl Dictionaries {
    /// No dictionaries for columns that gave theirs up.
    pub(super) fn apply(&self, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        let given_up = self.0.lock().expect("nobody panics with it");
        let columns = given_up.columns.iter().cloned();
        columns.fold(properties, |properties, column| {
            properties.set_column_dictionary_enabled(column, false)
        })
    }

    /// What a file shows that is complete.
    pub(super) fn learn(&self, row_groups: &[RowGroupMetaData]) {
        let mut given_up = self.0.lock().expect("nobody panics with it");
        given_up.files += 1;
        if given_up.files > FILES_MAX {
            *given_up = GivenUp::default();
        }
        let columns = row_groups.iter().flat_map(|row_group| row_group.columns());
        let columns = columns.filter(|column| gave_up(column));
        given_up
            .columns
            .extend(columns.map(|column| column.column_path().clone()));
    }
}

/// Whether a column has a dictionary and pages that do not use it.
fn gave_up(column: &ColumnChunkMetaData) -> bool {
    let is_plain_data = |page: PageType, encoding| {
        matches!(page, PageType::DATA_PAGE | PageType::DATA_PAGE_V2) && encoding == Encoding::PLAIN
    };
    let pages = column.page_encoding_stats().into_iter().flatten();
    let mut pages = pages.map(|pages| is_plain_data(pages.page_type, pages.encoding));
    column.dictionary_page_offset().is_some() && pages.any(|is_plain| is_plain)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, RecordBatch};
    use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

    use super::*;

    /// Two columns, one with a few values, one with more than a dictionary holds; which have a dictionary.
    fn with_dictionary(dictionaries: &Dictionaries) -> Vec<String> {
        let rows = 200_000;
        let few = Int64Array::from_iter_values((0..rows).map(|row| row % 7));
        let many = Int64Array::from_iter_values(0..rows);
        let columns: [(&str, arrow_array::ArrayRef); 2] = [("few", Arc::new(few)), ("many", Arc::new(many))];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let properties = dictionaries.apply(WriterProperties::builder()).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("plain");
        writer.write(&batch).expect("written");
        writer.flush().expect("flushed");
        dictionaries.learn(writer.flushed_row_groups());
        let columns = writer.flushed_row_groups()[0].columns().iter();
        let columns = columns.filter(|column| column.dictionary_page_offset().is_some());
        columns.map(|column| column.column_path().string()).collect()
    }

    #[test]
    fn a_dictionary_that_was_too_large_is_not_begun_again_for_some_files() {
        let dictionaries = Dictionaries::default();
        for round in 0..2 {
            assert_eq!(with_dictionary(&dictionaries), ["few", "many"], "round {round}");
            for _ in 1..=FILES_MAX {
                assert_eq!(with_dictionary(&dictionaries), ["few"], "round {round}");
            }
        }
    }
}
