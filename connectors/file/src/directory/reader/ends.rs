//! The beginning and the end of reading a file: it is opened, it is given up, it is done.

use std::{fs::OpenOptions, io, sync::Arc, time::Duration};

use forebay_connect_api::Error;

use super::{REST, Reader, SETTLE};
use crate::{
    directory::{
        completion::Finished,
        config::{Cleanup, Compression},
        content::Content,
        input::{self, Input},
        listing::Identity,
        status::{State, Status},
    },
    open,
};

impl Reader {
    /// Whether it is open now.
    pub(super) fn open(&mut self, place: usize, now: Duration) -> Result<bool, Error> {
        let known = &mut self.known[place];
        let Some(file) = &known.file else { return Ok(false) };
        let path = file.path.clone();
        let opened = match open::open(&path, OpenOptions::new().read(true), &self.access) {
            Ok(Some(opened)) => opened,
            // It has vanished: what is known of it stays.
            Ok(None) => return Ok(false),
            Err(error) if error.is_retriable() => return Ok(false),
            Err(error) => return self.give_up(place, error),
        };
        let is_same = opened
            .metadata()
            .is_ok_and(|metadata| Identity::of(&metadata) == file.identity);
        if !is_same {
            return Ok(false); // The next listing will see what is there now.
        }
        let content = Content::new(opened, self.config.compression_of(&path));
        let begun = Input::open(&self.config, path, content, &known.lineage.mark);
        match begun {
            Ok(input) => {
                known.input = Some(Box::new(input));
                known.failed = None;
                if known.is_new && known.records == 0 {
                    self.completion.report(known.status(State::Started, None));
                }
                Ok(true)
            }
            Err(input::Error::Settling) => {
                known.rest_until = now + REST;
                Ok(false)
            }
            Err(input::Error::NotReady) => self.not_ready(place, now),
            Err(input::Error::Fault(what)) => {
                let error = Error::fatal(format!("{} {what}", known.lineage.path.display()));
                self.give_up(place, error)
            }
        }
    }

    /// Its beginning is not there: it is being written, or was cut off.
    fn not_ready(&mut self, place: usize, now: Duration) -> Result<bool, Error> {
        let known = &mut self.known[place];
        let Some((length, modified)) = known.now() else {
            return Ok(false);
        };
        let is_compressed = known
            .file
            .as_ref()
            .is_some_and(|file| self.config.compression_of(&file.path) != Compression::None);
        if !is_compressed {
            known.seen = Some((length, modified));
            if self.config.complete {
                self.finished(place);
            }
            return Ok(false);
        }
        self.cannot_read(place, &io::ErrorKind::UnexpectedEof.into(), now)
            .map(|()| false)
    }

    pub(super) fn cannot_read(
        &mut self,
        place: usize,
        error: &io::Error,
        now: Duration,
    ) -> Result<(), Error> {
        let known = &mut self.known[place];
        let path = known.lineage.path.display();
        let error = if error.kind() == io::ErrorKind::UnexpectedEof {
            let modified = known.file.as_ref().map(|file| file.modified);
            let age = modified
                .and_then(|modified| modified.elapsed().ok())
                .unwrap_or_default();
            if age < SETTLE {
                known.rest_until = now + REST; // Perhaps somebody is still writing it.
                return Ok(());
            }
            Error::fatal(format!("{path} is cut off: its compressed data has no end"))
        } else {
            Error::fatal(format!("cannot read {path}: {error}"))
        };
        self.give_up(place, error).map(drop)
    }

    /// Of a file that cannot be read, or no further.
    fn give_up(&mut self, place: usize, error: Error) -> Result<bool, Error> {
        let known = &mut self.known[place];
        let status = known.status(State::Failed, Some(error.trace()));
        known.failed = known.now();
        known.input = None;
        self.completion.report(status.clone());
        if !self.config.skip_errors {
            return Err(error);
        }
        tracing::warn!(file = %known.lineage.path.display(), trace = error.trace(), "a file is given up");
        if let Some(file) = &known.file {
            self.completion.finished(Finished {
                partition: Arc::clone(&known.lineage.partition),
                identity: file.identity,
                last: known.given_out,
                has_failed: true,
                status,
            });
        }
        Ok(false)
    }

    /// A complete file is read to its end.
    pub(super) fn finished(&mut self, place: usize) {
        let known = &mut self.known[place];
        let status = known.status(State::Completed, None);
        let Some(file) = &known.file else { return };
        known.done = Some(known.seen.map_or(file.length, |(length, _)| length));
        if known.given_out.is_none() && !known.is_new && self.config.cleanup == Cleanup::None {
            return; // It was done before this task started.
        }
        self.completion.report(status.clone());
        self.completion.finished(Finished {
            partition: Arc::clone(&known.lineage.partition),
            identity: file.identity,
            last: known.given_out,
            has_failed: false,
            status: Status {
                length: known.seen.map_or(file.length, |(length, _)| length),
                ..status
            },
        });
    }
}
