//! One suite for every implementation: what [`Disk`] promises while the machine runs.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use crate::{
    Disk, DiskExt, Effect, Error, FaultyDisk, FileExt, FileKind, MemoryDisk, OpenOptions, Operation, RealDisk,
};

/// Runs `check` on an empty directory of each implementation.
fn on_each(check: impl Fn(&dyn Disk, &Path)) {
    let memory = MemoryDisk::new();
    memory.create_dir_all(Path::new("/data")).expect("memory");
    check(&memory, Path::new("/data"));
    let memory = MemoryDisk::new();
    memory.create_dir_all(Path::new("/data")).expect("memory");
    check(&FaultyDisk::new(Arc::new(memory)), Path::new("/data"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    check(&RealDisk, directory.path());
    let directory = tempfile::tempdir().expect("a temporary directory");
    check(&FaultyDisk::new(Arc::new(RealDisk)), directory.path());
}

#[test]
fn files_are_read_and_written_at_positions() {
    on_each(|disk, root| {
        let path = root.join("file");
        let file = disk.open(&path, OpenOptions::create_new()).expect("new");
        file.write_all_at(b"hello", 3).expect("write");
        let mut parts = [&b"wor"[..], b"", b"ld"].map(IoSlice::new);
        file.write_all_vectored_at(&mut parts, 8).expect("vectored");
        assert_eq!(file.len().expect("len"), 13);
        assert_eq!(disk.read(&path, 13).expect("read"), b"\0\0\0helloworld");
        let mut buffer = [7; 8];
        assert_eq!(
            file.read_at(&mut buffer, 8).expect("read"),
            5,
            "only what is there"
        );
        assert_eq!(&buffer, b"world\x07\x07\x07");
        assert_eq!(file.read_at(&mut buffer, 13).expect("read"), 0, "at the end");
        assert_eq!(file.read_at(&mut buffer, 99).expect("read"), 0, "behind the end");
        let error = file
            .read_exact_at(&mut buffer, 6, &path)
            .expect_err("7 bytes are left");
        assert!(
            matches!(
                error,
                Error::UnexpectedEnd {
                    position: 6,
                    length: 8,
                    ..
                }
            ),
            "{error}"
        );
        let error = disk.read(&path, 12).expect_err("one byte too long");
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    length: 13,
                    limit: 12,
                    ..
                }
            ),
            "{error}"
        );
    });
}

#[test]
fn more_buffers_than_one_system_call_takes() {
    on_each(|disk, root| {
        let file = disk.open(&root.join("file"), OpenOptions::create()).expect("new");
        let bytes: Vec<u8> = (0..5000_u32).map(|number| number as u8).collect();
        let mut parts: Vec<IoSlice<'_>> = bytes.chunks(2).map(IoSlice::new).collect();
        file.write_all_vectored_at(&mut parts, 0).expect("write");
        assert_eq!(disk.read(&root.join("file"), 5000).expect("read"), bytes);
    });
}

#[test]
fn cutting_and_zeroing() {
    on_each(|disk, root| {
        let path = root.join("file");
        let file = disk.open(&path, OpenOptions::create()).expect("new");
        file.write_all_at(&[1; 100], 0).expect("write");
        file.set_len(10).expect("cut");
        file.set_len(20).expect("extend");
        assert_eq!(
            disk.read(&path, 100).expect("read"),
            [[1; 10], [0; 10]].concat(),
            "what was cut stays cut"
        );
        let long = 3 * 1024 * 1024 + 17;
        file.write_all_at(&[9; 30], long).expect("write");
        file.write_zeros_at(5, long).expect("zeros");
        let content = disk.read(&path, long + 30).expect("read");
        assert_eq!(content.iter().filter(|byte| **byte != 0).count(), 5 + 25);
        file.sync_data().expect("sync");
    });
}

