//! All files of a task: which there are, which of them are known, and whose turn it is. Everything here blocks.

mod ends;
mod far;
mod gone;
mod matching;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use forebay_connect_api as api;
use forebay_connect_api::{Access, Error, OffsetMap, SchemaAndValue, SourceRecord, Text};
use matching::Opening;

use super::{
    completion::Completion,
    config::Config,
    input::{Input, Next, Progress},
    lineage::{Lineage, Names},
    listing::{self, Found, Identity},
    status::{Reporter, State, Status},
};

/// Files that are kept open while they do not grow, at most.
const OPEN_MAX: usize = 256;
/// Batches of one file after which another has its turn.
const TURN_BATCHES: u32 = 100;
/// How long a file that is cut off may still be being written.
pub(super) const SETTLE: Duration = Duration::from_secs(10);
/// How long such a file is left alone before it is tried again.
const REST: Duration = Duration::from_secs(1);
/// How often a file that is being read is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What a call of [`Reader::read`] or [`Reader::list`] may need.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Time since the task started.
    pub(super) now: Duration,
    /// The committed offsets, where they were asked for.
    pub(super) offsets: Option<Vec<(OffsetMap, OffsetMap)>>,
}

/// Reads the files of one task.
#[derive(Debug)]
pub(super) struct Reader {
    config: Arc<Config>,
    access: Access,
    completion: Arc<Completion>,
    reporter: Option<Reporter>,
    names: Names,
    known: Vec<Known>,
    /// Places in `known` of the files that may have something, in the order in which they are read.
    queue: Vec<usize>,
    turn: usize,
    batches: u32,
    /// Histories that are over and not dropped yet.
    gone: Vec<Arc<OffsetMap>>,
    /// Source partitions to be forgotten that were not said to be yet.
    forgotten: VecDeque<Arc<OffsetMap>>,
    /// Files that may be copies of others, and since when that is thought of them.
    doubts: HashMap<Identity, Duration>,
    /// Files of other tasks as they were when they were last looked at, and how many losses there had been.
    looked: HashMap<Identity, (u64, SystemTime, u64)>,
    /// How often a history has lost its file.
    losses: u64,
    /// What the next listing should be given the committed offsets for: another task may know a file.
    wants_offsets: bool,
    /// Something is to be seen that the last listing did not.
    wants_listing: bool,
    skipped: u64,
    /// How far it is, where that is new, and when to look again.
    far: Option<api::Progress>,
    far_at: Duration,
    /// The bytes of files whose histories were dropped.
    far_gone: u64,
    /// What is wrong behind the records that were given out last.
    at_fault: Option<Error>,
}

/// A history and the file that it is of now.
#[derive(Debug)]
struct Known {
    lineage: Lineage,
    /// This task reads it.
    own: bool,
    file: Option<Found>,
    /// The device on which it was last seen since the task started.
    device: Option<u64>,
    input: Option<Box<Input>>,
    /// The length and the time of the last change, when its end was reached.
    seen: Option<(u64, SystemTime)>,
    /// It is a copy that was made before what was read last was written.
    is_short: bool,
    /// How many bytes it had when it was done with, as a whole.
    done: Option<u64>,
    /// It was given up, as it was then.
    failed: Option<(u64, SystemTime)>,
    /// The last position that this task gave out, and how many records that were.
    given_out: Option<u64>,
    records: u64,
    /// It was not known before this task.
    is_new: bool,
    reported: Option<Duration>,
    /// It is left alone until then.
    rest_until: Duration,
    /// What it begins with, while nothing of it was given out.
    opening: Option<Opening>,
}

impl Known {
    fn new(lineage: Lineage, own: bool, file: Option<Found>) -> Self {
        Self {
            lineage,
            own,
            is_new: file.is_some(),
            device: file.as_ref().map(|file| file.identity.device),
            file,
            input: None,
            seen: None,
            done: None,
            is_short: false,
            failed: None,
            given_out: None,
            records: 0,
            reported: None,
            rest_until: Duration::ZERO,
            opening: None,
        }
    }

    fn now(&self) -> Option<(u64, SystemTime)> {
        self.file.as_ref().map(|file| (file.length, file.modified))
    }

    /// Whether it is worth a look.
    fn may_have_more(&self) -> bool {
        let now = self.now();
        self.input.is_some() || (now.is_some() && now != self.seen && now != self.failed)
    }

    /// Whether there is a source offset, or will be.
    fn has_offset(&self) -> bool {
        !self.is_new || self.given_out.is_some()
    }

    fn status(&self, state: State, message: Option<String>) -> Status {
        Status {
            path: self.lineage.path.clone(),
            state,
            position: self.lineage.mark.position,
            length: self.file.as_ref().map_or(0, |file| file.length),
            records: self.records,
            message,
        }
    }
}

