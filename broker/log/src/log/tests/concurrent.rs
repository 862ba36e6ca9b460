//! One writer, a housekeeper and several readers at once, on a real disk.

use std::sync::atomic::{AtomicBool, Ordering};

use forebay_disk::RealDisk;

use super::*;
use crate::DirectoryOptions;

const APPENDS: i64 = 2000;

fn options(path: &std::path::Path) -> DirectoryOptions {
    DirectoryOptions {
        path: path.to_path_buf(),
        ..directory_options(Arc::new(RealDisk))
    }
}

/// The tag of the record at an offset: each append has three records.
fn tag_at(offset: i64) -> u8 {
    (offset / 3 % 251) as u8
}

/// Follows the log as consumers do, up to its synced end; every record is the right one, in order.
fn follow(log: &Log, done: &AtomicBool, max_bytes: usize) -> usize {
    let mut offset = Offset(0);
    let mut seen = 0;
    loop {
        let finished = done.load(Ordering::Acquire);
        let up_to = log.synced_offset();
        if finished && offset >= up_to {
            return seen;
        }
        let wanted = Read {
            offset,
            up_to,
            max_bytes,
            min_one_batch: true,
        };
        match log.read_cached(&wanted).unwrap_or_else(|| log.read(&wanted)) {
            Ok(result) => {
                let records = records_of(bytes_of(&result));
                for (at, tag) in &records {
                    assert_eq!(*tag, tag_at(*at), "at {at}");
                }
                assert!(
                    records
                        .last()
                        .is_none_or(|(last, _)| *last + 1 == result.next_offset.value())
                );
                seen += records.len();
                offset = result.next_offset;
            }
            // Retention was faster.
            Err(Error::OffsetOutOfRange { log_start_offset, .. }) => offset = offset.max(log_start_offset),
            Err(error) => panic!("at {offset}: {error}"),
        }
    }
}

#[test]
fn readers_never_see_anything_but_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LogConfig {
        segment_bytes: 20_000,
        index_interval_bytes: 300,
        retention_bytes: 100_000,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    let directory = LogDirectory::open(options(folder.path())).expect("open");
    let error = LogDirectory::open(options(folder.path())).expect_err("locked");
    assert!(error.to_string().contains("locked"), "{error}");
    let config = Arc::new(config);
    directory.load(&|_| Arc::clone(&config), 2, NOW).expect("empty");
    let log = directory
        .log_or_create(&partition(), topic_id(), &config)
        .expect("new");
    let done = AtomicBool::new(false);
    let seen: Vec<usize> = std::thread::scope(|scope| {
        let readers = [1, 5000, 1 << 20].map(|max_bytes| {
            let (log, done) = (&log, &done);
            scope.spawn(move || follow(log, done, max_bytes))
        });
        let housekeeper = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.delete_old_segments(log.synced_offset(), NOW)
                    .expect("deleted");
                log.sync(NOW).expect("synced");
                log.release_idle(NOW + 1);
                directory.purge(NOW + 1);
                directory
                    .checkpoint(Some([(partition(), log.synced_offset())].into()))
                    .expect("written");
                log.offset_for_timestamp(NOW).expect("found");
            }
        });
        for number in 0..APPENDS {
            let offset = number * 3;
            let appended = append(&log, append_of(tag_at(offset), 3, 50)).expect("appended");
            assert_eq!(appended.base_offset, Offset(offset));
            if number % 50 == 0 {
                log.sync(NOW).expect("synced");
            }
        }
        log.sync(NOW).expect("synced");
        done.store(true, Ordering::Release);
        housekeeper.join().expect("the housekeeper");
        readers.map(|reader| reader.join().expect("a reader")).to_vec()
    });
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
    // The housekeeper may have been kept from it by the writer's haste.
    log.delete_old_segments(log.synced_offset(), NOW)
        .expect("deleted");
    assert!(log.log_start_offset() > Offset(0), "something was deleted");
    directory.shutdown(2, -1, NOW).expect("closed");
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    drop((directory, log));
    let directory = LogDirectory::open(options(folder.path())).expect("open");
    let summary = directory.load(&|_| Arc::clone(&config), 2, NOW).expect("loaded");
    assert!(summary.clean && summary.failed.is_empty());
    let log = directory.log(&partition()).expect("open").expect("there");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
    assert!(read_all(&log).iter().all(|(offset, tag)| *tag == tag_at(*offset)));
}
