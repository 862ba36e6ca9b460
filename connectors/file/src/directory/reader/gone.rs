//! Histories whose files are gone for good: they are dropped, and their source offsets forgotten.
//!
//! Only of files that are complete: of one that may grow a copy may turn up at any time, which is known by the offset alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use forebay_connect_api::{OffsetMap, SourceRecord};

use super::{Known, Reader};
use crate::directory::{
    lineage,
    listing::{Found, Identity},
};

/// Source partitions that one batch has forgotten, at most.
const FORGOTTEN_MAX: usize = 1000;

impl Reader {
    /// Drops histories that are over. The clocks of file systems are coarse, so another file may have the very inode and birth of one that
    /// was deleted: then it is told apart by the history.
    pub(super) fn drop_gone(&mut self, found: &[Found]) {
        if self.gone.is_empty() {
            return;
        }
        let now: HashSet<_> = found.iter().map(|file| inode(file.identity)).collect();
        let gone = std::mem::take(&mut self.gone);
        let gone: HashSet<*const OffsetMap> = gone.iter().map(Arc::as_ptr).collect();
        self.drop_if(|known| {
            gone.contains(&Arc::as_ptr(&known.lineage.partition))
                && known.lineage.inode.is_none_or(|inode| !now.contains(&inode))
        });
    }

    /// The inodes of histories whose end is not said yet, and how often each had begun: who begins anew is not to be forgotten with them.
    pub(super) fn generations_gone(&self) -> impl Iterator<Item = (u64, u32)> {
        let forgotten = self.forgotten.iter();
        forgotten
            .filter_map(|partition| Some((lineage::first_inode(partition)?, lineage::generation(partition))))
    }

    /// Drops histories of files whose inode number another file has now: numbers are given anew when nothing has them any more.
    pub(super) fn drop_replaced(&mut self, found: &[Found]) {
        let now: HashMap<(u64, u64), i64> = found
            .iter()
            .filter_map(|file| {
                let identity = file.identity;
                Some(((identity.device, identity.number), identity.born?))
            })
            .collect();
        self.drop_if(|known| {
            let (Some(device), Some((number, Some(born)))) = (known.device, known.lineage.inode) else {
                return false;
            };
            let is_out_of_sight = known.file.is_none() && known.input.is_none();
            is_out_of_sight && now.get(&(device, number)).is_some_and(|now| *now != born)
        });
    }

    fn drop_if(&mut self, is_over: impl Fn(&Known) -> bool) {
        let (forgotten, far_gone, completion) = (&mut self.forgotten, &mut self.far_gone, &self.completion);
        self.known.retain(|known| {
            if !is_over(known) {
                return true;
            }
            if known.own {
                completion.forget(&known.lineage.partition);
                *far_gone += known.done.unwrap_or(0);
                if known.has_offset() {
                    forgotten.push_back(Arc::clone(&known.lineage.partition));
                }
            }
            false
        });
    }

    /// Says which source partitions are over.
    pub(super) fn say_forgotten(&mut self, records: &mut Vec<SourceRecord>) {
        let count = self.forgotten.len().min(FORGOTTEN_MAX);
        records.extend(self.forgotten.drain(..count).map(SourceRecord::forgetting));
    }
}

fn inode(identity: Identity) -> (u64, Option<i64>) {
    (identity.number, identity.born)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use forebay_connect_api::{Access, config::Properties};

    use super::*;
    use crate::directory::{completion::Completion, config::Config, reader::Call};

    /// Numbers of inodes are used again where the file system likes to, so the files here are made up.
    #[test]
    fn a_number_that_another_file_has_is_the_end_of_the_one_before() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        let keys = [
            ("input.path", directory.path().to_str().expect("UTF-8")),
            ("topic", "t"),
            ("file.complete", "true"),
        ];
        let properties: Properties = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let config = Arc::new(Config::parse(&properties).expect("valid"));
        let other = |change: fn(&mut Identity)| {
            std::fs::write(&path, "1\n").expect("written");
            let completion = Arc::new(Completion::new(Arc::clone(&config), Access::unrestricted()));
            let mut reader = Reader::new(Arc::clone(&config), Access::unrestricted(), completion);
            let call = Call {
                now: Duration::ZERO,
                offsets: None,
            };
            reader.list(call).expect("listed");
            for count in [1, 0] {
                assert_eq!(reader.read(Duration::ZERO).expect("read").len(), count);
            }
            let mut file = reader.known[0].file.clone().expect("it is there");
            file.identity.born?; // A file system that does not tell: nothing is ever known to be over.
            std::fs::remove_file(&path).expect("removed");
            reader.match_files(&[], false, Duration::ZERO);
            assert!(reader.forgotten.is_empty(), "it may be anywhere");
            change(&mut file.identity);
            file.modified = UNIX_EPOCH;
            reader.match_files(&[file], false, Duration::ZERO);
            Some(reader.forgotten.len())
        };
        for (forgotten, found) in [
            (
                1,
                other(|identity| identity.born = identity.born.map(|born| born + 1)),
            ),
            (0, other(|_| {})),
            (0, other(|identity| identity.born = None)),
            (0, other(|identity| identity.number += 1)),
            (
                0,
                other(|identity| {
                    identity.device += 1;
                    identity.born = identity.born.map(|born| born + 1);
                }),
            ),
        ] {
            assert!(
                found.is_none_or(|found| found == forgotten),
                "{found:?} {forgotten}"
            );
        }
    }
}
