//! Checkpoints that are written while others are at work.

use std::sync::mpsc;
use std::time::Duration;

use forebay_disk::{Operation, Survivors};

use super::*;
use crate::TopicPartition;

fn name(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0).expect("valid")
}

fn log_of(directory: &LogDirectory, topic: &str) -> Arc<Log> {
    let log = directory.log_or_create(&name(topic), topic_id(), &Arc::new(small_segments()));
    log.expect("usable")
}

/// Logs on a disk of which the test decides, each with records and a leader epoch that is not written yet.
fn logs(topics: &[&str]) -> (MemoryDisk, FaultyDisk, Arc<LogDirectory>) {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory.clone()));
    let directory = open(Arc::new(disk.clone()), &small_segments()).expect("open");
    for topic in topics {
        let log = log_of(&directory, topic);
        for tag in 0..10 {
            append(&log, append_of(tag, 1, 150)).expect("appended");
        }
        log.sync(NOW).expect("synced");
    }
    (memory, disk, Arc::new(directory))
}

/// One whose writes take long holds up nobody who deletes records, makes a log or deletes one.
#[test]
fn nobody_waits_for_the_writers_of_other_logs() {
    let (memory, disk, directory) = logs(&["a-slow-one", "quick", "gone"]);
    let slow = log_of(&directory, "a-slow-one");
    let (told, outcome) = mpsc::channel();
    let other = Arc::clone(&directory);
    // The leader epochs of the first log, written by who has its writer.
    disk.call_at(Operation::Write, 1, move || {
        let (sender, done) = mpsc::channel();
        std::thread::spawn(move || {
            let quick = log_of(&other, "quick");
            quick
                .delete_records_before(Offset(5), Offset(10))
                .expect("deleted");
            other.checkpoint_log_starts().expect("written");
            other.delete(&[name("gone")], 1, NOW).expect("deleted");
            append(&log_of(&other, "new"), append_of(1, 1, 1)).expect("appended");
            sender.send(())
        });
        let done = done.recv_timeout(Duration::from_secs(5));
        told.send(done).expect("the test waits");
        None
    });
    directory.checkpoint(None).expect("written");
    assert_eq!(outcome.recv().expect("something is written"), Ok(()));
    assert_eq!(slow.log_end_offset(), Offset(10));
    let directory = open(Arc::new(memory.crash(Survivors::OnlySynced)), &small_segments()).expect("open");
    let quick = directory.log(&name("quick")).expect("open").expect("there");
    assert_eq!(quick.log_start_offset(), Offset(5));
    assert!(directory.log(&name("gone")).expect("no log").is_none());
}

/// Neither who asks for another log while one is deleted.
#[test]
fn only_the_deletion_waits_for_the_writer_of_its_log() {
    let (_, disk, directory) = logs(&["gone", "other"]);
    let gone = log_of(&directory, "gone");
    let (told, outcome) = mpsc::channel();
    let (deleting, asking) = (Arc::clone(&directory), Arc::clone(&directory));
    disk.call_at(Operation::Write, 1, move || {
        let (sender, answer) = mpsc::channel();
        std::thread::spawn(move || deleting.delete(&[name("gone")], 1, NOW));
        std::thread::spawn(move || {
            while asking.log(&name("gone")).expect("open").is_some() {
                std::thread::yield_now();
            }
            sender.send(asking.log(&name("other")).expect("open").is_some())
        });
        told.send(answer.recv_timeout(Duration::from_secs(5)))
            .expect("the test waits");
        None
    });
    append(&gone, append_of(1, 1, 1)).expect("it was there when that began");
    assert_eq!(outcome.recv().expect("something is written"), Ok(true));
}

/// What was said of its end is not true any more.
#[test]
fn a_log_may_be_cut_while_checkpoints_are_prepared() {
    for anew in [false, true] {
        let (memory, disk, directory) = logs(&["cut", "other"]);
        directory.checkpoint(None).expect("written");
        let (cut, other) = (log_of(&directory, "cut"), log_of(&directory, "other"));
        for log in [&cut, &other] {
            log.append(EPOCH.next(), NOW, vec![append_of(50, 1, 1)]);
            log.sync(NOW).expect("synced");
        }
        let cutting = Arc::clone(&directory);
        // The first one's leader epochs are written: what comes is the second one's.
        cut.prepare_checkpoint().expect("prepared");
        disk.call_at(Operation::Write, 1, move || {
            let done = if anew {
                cutting.truncate_fully_and_start_at(&name("cut"), Offset(3), NOW)
            } else {
                cutting.truncate_to(&name("cut"), Offset(4), NOW).map(drop)
            };
            done.expect("cut");
            None
        });
        directory.checkpoint(None).expect("written");
        for survivors in [Survivors::OnlySynced, Survivors::Everything] {
            let directory = open(Arc::new(memory.crash(survivors)), &small_segments());
            let directory = directory.expect("nothing is missing");
            let log = directory.log(&name("cut")).expect("open").expect("there");
            let expected = if anew { 3 } else { 4 };
            assert_eq!(log.log_end_offset(), Offset(expected));
        }
    }
}
