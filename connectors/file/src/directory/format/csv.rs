//! Rows of comma-separated values (RFC 4180): quoted fields may hold separators, ends of lines and doubled quotes.

mod types;

use std::sync::Arc;

use forebay_connect_api::{Schema, Struct, Value};

use crate::directory::pieces::{Boundary, Step};
use types::Column;

/// How rows are written.
#[derive(Debug, Clone)]
pub(in crate::directory) struct Options {
    pub(in crate::directory) separator: u8,
    pub(in crate::directory) quote: u8,
    pub(in crate::directory) has_header: bool,
    pub(in crate::directory) null_text: String,
    pub(in crate::directory) infer: bool,
    pub(in crate::directory) declared: Option<Arc<Schema>>,
}

/// Rows from which types are inferred.
pub(in crate::directory) const SAMPLE_ROWS: usize = 100;
/// Columns that a row may have.
const COLUMNS_MAX: usize = 10_000;

/// The ends of rows.
#[derive(Debug)]
pub(in crate::directory) struct Rows {
    separator: u8,
    quote: u8,
    scan: Scan,
    /// Something of a row was seen.
    begun: bool,
}

/// Where in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    FieldStart,
    Unquoted,
    Quoted,
    /// Behind a quote within a quoted field: the field's end, or the first of two.
    QuoteInQuoted,
    /// Behind `\r`.
    AfterReturn,
}

impl Rows {
    pub(in crate::directory) fn new(options: &Options) -> Self {
        Self {
            separator: options.separator,
            quote: options.quote,
            scan: Scan::FieldStart,
            begun: false,
        }
    }

    fn end(&mut self, consumed: usize, trim: usize) -> Step {
        (self.scan, self.begun) = (Scan::FieldStart, false);
        Step::End { consumed, trim }
    }
}

impl Boundary for Rows {
    fn scan(&mut self, bytes: &[u8]) -> Step {
        for (index, byte) in bytes.iter().enumerate() {
            let byte = *byte;
            if self.scan == Scan::AfterReturn {
                return if byte == b'\n' {
                    self.end(index + 1, 2)
                } else {
                    self.end(index, 1)
                };
            }
            self.begun = true;
            self.scan = match self.scan {
                Scan::Quoted if byte == self.quote => Scan::QuoteInQuoted,
                Scan::Quoted => Scan::Quoted,
                Scan::FieldStart | Scan::QuoteInQuoted if byte == self.quote => Scan::Quoted,
                _ if byte == b'\n' => return self.end(index + 1, 1),
                _ if byte == b'\r' => Scan::AfterReturn,
                _ if byte == self.separator => Scan::FieldStart,
                _ => Scan::Unquoted,
            };
        }
        Step::More
    }

    fn finish(&mut self) -> Option<usize> {
        let trim = usize::from(self.scan == Scan::AfterReturn);
        let begun = self.begun;
        (self.scan, self.begun) = (Scan::FieldStart, false);
        begun.then_some(trim)
    }
}

/// A field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::directory) struct Field {
    pub(in crate::directory) text: String,
    pub(in crate::directory) quoted: bool,
}

impl Options {
    /// Cuts a row into fields.
    ///
    /// # Errors
    /// If there are too many.
    pub(in crate::directory) fn fields(&self, row: &str) -> Result<Vec<Field>, String> {
        let (separator, quote) = (char::from(self.separator), char::from(self.quote));
        let mut fields = Vec::new();
        let mut letters = row.chars().peekable();
        loop {
            if fields.len() == COLUMNS_MAX {
                return Err(format!("has more than {COLUMNS_MAX} fields"));
            }
            let quoted = letters.next_if_eq(&quote).is_some();
            let mut text = String::new();
            let mut inside = quoted;
            while let Some(letter) = letters.next_if(|letter| inside || *letter != separator) {
                match letter {
                    // Doubled, it is one of the text; single, it ends the quotes, and what follows belongs to the field, too.
                    letter if inside && letter == quote => match letters.next_if_eq(&quote) {
                        Some(quote) => text.push(quote),
                        None => inside = false,
                    },
                    letter => text.push(letter),
                }
            }
            fields.push(Field { text, quoted });
            if letters.next().is_none() {
                return Ok(fields);
            }
        }
    }

