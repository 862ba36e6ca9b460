//! An open file and the records that come out of it. Everything here blocks.

#[cfg(feature = "parquet")]
mod parquet;
mod table;

use std::{io, os::unix::fs::FileExt, path::PathBuf, sync::Arc, time::SystemTime};

use bytes::Bytes;
use forebay_connect_api::{Schema, SchemaAndValue, Text};

use super::{
    config::{Config, Format},
    content::{Content, HEAD_BYTES},
    format::{
        csv::{self, Table},
        json,
        lines::Lines,
    },
    lineage::{Mark, fingerprint},
    pieces::{Boundary, Multiline, Piece, Pieces, TooLong},
};

/// How much of what was read last is looked at again, to see that it is still there.
const TAIL_BYTES: usize = 256;

/// A record, or what is there instead.
#[derive(Debug)]
pub(super) enum Next {
    /// A record and how far the file is done with it.
    Record(SchemaAndValue, Mark),
    /// One that is at fault; behind it, it goes on.
    Fault(Fault),
    /// More has to be read.
    None,
}

/// A record that is at fault.
#[derive(Debug)]
pub(super) struct Fault {
    /// What is wrong with it.
    pub(super) what: String,
    /// Its bytes, where they are still there.
    pub(super) bytes: Option<Bytes>,
    /// How far the file is done with it, where that is known.
    pub(super) mark: Option<Mark>,
}

/// What reading on came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There may be records.
    More,
    /// Nothing at the moment.
    Nothing,
    /// The file is complete and read to its end.
    Finished,
    /// It no longer holds what was read.
    Truncated,
}

/// Why no records can come.
#[derive(Debug)]
pub(super) enum Error {
    /// Not yet: there is nothing.
    NotReady,
    /// Perhaps not yet: it may still be being written.
    #[cfg_attr(
        not(feature = "parquet"),
        expect(dead_code, reason = "only Parquet is judged as a whole")
    )]
    Settling,
    /// Not from this file.
    Fault(String),
}

/// An open file.
#[derive(Debug)]
pub(super) struct Input {
    config: Arc<Config>,
    path: PathBuf,
    content: Content,
    head: Vec<u8>,
    /// The fingerprint of every position behind the head, once that is all there.
    head_fingerprint: Option<u32>,
    pieces: Pieces,
    multiline: Option<Multiline>,
    decode: Decode,
    /// What gives the records of a file that is not cut into them byte by byte.
    rows: Option<Box<dyn Rows>>,
    /// It does not grow any more.
    complete: bool,
    /// What was read last, before the position up to which it was read.
    tail: Vec<u8>,
    /// Up to where, and when it was written to, when the file was last seen to hold what was read.
    checked: Option<(u64, SystemTime)>,
    seen: Option<(u64, SystemTime)>,
    invalid_records: u64,
}

/// Gives records by number.
pub(super) trait Rows: std::fmt::Debug + Send {
    /// The next record of what was read.
    fn next(&mut self) -> Next;

    /// Reads on.
    fn advance(&mut self) -> io::Result<Progress>;

    /// How many records are done, and how many there are.
    fn done(&self) -> (u64, u64);
}

/// How a record becomes a value.
#[derive(Debug)]
enum Decode {
    Lines(Arc<Schema>),
    JsonLines,
    Json,
    Csv {
        options: Arc<csv::Options>,
        table: Table,
        types: Option<Arc<str>>,
    },
}

