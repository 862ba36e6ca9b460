//! Index files: layout, search over several pages, truncation.

use std::path::Path;

use forebay_disk::{DiskExt, MemoryDisk};
use forebay_records::{Offset, Timestamp};

use super::*;

const PATH: &str = "/00000000000000000100.index";

fn offset_index(disk: &MemoryDisk) -> OffsetIndex {
    OffsetIndex::open(Arc::new(disk.clone()), PathBuf::from(PATH), Offset(100)).expect("open")
}

#[test]
fn entries_are_written_as_kafka_writes_them() {
    let disk = MemoryDisk::new();
    let mut index = offset_index(&disk);
    index.append(OffsetEntry {
        last_offset: Offset(107),
        position: 4242,
    });
    index.close().expect("close");
    assert_eq!(
        disk.read(Path::new(PATH), 99).expect("read"),
        [0, 0, 0, 7, 0, 0, 0x10, 0x92]
    );
    let mut index = TimeIndex::open(Arc::new(disk.clone()), PathBuf::from("/t"), Offset(100)).expect("open");
    index.prepare().expect("prepare");
    index.maybe_append(TimeEntry {
        timestamp: Timestamp(0x0102),
        offset: Offset(103),
    });
    index.maybe_append(TimeEntry {
        timestamp: Timestamp(0x0102),
        offset: Offset(109),
    });
    index.close().expect("close");
    assert_eq!(
        disk.read(Path::new("/t"), 99).expect("read"),
        [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]
    );
}

#[test]
fn searches_find_the_last_entry_before() {
    let disk = MemoryDisk::new();
    // Entries at 110, 120, ...: in memory only, one page and some, several pages; and each again after reopening.
    for count in [0_u32, 1, 511, 512, 513, 1500] {
        let mut index = offset_index(&disk);
        index.clear().expect("clear");
        for number in 1..=count {
            let last_offset = Offset(100 + i64::from(number) * 10);
            index.append(OffsetEntry {
                last_offset,
                position: u64::from(number) * 1000,
            });
        }
        check_searches(&index, count);
        index.close().expect("close");
        check_searches(&index, count);
        check_searches(&offset_index(&disk), count);
    }
}

fn check_searches(index: &OffsetIndex, count: u32) {
    let entry = |number: u32| {
        (1..=count).contains(&number).then(|| OffsetEntry {
            last_offset: Offset(100 + i64::from(number) * 10),
            position: u64::from(number) * 1000,
        })
    };
    assert_eq!(index.last().expect("last"), entry(count));
    for number in 0..=count {
        let offset = Offset(100 + i64::from(number) * 10);
        assert_eq!(
            index.lookup(offset).expect("lookup"),
            entry(number),
            "{count} entries, exactly {number}"
        );
        assert_eq!(
            index.lookup(offset + 9).expect("lookup"),
            entry(number),
            "{count} entries, after {number}"
        );
        let by_position = index
            .lookup_position(u64::from(number) * 1000 + 999, Offset::MAX)
            .expect("lookup");
        assert_eq!(
            by_position,
            entry(number),
            "{count} entries, position of {number}"
        );
        assert_eq!(
            index.lookup_position(u64::MAX, offset + 1).expect("lookup"),
            entry(number),
            "up to {number}"
        );
    }
}

#[test]
fn a_kafka_index_of_full_size_is_cut_when_it_is_closed() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new(PATH), OpenOptions::create()).expect("open");
    file.set_len(4096).expect("zeros");
    let mut index = offset_index(&disk);
    index.clear().expect("clear");
    index.append(OffsetEntry {
        last_offset: Offset(101),
        position: 5000,
    });
    index.close().expect("close");
    assert_eq!(file.len().expect("len"), 8);
}
