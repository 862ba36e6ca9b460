//! The beginning of a CSV file: its header, and the types that its first rows have.

use std::sync::Arc;

use super::{Decode, Error, cannot_read};
use crate::directory::{
    content::Content,
    format::csv::{Field, Options, Rows, SAMPLE_ROWS, Table},
    lineage::Mark,
    pieces::{Piece, Pieces, TooLong},
};

/// Bytes from which types are inferred, at most, beyond the first record.
const SAMPLE_BYTES: u64 = 1024 * 1024;

/// Reads the beginning, and goes on behind what is done, or behind the header.
pub(super) fn begin(
    options: &Arc<Options>,
    content: &mut Content,
    mark: &Mark,
    bytes_max: usize,
    complete: bool,
) -> Result<(Pieces, Decode), Error> {
    let rows = || Box::new(Rows::new(options));
    let mut pieces = Pieces::at(0, Some(0), bytes_max, rows());
    let first = next(&mut pieces, content, complete)?.ok_or(Error::NotReady)?;
    let first_fields = fields(options, &first).map_err(Error::Fault)?;
    let known = mark.state.as_deref();
    let mut sample = Vec::new();
    let has_header = options.has_header;
    if !has_header {
        sample.push(first_fields.clone());
    }
    if options.infer && options.declared.is_none() && known.is_none() {
        while sample.len() < SAMPLE_ROWS && pieces.end() < first.next_position + SAMPLE_BYTES {
            match next(&mut pieces, content, complete) {
                Ok(Some(row)) => sample.extend(fields(options, &row)),
                // What is wrong with a row is said when its turn comes.
                Ok(None) | Err(_) => break,
            }
        }
        if sample.is_empty() && !complete {
            return Err(Error::NotReady);
        }
    }
    let table = Table::new(options, &first_fields, &sample, known).map_err(Error::Fault)?;
    let (position, checksum) = match mark.position {
        0 if has_header => (first.next_position, first.checksum),
        0 => (0, Some(0)),
        position => (position, mark.checksum),
    };
    let decode = Decode::Csv {
        options: Arc::clone(options),
        types: table.types(options),
        table,
    };
    Ok((Pieces::at(position, checksum, bytes_max, rows()), decode))
}

fn fields(options: &Options, row: &Piece) -> Result<Vec<Field>, String> {
    options.fields(&String::from_utf8_lossy(&row.bytes))
}

/// The next row; `None`: it is not there yet.
fn next(pieces: &mut Pieces, content: &mut Content, complete: bool) -> Result<Option<Piece>, Error> {
    loop {
        match pieces.next() {
            Ok(Some(piece)) => return Ok(Some(piece)),
            Ok(None) if pieces.is_finished() => return Ok(None),
            Ok(None) => {}
            Err(TooLong { position }) => {
                return Err(Error::Fault(format!(
                    "has a row of too many bytes at {position}, before its first rows are read"
                )));
            }
        }
        if pieces.too_long().is_some() {
            return Err(Error::Fault("has a first row of too many bytes".to_owned()));
        }
        let count = pieces.fill(|buffer, position| content.read_at(buffer, position));
        match count.map_err(|error| cannot_read(&error))? {
            0 if complete => pieces.set_at_end(),
            0 => return Ok(None),
            _ => {}
        }
    }
}