impl Input {
    /// Goes on with a file behind what is done.
    ///
    /// # Errors
    /// If there are no records in it, or not yet.
    pub(super) fn open(
        config: &Arc<Config>,
        path: PathBuf,
        mut content: Content,
        mark: &Mark,
    ) -> Result<Self, Error> {
        let complete = config.complete || content.is_compressed();
        let bytes_max = config.record_bytes_max;
        let head = content.head().map_err(|error| cannot_read(&error))?;
        let begin =
            |boundary: Box<dyn Boundary>| Pieces::at(mark.position, mark.checksum, bytes_max, boundary);
        let mut multiline = None;
        #[cfg_attr(not(feature = "parquet"), allow(unused_mut))]
        let mut rows: Option<Box<dyn Rows>> = None;
        let (pieces, decode) = match &config.format {
            Format::Lines(start) => {
                if let Some(start) = start {
                    multiline = Some(Multiline::new(start, bytes_max).map_err(Error::Fault)?);
                }
                (
                    begin(Box::<Lines>::default()),
                    Decode::Lines(Schema::string_schema()),
                )
            }
            Format::JsonLines => (begin(Box::<Lines>::default()), Decode::JsonLines),
            Format::Json => {
                let values = json::Values::at(mark.position, mark.state.as_deref());
                (begin(Box::new(values)), Decode::Json)
            }
            Format::Csv(options) => table::begin(options, &mut content, mark, bytes_max, complete)?,
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                rows = Some(Box::new(parquet::ParquetRows::open(
                    &content,
                    &head,
                    mark,
                    config.batch_size,
                )?));
                (begin(Box::<Lines>::default()), Decode::Json)
            }
        };
        Ok(Self {
            config: Arc::clone(config),
            path,
            content,
            head_fingerprint: fingerprint(&head, HEAD_BYTES as u64),
            head,
            pieces,
            multiline,
            decode,
            rows,
            complete,
            tail: Vec::new(),
            checked: None,
            seen: None,
            invalid_records: 0,
        })
    }

    /// Says that nothing more will be written, as nobody can open the file any more.
    pub(super) fn set_complete(&mut self) {
        self.complete = true;
    }

    /// The length and the time of the last change, as they were before it was last read on: what came later is yet to be read.
    pub(super) fn seen(&self) -> Option<(u64, SystemTime)> {
        self.seen
    }

    /// How many of the file's `length` bytes are done, where its records are given out up to `position`.
    pub(super) fn done(&self, position: u64, length: u64) -> u64 {
        let done = match (&self.rows, self.content.taken()) {
            (Some(rows), _) => {
                let (done, all) = rows.done();
                let done = u128::from(length) * u128::from(done) / u128::from(all.max(1));
                u64::try_from(done).unwrap_or(length)
            }
            (None, Some(taken)) => taken,
            (None, None) => position,
        };
        done.min(length)
    }

    /// The next record of what was read.
    pub(super) fn next(&mut self) -> Next {
        if let Some(rows) = &mut self.rows {
            return rows.next();
        }
        loop {
            let piece = match self.pieces.next() {
                Ok(Some(piece)) => match &mut self.multiline {
                    None => Ok(piece),
                    Some(multiline) => match multiline.push(piece) {
                        Some(before) => before,
                        None => continue,
                    },
                },
                Ok(None) => match self.multiline.as_mut().filter(|_| self.pieces.is_finished()) {
                    Some(multiline) => match multiline.finish() {
                        Some(last) => last,
                        None => return Next::None,
                    },
                    None => return Next::None,
                },
                Err(long) => Err(long),
            };
            let piece = match piece {
                Ok(piece) => piece,
                Err(long) => {
                    return Next::Fault(Fault {
                        what: self.too_long(long),
                        bytes: None,
                        mark: None,
                    });
                }
            };
            match self.decode(&piece) {
                Ok(Some(value)) => {
                    let mark = self.mark(&piece);
                    return Next::Record(value, mark);
                }
                Ok(None) => {}
                Err(why) => {
                    return Next::Fault(Fault {
                        what: format!("the record that begins at byte {} {why}", piece.position),
                        mark: Some(self.mark(&piece)),
                        bytes: Some(piece.bytes),
                    });
                }
            }
        }
    }

    /// A record that is longer than is allowed, though its end may not have been found yet.
    pub(super) fn fault_ahead(&self) -> Option<String> {
        self.pieces.too_long().map(|long| self.too_long(long))
    }

    fn too_long(&self, long: TooLong) -> String {
        format!(
            "the record that begins at byte {} is longer than max.record.bytes={}",
            long.position, self.config.record_bytes_max
        )
    }

    fn mark(&self, piece: &Piece) -> Mark {
        let state = match &self.decode {
            Decode::Csv { types, .. } => types.clone(),
            _ => piece.state.map(Arc::from),
        };
        Mark {
            position: piece.next_position,
            fingerprint: match self.head_fingerprint {
                Some(whole) if piece.next_position >= HEAD_BYTES as u64 => Some(whole),
                _ => fingerprint(&self.head, piece.next_position),
            },
            checksum: piece.checksum,
            state,
        }
    }

    /// `None`: there is nothing in it.
    fn decode(&mut self, piece: &Piece) -> Result<Option<SchemaAndValue>, String> {
        let text = match Text::from_utf8(piece.bytes.clone()) {
            Ok(text) => text,
            Err(_) if self.config.fail_on_invalid_utf8 => {
                return Err("is not UTF-8, and invalid.utf8=fail".to_owned());
            }
            Err(_) => {
                self.invalid_records += 1;
                if self.invalid_records.is_power_of_two() {
                    let (file, position, records) =
                        (self.path.display(), piece.position, self.invalid_records);
                    tracing::warn!(%file, position, records, "a record is not UTF-8: U+FFFD stands for what is wrong in it");
                }
                Text::from_utf8_lossy(piece.bytes.clone())
            }
        };
        match &self.decode {
            Decode::Lines(schema) => Ok(Some(SchemaAndValue::new(Arc::clone(schema), text))),
            Decode::JsonLines if text.trim().is_empty() => Ok(None),
            Decode::JsonLines | Decode::Json => json::parse(text.as_bytes())
                .map(SchemaAndValue::schemaless)
                .map(Some),
            Decode::Csv { options, table, .. } => {
                if text.is_empty() && table.schema().fields().len() > 1 {
                    return Ok(None);
                }
                let row = table.row(options, &options.fields(&text)?)?;
                Ok(Some(SchemaAndValue::new(Arc::clone(table.schema()), row)))
            }
        }
    }

    /// Reads on. Called when [`Input::next`] gives no more records, so that none is skipped when the file has changed.
    ///
    /// # Errors
    /// If it cannot be read; of a compressed file that is cut off, `UnexpectedEof`.
    pub(super) fn advance(&mut self) -> io::Result<Progress> {
        let metadata = self.content.file().metadata()?;
        self.seen = metadata
            .modified()
            .ok()
            .map(|modified| (metadata.len(), modified));
        if let Some(rows) = &mut self.rows {
            return rows.advance();
        }
        if !self.content.is_compressed() && !self.holds_what_was_read()? {
            return Ok(Progress::Truncated);
        }
        let content = &mut self.content;
        let count = self
            .pieces
            .fill(|buffer, position| content.read_at(buffer, position))?;
        if count > 0 {
            if !self.content.is_compressed() {
                self.pieces.copy_tail(TAIL_BYTES, &mut self.tail);
                if self.head.len() < HEAD_BYTES {
                    self.head = self.content.head()?;
                    self.head_fingerprint = fingerprint(&self.head, HEAD_BYTES as u64);
                }
            }
            return Ok(Progress::More);
        }
        if !self.complete {
            return Ok(Progress::Nothing);
        }
        let has_more = self.pieces.has_rest() || (self.multiline.is_some() && !self.pieces.is_finished());
        self.pieces.set_at_end();
        Ok(if has_more {
            Progress::More
        } else {
            Progress::Finished
        })
    }

    /// Whether the file is at least as long as what was read, and has its beginning and end.
    pub(super) fn holds_what_was_read(&mut self) -> io::Result<bool> {
        let metadata = self.content.file().metadata()?;
        let end = self.pieces.end();
        if metadata.len() < end {
            return Ok(false);
        }
        let now = metadata.modified().ok().map(|modified| (end, modified));
        if now.is_some() && self.checked == now {
            return Ok(true);
        }
        let begins = self.head.len().min(usize::try_from(end).unwrap_or(usize::MAX));
        let holds =
            self.has_at(0, &self.head[..begins])? && self.has_at(end - self.tail.len() as u64, &self.tail)?;
        if holds {
            self.checked = now;
        }
        Ok(holds)
    }

    fn has_at(&self, position: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut found = vec![0; bytes.len()];
        match self.content.file().read_exact_at(&mut found, position) {
            Ok(()) => Ok(found == bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn cannot_read(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::NotReady,
        _ => Error::Fault(format!("cannot be read: {error}")),
    }
}