    fn is_null(&self, field: &Field) -> bool {
        !field.quoted && field.text == self.null_text
    }
}

/// The columns of a file.
#[derive(Debug, Clone)]
pub(in crate::directory) struct Table {
    schema: Arc<Schema>,
    /// For each column of the file the field of the schema.
    places: Vec<Option<usize>>,
    /// For each field of the schema, how its text is read.
    columns: Vec<Column>,
}

impl Table {
    /// From the first row, and from those behind it where types are inferred. `types` are those that an earlier run found.
    ///
    /// # Errors
    /// What is wrong with the columns.
    pub(in crate::directory) fn new(
        options: &Options,
        first: &[Field],
        sample: &[Vec<Field>],
        types: Option<&str>,
    ) -> Result<Self, String> {
        let names: Vec<String> = if options.has_header {
            first.iter().map(|field| field.text.trim().to_owned()).collect()
        } else {
            (1..=first.len())
                .map(|number| format!("column{number:02}"))
                .collect()
        };
        if let Some(schema) = &options.declared {
            let places: Vec<Option<usize>> = names.iter().map(|name| schema.field_index(name)).collect();
            let missing = schema.fields().iter().enumerate().find(|(index, field)| {
                let can_miss = field.schema.is_optional() || field.schema.default_value().is_some();
                !can_miss && !places.contains(&Some(*index))
            });
            if let Some((_, field)) = missing {
                return Err(format!(
                    "has no column {}, which value.schema requires",
                    field.name
                ));
            }
            return Ok(Self {
                columns: schema
                    .fields()
                    .iter()
                    .map(|field| Column::of(&field.schema))
                    .collect(),
                schema: Arc::clone(schema),
                places,
            });
        }
        let columns: Vec<Column> = match types {
            Some(types) => types.chars().map(Column::from_letter).collect(),
            None if options.infer => (0..names.len())
                .map(|column| {
                    let fields = sample.iter().filter_map(|row| row.get(column));
                    Column::infer(fields.filter(|field| !options.is_null(field)))
                })
                .collect(),
            None => vec![Column::Text; names.len()],
        };
        if columns.len() != names.len() {
            return Err(format!(
                "has {} columns, and had {} before",
                names.len(),
                columns.len()
            ));
        }
        let builder = names
            .iter()
            .zip(&columns)
            .fold(Schema::structure(), |builder, (name, column)| {
                builder.field(name.as_str(), column.schema())
            });
        Ok(Self {
            schema: builder
                .build()
                .map_err(|error| format!("has a header that makes no columns: {error}"))?,
            places: (0..names.len()).map(Some).collect(),
            columns,
        })
    }

    pub(in crate::directory) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// A letter per column, for another run to go on with the same types; `None` where they are declared.
    pub(in crate::directory) fn types(&self, options: &Options) -> Option<Arc<str>> {
        let letters: String = self.columns.iter().map(|column| column.letter()).collect();
        (options.declared.is_none() && options.infer).then(|| letters.into())
    }

    /// A row as a value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::directory) fn row(&self, options: &Options, fields: &[Field]) -> Result<Value, String> {
        if fields.len() != self.places.len() {
            return Err(format!(
                "has {} fields where there are {} columns",
                fields.len(),
                self.places.len()
            ));
        }
        let mut values = vec![Value::Null; self.columns.len()];
        for (field, place) in fields.iter().zip(&self.places) {
            let Some(place) = place else { continue };
            if options.is_null(field) {
                continue;
            }
            let column = &self.columns[*place];
            values[*place] = column.value(&field.text).ok_or_else(|| {
                let name = &self.schema.fields()[*place].name;
                format!("has {:?} in column {name}, which is {column}", field.text)
            })?;
        }
        let made =
            Struct::from_values(Arc::clone(&self.schema), values).map_err(|error| error.to_string())?;
        made.validate()
            .map_err(|error| format!("does not fit: {error}"))?;
        Ok(made.into())
    }
}