impl Reader {
    pub(super) fn new(config: Arc<Config>, access: Access, completion: Arc<Completion>) -> Self {
        let reporter = config
            .status_topic
            .clone()
            .map(|topic| Reporter::new(topic, config.status_as_text, config.task));
        Self {
            config,
            access,
            completion,
            reporter,
            names: Names::default(),
            known: Vec::new(),
            queue: Vec::new(),
            turn: 0,
            batches: 0,
            gone: Vec::new(),
            forgotten: VecDeque::new(),
            doubts: HashMap::new(),
            looked: HashMap::new(),
            losses: 0,
            wants_offsets: true,
            wants_listing: true,
            skipped: 0,
            far: None,
            far_at: Duration::ZERO,
            far_gone: 0,
            at_fault: None,
        }
    }

    /// How many histories there are.
    #[cfg(test)]
    pub(super) fn histories(&self) -> usize {
        self.known.len()
    }

    /// Whether the next listing needs the committed offsets.
    pub(super) fn wants_offsets(&self) -> bool {
        self.wants_offsets
    }

    /// Whether the listing should not wait for its time.
    pub(super) fn wants_listing(&self) -> bool {
        self.wants_listing
    }

    /// Looks which files there are.
    pub(super) fn list(&mut self, call: Call) -> Result<(), Error> {
        let now = call.now;
        (self.wants_offsets, self.wants_listing) = (false, false);
        let up_to_date = call.offsets.is_some();
        self.learn(call.offsets.unwrap_or_default())?;
        self.access.check_path(&self.config.root)?;
        self.completion.clean();
        self.gone.extend(self.completion.take_gone());
        let found = listing::list(&self.config)?;
        let turn = self.queue.get(self.turn).and_then(|place| self.known.get(*place));
        let turn = turn.map(|known| Arc::clone(&known.lineage.partition));
        // Behind a listing that succeeds: who reads goes by places.
        self.drop_gone(&found);
        self.match_files(&found, up_to_date, now);
        self.enqueue(&found, turn.as_ref());
        Ok(())
    }

