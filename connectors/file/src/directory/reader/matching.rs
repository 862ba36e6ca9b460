//! Which of the files that are there are known ones.
//!
//! The order of the questions: (1) does a file have the inode of a history, and hold what was read? Then it is that file, by
//! whatever name. (2) Else, is there a history whose file is gone or was written anew, and is every byte that was read of it in
//! this file? Then it is a copy, and goes on where that was left. (3) Else, does it begin as another one that is still there? Then
//! it may be a copy that is being made, of which the original is about to be truncated: that is waited for. (4) Else it is new.
//! Files that are complete are not rotated, so for them there are only (1) and (4).

use std::{
    collections::{HashMap, HashSet},
    fs::OpenOptions,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use forebay_connect_api::OffsetMap;

use super::{Known, Reader};
use crate::{
    directory::{
        content::{Content, HEAD_BYTES},
        lineage::{Beginnings, Lineage, PROOF_BYTES_MIN, task_of},
        listing::{Found, Identity},
        status::State,
    },
    open,
    source::is_namesake,
};

/// The first bytes of a file that are compared with those of all others.
const OPENING_BYTES: usize = 16;
/// File systems have clocks that stand still for some milliseconds: who writes a file twice meanwhile leaves no trace but the content.
const CLOCK_STEP: Duration = Duration::from_secs(1);

impl Reader {
    /// Takes a new listing.
    ///
    /// `up_to_date`: all committed offsets are known as they are.
    pub(super) fn match_files(&mut self, found: &[Found], up_to_date: bool, now: Duration) {
        let mut taken = vec![false; found.len()];
        self.match_known(found, &mut taken);
        if self.config.complete {
            self.drop_replaced(found);
        }
        let unknown: Vec<usize> = (0..found.len())
            .filter(|index| !taken[*index] && found[*index].length > 0)
            .collect();
        let asks = unknown
            .iter()
            .any(|index| found[*index].wanted && self.is_ours(&found[*index]));
        if asks && !up_to_date && self.config.tasks > 1 && !self.config.complete {
            // Another task may know them: first what that has committed.
            (self.wants_offsets, self.wants_listing) = (true, true);
        } else if !unknown.is_empty() {
            self.match_unknown(found, &unknown, now);
        }
        let still: HashSet<Identity> = unknown.iter().map(|index| found[*index].identity).collect();
        self.doubts.retain(|identity, _| still.contains(identity));
        self.looked.retain(|identity, _| still.contains(identity));
        self.forget();
    }

    /// Finds the files of the histories by inode.
    fn match_known(&mut self, found: &[Found], taken: &mut [bool]) {
        let mut by_number: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut by_path: HashMap<&Path, usize> = HashMap::new();
        for (index, file) in found.iter().enumerate() {
            by_number.entry(file.identity.number).or_default().push(index);
            by_path.insert(&file.path, index);
        }
        // Of several histories of one inode the last that began is the one to go on.
        let mut order: Vec<usize> = (0..self.known.len()).collect();
        order.sort_by_key(|place| std::cmp::Reverse(self.known[*place].lineage.generation()));
        for place in order {
            let known = &self.known[place];
            let candidates: Vec<usize> = match known.lineage.inode {
                Some((number, _)) => by_number.get(&number).cloned().unwrap_or_default(),
                None => by_path
                    .get(known.lineage.path.as_path())
                    .copied()
                    .into_iter()
                    .collect(),
            };
            let held = known.file.as_ref().map(|file| file.identity);
            let candidate = candidates.into_iter().find(|index| {
                let file = &found[*index];
                !taken[*index]
                    && (file.wanted || known.lineage.mark.position > 0)
                    && held.is_none_or(|held| held == file.identity)
                    && known.lineage.points_to(&file.path, file.identity)
            });
            match candidate.map(|index| (index, self.is_still(place, &found[index]))) {
                Some((index, Ok(true))) => {
                    taken[index] = true;
                    self.hold(place, &found[index]);
                }
                // Nothing is known of it for now: it stays what it is.
                Some((index, Err(_))) => taken[index] = true,
                Some((_, Ok(false))) => self.dislodge(place),
                None => {
                    let known = &mut self.known[place];
                    self.losses += u64::from(known.file.is_some());
                    known.file = None;
                    known.seen = None;
                    if let Some(input) = &mut known.input {
                        input.set_complete();
                    }
                }
            }
        }
    }

    fn hold(&mut self, place: usize, file: &Found) {
        let known = &mut self.known[place];
        if known.lineage.path != file.path {
            known.lineage.path.clone_from(&file.path);
            if known.done.is_some() && file.wanted {
                known.seen = None; // What is to become of it was done to the other name, if at all.
            }
        }
        known.lineage.inode = Some((file.identity.number, file.identity.born));
        known.device = Some(file.identity.device);
        known.file = Some(file.clone());
    }

    /// Whether the file of that inode holds what was read.
    fn is_still(&mut self, place: usize, file: &Found) -> io::Result<bool> {
        let known = &mut self.known[place];
        let unchanged = known.file.as_ref().is_some_and(|before| {
            before.identity == file.identity
                && before.length == file.length
                && before.modified == file.modified
        });
        if unchanged || known.is_short {
            return Ok(true);
        }
        if known.file.is_some() && known.input.is_some() {
            // What was read and is not given out yet goes out first; then the input looks by itself.
            return Ok(true);
        }
        let mut content = self.look_into(file)?;
        let is_new_to_us = self.known[place].file.is_none();
        self.known[place]
            .lineage
            .mark
            .is_of(&mut content, is_new_to_us || self.config.complete)
    }

    fn look_into(&self, file: &Found) -> io::Result<Content> {
        let opened = open::open(&file.path, OpenOptions::new().read(true), &self.access);
        let opened = opened.map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
        if Identity::of(&opened.metadata()?) != file.identity {
            return Err(io::Error::other("replaced meanwhile"));
        }
        Ok(Content::new(opened, self.config.compression_of(&file.path)))
    }

    /// Files that no history has: copies, and new ones.
    fn match_unknown(&mut self, found: &[Found], unknown: &[usize], now: Duration) {
        if !self.config.complete {
            self.refresh_openings();
        }
        let mut index = Index::new(&self.known, found, self.config.complete);
        for (inode, generation) in self.generations_gone() {
            let next = index.generations.entry(inode).or_insert(0);
            *next = (*next).max(generation + 1);
        }
        for file in unknown.iter().map(|index| &found[*index]) {
            let mut opening = None;
            let is_ours = self.is_ours(file);
            if !is_ours && self.has_looked(file) {
                continue;
            }
            if !self.config.complete {
                let looked = self
                    .look_into(file)
                    .and_then(|mut content| Ok((content.head()?, content)));
                let is_copy = looked.and_then(|(head, content)| {
                    opening = Some(Opening::of(&head, file));
                    self.is_copy(file, content, &head, &index, now)
                });
                match is_copy {
                    Ok(false) => {}
                    Ok(true) => continue,
                    // What is wrong with it is said when it is read.
                    Err(error)
                        if error.kind() == io::ErrorKind::InvalidInput
                            || error.kind() == io::ErrorKind::InvalidData => {}
                    Err(error) => {
                        tracing::debug!(file = %file.path.display(), %error, "a file cannot be looked into yet");
                        continue;
                    }
                }
            }
            if file.wanted
                && is_ours
                && !self.is_too_young(file)
                && !self.may_be_of_another(file, found, &index, now)
            {
                self.begin(file, opening, &mut index);
            }
        }
    }

    /// What files begin with of which nothing was given out: they may have grown or been truncated since they were begun.
    fn refresh_openings(&mut self) {
        for place in 0..self.known.len() {
            let known = &self.known[place];
            let Some(file) = known.file.as_ref().filter(|_| known.lineage.mark.position == 0) else {
                continue;
            };
            if known
                .opening
                .as_ref()
                .is_some_and(|opening| opening.is_still_of(file))
            {
                continue;
            }
            if let Ok(head) = self.look_into(file).and_then(|mut content| content.head()) {
                self.known[place].opening = Some(Opening::of(&head, file));
            }
        }
    }

    fn is_ours(&self, file: &Found) -> bool {
        task_of(file.identity.number, self.config.tasks) == self.config.task
    }

    /// Whether a file that is another task's to begin was looked at as it is, since a history lost its file.
    fn has_looked(&mut self, file: &Found) -> bool {
        let now = (file.length, file.modified, self.losses);
        self.looked.insert(file.identity, now) == Some(now)
    }

    fn is_too_young(&self, file: &Found) -> bool {
        let age = file.modified.elapsed().unwrap_or_default();
        age < self.config.age_min
    }

    /// Whether the file is a copy of one that is known, or may be.
    fn is_copy(
        &mut self,
        file: &Found,
        mut content: Content,
        head: &[u8],
        index: &Index<'_>,
        now: Duration,
    ) -> io::Result<bool> {
        let mut places = index.beginnings.of(head);
        // The longest history first: it says most.
        places.sort_by_key(|place| std::cmp::Reverse(self.known[*place].lineage.mark.position));
        let mut in_doubt = false;
        for place in places {
            let known = &self.known[place];
            let position = known.lineage.mark.position;
            let same_path = known.lineage.path == file.path;
            let namesake = !same_path && is_namesake_either_way(&known.lineage.path, &file.path);
            let enough = position >= PROOF_BYTES_MIN && (file.wanted || namesake || same_path);
            let may_be = enough || (namesake && file.wanted);
            if !may_be {
                continue;
            }
            if known.file.is_some() && self.is_there(place) {
                in_doubt |= file.wanted;
                continue;
            }
            let known = &self.known[place];
            let was_cut_before = namesake
                && position >= HEAD_BYTES as u64
                && !content.is_compressed()
                && file.length < position;
            if was_cut_before || known.lineage.mark.is_copied_in(&mut content)? {
                tracing::info!(file = %file.path.display(), of = %known.lineage.path.display(), position,
                    "the file is a copy of one that was read; going on behind that");
                self.dislodge(place);
                self.hold(place, file);
                self.known[place].is_short = was_cut_before;
                return Ok(true);
            }
        }
        if !in_doubt && !self.is_like_unread(file, head, index) {
            return Ok(false);
        }
        self.wants_offsets |= self.config.tasks > 1;
        Ok(now < *self.doubts.entry(file.identity).or_insert(now) + self.config.copy_grace)
    }

    /// Whether its file holds what was read at this moment, though some of that may not be given out yet.
    fn is_there(&mut self, place: usize) -> bool {
        match &mut self.known[place].input {
            Some(input) => input.holds_what_was_read().unwrap_or(true),
            // It was looked into just now.
            None => true,
        }
    }

    /// Whether it begins as one of the same name of which nothing was given out yet.
    fn is_like_unread(&self, file: &Found, head: &[u8], index: &Index<'_>) -> bool {
        let places = index.unread.get(&opening_checksum(head)).into_iter().flatten();
        let files = places.filter_map(|place| self.known[*place].file.as_ref());
        let mut namesakes =
            files.filter(|other| file.wanted && is_namesake_either_way(&other.path, &file.path));
        namesakes.any(|other| {
            let theirs = self.look_into(other).and_then(|mut content| content.head());
            theirs.is_ok_and(|theirs| {
                let common = theirs.len().min(head.len());
                common > 0 && theirs[..common] == head[..common]
            })
        })
    }

    /// Whether it may be a copy of a file that another task has begun and not committed anything of.
    fn may_be_of_another(&mut self, file: &Found, found: &[Found], index: &Index<'_>, now: Duration) -> bool {
        if self.config.tasks == 1 || self.config.complete {
            return false;
        }
        let has_original = index.originals_of(&file.path).any(|other| {
            let other = &found[other];
            other.wanted
                && other.identity != file.identity
                && task_of(other.identity.number, self.config.tasks) != self.config.task
        });
        if !has_original {
            return false;
        }
        self.wants_offsets = true;
        now < *self.doubts.entry(file.identity).or_insert(now) + self.config.copy_grace
    }

    /// A file that nobody knows.
    fn begin(&mut self, file: &Found, opening: Option<Opening>, index: &mut Index<'_>) {
        let generation = index.generations.entry(file.identity.number).or_insert(0);
        let lineage = Lineage::begin(&file.path, file.identity, *generation);
        *generation += 1;
        if let Some(opening) = &opening {
            index
                .unread
                .entry(opening.checksum)
                .or_default()
                .push(self.known.len());
        }
        let mut known = Known::new(lineage, true, Some(file.clone()));
        known.opening = opening;
        self.completion.report(known.status(State::Scheduled, None));
        self.known.push(known);
    }

    /// Of files that are gone and of which nothing was given out, there is nothing to be known.
    fn forget(&mut self) {
        let is_over =
            |known: &Known| known.file.is_none() && known.input.is_none() && known.lineage.mark.position == 0;
        self.known.retain(|known| !is_over(known));
    }

    /// Puts what may have more into its order; whose turn it was goes on.
    pub(super) fn enqueue(&mut self, found: &[Found], turn: Option<&Arc<OffsetMap>>) {
        let order: HashMap<Identity, usize> = found
            .iter()
            .enumerate()
            .map(|(index, file)| (file.identity, index))
            .collect();
        let mut queue: Vec<usize> = (0..self.known.len())
            .filter(|place| self.known[*place].own && self.known[*place].may_have_more())
            .collect();
        // What is gone goes first, as it cannot be opened again.
        queue.sort_by_key(|place| {
            self.known[*place]
                .file
                .as_ref()
                .and_then(|file| order.get(&file.identity))
                .copied()
        });
        self.turn = turn
            .and_then(|partition| {
                queue
                    .iter()
                    .position(|place| Arc::ptr_eq(&self.known[*place].lineage.partition, partition))
            })
            .unwrap_or(0);
        self.queue = queue;
    }
}

/// What is asked for each unknown file, once for all of them.
struct Index<'a> {
    /// Histories by what their files begin with.
    beginnings: Beginnings,
    /// Files of which nothing was given out yet, by their first bytes.
    unread: HashMap<u32, Vec<usize>>,
    /// How many histories have begun with an inode.
    generations: HashMap<u64, u32>,
    /// All files by directory and name without its end.
    stems: HashMap<(Option<&'a Path>, &'a [u8]), Vec<usize>>,
}