#[test]
fn how_files_are_opened() {
    on_each(|disk, root| {
        let path = root.join("file");
        assert!(
            disk.open(&path, OpenOptions::read())
                .expect_err("missing")
                .is_not_found()
        );
        assert!(
            disk.open(&path, OpenOptions::write())
                .expect_err("missing")
                .is_not_found()
        );
        disk.open(&path, OpenOptions::create())
            .expect("made")
            .write_all_at(b"abc", 0)
            .expect("write");
        let there = disk.open(&path, OpenOptions::create_new()).expect_err("there");
        assert!(matches!(there, Error::AlreadyExists { .. }), "{there}");
        let reader = disk.open(&path, OpenOptions::read()).expect("read");
        assert!(reader.write_all_at(b"x", 0).is_err(), "open for reading");
        assert_eq!(disk.read(&path, 9).expect("read"), b"abc");
        disk.open(&path, OpenOptions::replace()).expect("emptied");
        assert_eq!(reader.len().expect("len"), 0);
        assert!(
            disk.open(root, OpenOptions::write()).is_err(),
            "a directory is no file"
        );
        let nowhere = disk
            .open(&root.join("no/file"), OpenOptions::create())
            .expect_err("no directory");
        assert!(nowhere.is_not_found());
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    on_each(|disk, root| {
        let (one, two) = (root.join("one"), root.join("two"));
        let file = disk.open(&one, OpenOptions::create()).expect("new");
        file.write_all_at(b"first", 0).expect("write");
        disk.open(&two, OpenOptions::create())
            .expect("new")
            .write_all_at(b"second", 0)
            .expect("write");
        disk.rename(&two, &one).expect("replaced");
        let mut buffer = [0; 5];
        file.read_exact_at(&mut buffer, 0, &one).expect("still readable");
        assert_eq!(&buffer, b"first");
        assert_eq!(disk.read(&one, 9).expect("read"), b"second");
        disk.remove_file(&one).expect("removed");
        file.read_exact_at(&mut buffer, 0, &one).expect("still readable");
        assert!(!disk.exists(&one).expect("exists"));
        assert!(disk.remove_file(&one).expect_err("gone").is_not_found());
        disk.remove_file_if_exists(&one).expect("gone is fine");
    });
}

#[test]
fn directories() {
    on_each(|disk, root| {
        let deep = root.join("a/b/c");
        disk.create_dir_all(&deep).expect("made");
        disk.create_dir_all(&deep).expect("again");
        disk.open(&deep.join("file"), OpenOptions::create())
            .expect("new")
            .write_all_at(b"12", 0)
            .expect("write");
        let names = |path: &Path| -> Vec<_> {
            let entries = disk.read_dir(path).expect("list");
            entries
                .into_iter()
                .map(|entry| (entry.name.into_string().expect("UTF-8"), entry.kind))
                .collect()
        };
        disk.open(&root.join("a/b/z"), OpenOptions::create())
            .expect("new");
        disk.open(&root.join("a/b/B"), OpenOptions::create())
            .expect("new");
        let expected = [
            ("B", FileKind::File),
            ("c", FileKind::Directory),
            ("z", FileKind::File),
        ];
        assert_eq!(
            names(&root.join("a/b")),
            expected.map(|(name, kind)| (name.to_owned(), kind)),
            "sorted"
        );
        assert!(
            disk.create_dir_all(&root.join("a/b/z/y")).is_err(),
            "below a file"
        );
        disk.rename_durably(&root.join("a/b"), &root.join("moved"))
            .expect("moved");
        assert_eq!(
            disk.metadata(&root.join("moved/c/file"))
                .expect("moved along")
                .length,
            2
        );
        assert_eq!(
            disk.metadata(&root.join("moved/c")).expect("there").kind,
            FileKind::Directory
        );
        assert!(disk.metadata(&root.join("a/b")).expect_err("gone").is_not_found());
        assert!(disk.read_dir(&root.join("a/b")).expect_err("gone").is_not_found());
        disk.remove_dir_all(&root.join("moved")).expect("removed");
        disk.remove_dir_all(&root.join("a")).expect("removed");
        disk.sync_dir(root).expect("sync");
        assert_eq!(names(root), []);
    });
}

#[test]
fn small_files_are_replaced_in_one_step() {
    on_each(|disk, root| {
        let path = root.join("checkpoint");
        disk.write_atomically(&path, b"one").expect("written");
        disk.write_atomically(&path, b"two").expect("replaced");
        assert_eq!(disk.read(&path, 3).expect("read"), b"two");
        assert_eq!(
            disk.read_dir(root).expect("list").len(),
            1,
            "no temporary file is left"
        );
    });
}

#[test]
fn one_holder_of_a_lock() {
    on_each(|disk, root| {
        let path = root.join(".lock");
        let held = disk.lock(&path).expect("free");
        let error = disk.lock(&path).expect_err("held");
        assert!(
            matches!(&error, Error::Locked { path: named } if *named == path),
            "{error}"
        );
        drop(held);
        disk.lock(&path).expect("free again");
    });
}

#[test]
fn a_read_from_the_page_cache_never_lies() {
    on_each(|disk, root| {
        let file = disk.open(&root.join("file"), OpenOptions::create()).expect("new");
        file.write_all_at(b"hello", 0).expect("write");
        let mut buffer = [0; 9];
        // Not every file system can say; if it says something, it is the truth.
        if let Some(read) = file.read_at_nowait(&mut buffer, 1).expect("read") {
            assert_eq!(&buffer[..read], &b"ello"[..read]);
        }
    });
}

#[test]
fn a_full_place_takes_nothing_more_and_gives_what_it_has() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let (full, other) = (Path::new("/full"), Path::new("/other"));
    for place in [full, other] {
        disk.create_dir_all(place).expect("new");
        let file = disk.open(&place.join("file"), OpenOptions::create());
        file.expect("new").write_all_at(b"hello", 0).expect("room");
    }
    disk.fill(full);
    let file = disk
        .open(&full.join("file"), OpenOptions::create())
        .expect("it is there");
    file.write_all_at(b"J", 0).expect("in the place of another");
    for refused in [
        file.write_all_at(b"more", 4),
        file.set_len(6),
        disk.create_dir_all(&full.join("new")),
        disk.open(&full.join("new"), OpenOptions::create()).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    }
    assert_eq!(disk.read(&full.join("file"), 100).expect("read"), b"Jello");
    disk.create_dir_all(full).expect("it is there");
    file.set_len(4).expect("shorter");
    let elsewhere = disk
        .open(&other.join("file"), OpenOptions::write())
        .expect("it is there");
    elsewhere.write_all_at(b"hello", 5).expect("room");
    disk.clear();
    file.write_all_at(b"more", 4).expect("room again");
}

#[test]
fn a_test_may_step_in_and_decide() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let file = disk.open(Path::new("file"), OpenOptions::create()).expect("new");
    for effect in [None, Some(Effect::Fail), Some(Effect::NoSpace)] {
        let inner = Arc::clone(&file);
        disk.call_at(Operation::Sync, 2, move || {
            inner
                .write_all_at(b"in the middle", 0)
                .expect("the disk is not locked");
            effect
        });
        file.sync_data().expect("the first");
        let second = file.sync_data();
        assert_eq!(second.is_ok(), effect.is_none());
        assert_eq!(
            second.is_err_and(|error| error.is_retriable()),
            effect == Some(Effect::NoSpace)
        );
        file.sync_data().expect("the third");
        assert_eq!(
            (disk.count(Operation::Sync), disk.count(Operation::Write)),
            (3, 1)
        );
    }
}