    /// What is committed: of all files at the start, later of those of other tasks.
    fn learn(&mut self, offsets: Vec<(OffsetMap, OffsetMap)>) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let places = self.known.iter().enumerate();
        let places: HashMap<String, usize> = places
            .map(|(place, known)| (known.lineage.partition.to_string(), place))
            .collect();
        for (partition, offset) in offsets {
            // Of another connector that had this name.
            if partition.get_str(super::lineage::FILENAME).is_none() {
                continue;
            }
            let lineage = Lineage::read(&partition, &offset)?;
            let own = lineage.task(self.config.tasks) == self.config.task;
            if !own && self.config.complete && lineage.is_where_it_began() {
                continue; // Nor is its file one of this task's.
            }
            match places.get(&partition.to_string()) {
                None => self.known.push(Known::new(lineage, own, None)),
                Some(place) if !self.known[*place].own => self.known[*place].lineage = lineage,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The next records; none: nothing at the moment. What is wrong behind some is said by the call that follows.
    pub(super) fn read(&mut self, now: Duration) -> Result<Vec<SourceRecord>, Error> {
        if let Some(error) = self.at_fault.take() {
            return Err(error);
        }
        let mut records = Vec::new();
        for _ in 0..self.queue.len() {
            let place = self.queue[self.turn % self.queue.len()];
            if self.known[place].may_have_more() && self.known[place].rest_until <= now {
                self.read_file(place, now, &mut records)?;
            }
            let stays = !records.is_empty() && (self.config.complete || self.batches < TURN_BATCHES);
            if stays {
                self.batches += 1;
                break;
            }
            self.batches = 0;
            self.turn = (self.turn + 1) % self.queue.len();
            if !records.is_empty() {
                break;
            }
        }
        if let Some(reporter) = &self.reporter {
            let reports = self.completion.take_reports();
            records.extend(reports.iter().map(|status| reporter.record(status)));
        }
        self.say_forgotten(&mut records);
        self.look_how_far(now, records.is_empty());
        Ok(records)
    }

    fn read_file(
        &mut self,
        place: usize,
        now: Duration,
        records: &mut Vec<SourceRecord>,
    ) -> Result<(), Error> {
        if self.known[place].input.is_none() && !self.open(place, now)? {
            return Ok(());
        }
        loop {
            self.take_records(place, now, records)?;
            if !records.is_empty() {
                return Ok(());
            }
            let known = &mut self.known[place];
            let Some(input) = &mut known.input else {
                return Ok(());
            };
            match input.advance() {
                Ok(Progress::More) => {}
                Ok(Progress::Nothing) => {
                    known.seen = input.seen();
                    self.close_idle();
                    return Ok(());
                }
                Ok(Progress::Finished) => {
                    // Should one come back that is out of sight, it is yet to be seen to.
                    known.seen = known.file.as_ref().and_then(|_| input.seen());
                    known.input = None;
                    self.finished(place);
                    return Ok(());
                }
                Ok(Progress::Truncated) => {
                    tracing::info!(file = %known.lineage.path.display(), position = known.lineage.mark.position,
                        "the file no longer holds what was read of it: it was truncated or written anew");
                    self.dislodge(place);
                    self.wants_listing = true;
                    return Ok(());
                }
                Err(error) => {
                    known.input = None;
                    return self.cannot_read(place, &error, now);
                }
            }
        }
    }

    /// The records that were read and not given out yet, up to a batch.
    fn take_records(
        &mut self,
        place: usize,
        now: Duration,
        records: &mut Vec<SourceRecord>,
    ) -> Result<(), Error> {
        let known = &mut self.known[place];
        let Some(input) = &mut known.input else {
            return Ok(());
        };
        let identity = known.file.as_ref().map(|file| file.identity);
        let identity = identity.or(known.lineage.inode.map(|(number, born)| Identity {
            number,
            born,
            device: 0,
        }));
        let Some(identity) = identity else { return Ok(()) };
        while records.len() < self.config.batch_size {
            match input.next() {
                Next::Record(value, mark) => {
                    let offset = self.names.offset(&mark, identity);
                    let partition = Arc::clone(&known.lineage.partition);
                    let topic = Arc::clone(&self.config.topic);
                    records.push(SourceRecord::new(partition, Some(offset), topic, value));
                    known.records += 1;
                    known.given_out = Some(mark.position);
                    known.lineage.is_done(mark, identity);
                }
                Next::Fault(at_fault) => {
                    let what = &at_fault.what;
                    if let Some(error) = fault(&self.config, &known.lineage, what, &mut self.skipped) {
                        return self.raise(error, records);
                    }
                    let offset = at_fault
                        .mark
                        .as_ref()
                        .map(|mark| self.names.offset(mark, identity));
                    let partition = Arc::clone(&known.lineage.partition);
                    let topic = Arc::clone(&self.config.topic);
                    let what = format!("{}: {what}", known.lineage.path.display());
                    let record = SourceRecord::new(partition, offset, topic, data(at_fault.bytes));
                    records.push(record.left_out(what));
                    if let Some(mark) = at_fault.mark {
                        known.given_out = Some(mark.position);
                        known.lineage.is_done(mark, identity);
                    }
                }
                Next::None => {
                    let ahead = input.fault_ahead().filter(|_| !self.config.skip_errors);
                    if let Some(error) =
                        ahead.and_then(|what| fault(&self.config, &known.lineage, &what, &mut self.skipped))
                    {
                        return self.raise(error, records);
                    }
                    break;
                }
            }
        }
        let is_due = known.reported.is_none_or(|at| at + REPORT_INTERVAL <= now);
        if !records.is_empty() && is_due {
            known.reported = Some(now);
            self.completion.report(known.status(State::Reading, None));
        }
        Ok(())
    }

    /// The records before the one at fault go out first.
    fn raise(&mut self, error: Error, records: &[SourceRecord]) -> Result<(), Error> {
        if records.is_empty() {
            return Err(error);
        }
        self.at_fault = Some(error);
        Ok(())
    }

    /// The file is another one now: what was known of it waits for a copy to turn up.
    fn dislodge(&mut self, place: usize) {
        let known = &mut self.known[place];
        self.losses += u64::from(known.file.is_some());
        (known.input, known.file, known.seen, known.is_short) = (None, None, None, false);
    }

    /// Keeps the number of open files in bounds.
    fn close_idle(&mut self) {
        let open = self.known.iter().filter(|known| known.input.is_some()).count();
        if open <= OPEN_MAX {
            return;
        }
        let idle = self.known.iter_mut().filter(|known| {
            known.file.is_some()
                && known
                    .input
                    .as_ref()
                    .is_some_and(|input| input.seen() == known.seen)
        });
        for known in idle.take(open - OPEN_MAX) {
            known.input = None;
        }
    }
}

/// What a record was to be made of: its text, or its bytes if they are none.
fn data(bytes: Option<Bytes>) -> SchemaAndValue {
    let Some(bytes) = bytes else {
        return SchemaAndValue::default();
    };
    match Text::from_utf8(bytes.clone()) {
        Ok(text) => SchemaAndValue::string(text),
        Err(_) => SchemaAndValue::schemaless(bytes),
    }
}

/// A record is at fault: the error to fail with, or `None` after a warning.
fn fault(config: &Config, lineage: &Lineage, what: &str, skipped: &mut u64) -> Option<Error> {
    let path = lineage.path.display();
    if !config.skip_errors {
        return Some(Error::fatal(format!(
            "{path}: {what}; behavior.on.error=skip leaves such records out"
        )));
    }
    *skipped += 1;
    if skipped.is_power_of_two() {
        tracing::warn!(file = %path, what, skipped, "a record is left out");
    }
    None
}