impl<'a> Index<'a> {
    fn new(known: &[Known], found: &'a [Found], complete: bool) -> Self {
        let mut index = Self {
            beginnings: Beginnings::default(),
            unread: HashMap::new(),
            generations: HashMap::new(),
            stems: HashMap::new(),
        };
        for (place, known) in known.iter().enumerate() {
            if let Some(inode) = known.lineage.first_inode() {
                let next = index.generations.entry(inode).or_insert(0);
                *next = (*next).max(known.lineage.generation() + 1);
            }
            if complete {
                continue;
            }
            index.beginnings.add(place, &known.lineage.mark);
            let opening = known
                .opening
                .as_ref()
                .filter(|_| known.lineage.mark.position == 0);
            if let Some(opening) = opening {
                index.unread.entry(opening.checksum).or_default().push(place);
            }
        }
        for (place, file) in found.iter().enumerate().filter(|_| !complete) {
            if let Some(stem) = file.path.file_stem() {
                let key = (file.path.parent(), stem.as_encoded_bytes());
                index.stems.entry(key).or_default().push(place);
            }
        }
        index
    }

    /// Files whose name the path's looks like when they are rotated.
    fn originals_of<'b>(&'b self, path: &'b Path) -> impl Iterator<Item = usize> + 'b {
        let name = path
            .file_name()
            .map(|name| name.as_encoded_bytes())
            .unwrap_or_default();
        let ends = (1..name.len()).filter(|end| !name[*end].is_ascii_alphanumeric());
        ends.filter_map(move |end| self.stems.get(&(path.parent(), &name[..end])))
            .flatten()
            .copied()
    }
}

/// What a file begins with.
#[derive(Debug)]
pub(super) struct Opening {
    checksum: u32,
    length: u64,
    modified: SystemTime,
    /// The file's time was old enough to tell of every later change.
    is_settled: bool,
}

impl Opening {
    fn of(head: &[u8], file: &Found) -> Self {
        let age = file.modified.elapsed().unwrap_or_default();
        Self {
            checksum: opening_checksum(head),
            length: file.length,
            modified: file.modified,
            is_settled: age > CLOCK_STEP,
        }
    }

    fn is_still_of(&self, file: &Found) -> bool {
        self.is_settled && (self.length, self.modified) == (file.length, file.modified)
    }
}

/// What tells files apart that begin otherwise.
fn opening_checksum(head: &[u8]) -> u32 {
    crc32c::crc32c(&head[..head.len().min(OPENING_BYTES)])
}

/// Whether one name looks like that of the other when it was rotated; which was first, nobody may know any more.
fn is_namesake_either_way(one: &Path, other: &Path) -> bool {
    one.parent() == other.parent() && (is_namesake(one, other) || is_namesake(other, one))
}
