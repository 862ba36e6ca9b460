//! What a crash of the memory disk takes and leaves.

use super::*;
use crate::{DiskExt, Effect, Fault, FaultyDisk, FileExt};

fn disk_with(content: &[u8]) -> (MemoryDisk, Arc<dyn File>) {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/d")).expect("made");
    let file = disk.open(Path::new("/d/f"), OpenOptions::create()).expect("new");
    file.write_all_at(content, 0).expect("write");
    (disk, file)
}

fn content(disk: &MemoryDisk, path: &str) -> Option<Vec<u8>> {
    match disk.read(Path::new(path), u64::MAX) {
        Ok(content) => Some(content),
        Err(error) if error.is_not_found() => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn unsynced_bytes_and_names_are_lost() {
    let (disk, file) = disk_with(b"one");
    assert_eq!(
        content(&disk.crash(Survivors::OnlySynced), "/d/f"),
        None,
        "neither name nor bytes"
    );
    disk.sync_dir(Path::new("/d")).expect("sync");
    assert_eq!(
        content(&disk.crash(Survivors::OnlySynced), "/d/f").as_deref(),
        Some(&b""[..]),
        "only the name"
    );
    file.sync_data().expect("sync");
    file.write_all_at(b"two", 1).expect("write");
    let crashed = disk.crash(Survivors::OnlySynced);
    assert_eq!(content(&crashed, "/d/f").as_deref(), Some(&b"one"[..]));
    assert_eq!(
        content(&disk.crash(Survivors::Everything), "/d/f").as_deref(),
        Some(&b"otwo"[..])
    );
    assert_eq!(
        content(&disk, "/d/f").as_deref(),
        Some(&b"otwo"[..]),
        "the old disk goes on"
    );
    file.set_len(1).expect("cut");
    assert_eq!(
        content(&disk.crash(Survivors::OnlySynced), "/d/f").as_deref(),
        Some(&b"one"[..]),
        "cut not synced"
    );
    file.sync_data().expect("sync");
    assert_eq!(
        content(&disk.crash(Survivors::OnlySynced), "/d/f").as_deref(),
        Some(&b"o"[..])
    );
    assert_eq!(
        content(&crashed, "/d/f").as_deref(),
        Some(&b"one"[..]),
        "an image does not change"
    );
}

#[test]
fn unsynced_renames_and_removals_are_undone() {
    let (disk, file) = disk_with(b"one");
    file.sync_data().expect("sync");
    disk.sync_dir(Path::new("/d")).expect("sync");
    disk.rename(Path::new("/d/f"), Path::new("/d/g"))
        .expect("renamed");
    let crashed = disk.crash(Survivors::OnlySynced);
    assert_eq!(
        (content(&crashed, "/d/f"), content(&crashed, "/d/g")),
        (Some(b"one".to_vec()), None)
    );
    disk.sync_dir(Path::new("/d")).expect("sync");
    disk.remove_file(Path::new("/d/g")).expect("removed");
    let crashed = disk.crash(Survivors::OnlySynced);
    assert_eq!(
        (content(&crashed, "/d/f"), content(&crashed, "/d/g")),
        (None, Some(b"one".to_vec()))
    );
}

#[test]
fn some_pages_survive_by_chance() {
    let (disk, file) = disk_with(&[1; 64 * 1024]);
    file.sync_data().expect("sync");
    disk.sync_dir(Path::new("/d")).expect("sync");
    file.write_all_at(&[2; 64 * 1024], 0).expect("write");
    let image = |seed| content(&disk.crash(Survivors::Random(seed)), "/d/f").expect("synced name");
    let left = image(1);
    assert!(
        left.contains(&1) && left.contains(&2),
        "a mix of old and new pages"
    );
    assert!(
        left.chunks(4096)
            .all(|page| page.iter().all(|byte| *byte == page[0])),
        "pages are whole"
    );
    assert_eq!(left, image(1), "the same seed, the same image");
    assert!(
        (2..10).any(|seed| image(seed) != left),
        "another seed, another image"
    );
}

#[test]
fn an_evicted_file_is_not_in_the_page_cache() {
    let (disk, file) = disk_with(b"one");
    let mut buffer = [0; 3];
    assert_eq!(file.read_at_nowait(&mut buffer, 0).expect("read"), Some(3));
    disk.evict_page_cache();
    assert_eq!(file.read_at_nowait(&mut buffer, 0).expect("read"), None);
    file.read_exact_at(&mut buffer, 0, Path::new("/d/f"))
        .expect("from the device");
    assert_eq!(file.read_at_nowait(&mut buffer, 0).expect("read"), Some(3));
}

#[test]
fn locks_do_not_survive() {
    let disk = MemoryDisk::new();
    let _held = disk.lock(Path::new("/.lock")).expect("free");
    assert!(matches!(
        disk.lock(Path::new("/.lock")),
        Err(Error::Locked { .. })
    ));
    disk.crash(Survivors::Everything)
        .lock(Path::new("/.lock"))
        .expect("a new process");
}

#[test]
fn faults_hit_where_they_are_set() {
    let (disk, _) = disk_with(b"");
    let faulty = FaultyDisk::new(Arc::new(disk.clone()));
    let file = faulty
        .open(Path::new("/d/f"), OpenOptions::write())
        .expect("open");
    faulty.set(Fault {
        operation: Operation::Write,
        nth: 2,
        effect: Effect::ShortWrite { bytes: 2 },
    });
    file.write_all_at(b"abc", 0).expect("first");
    let error = file.write_all_at(b"def", 3).expect_err("second");
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert_eq!(
        content(&disk, "/d/f").as_deref(),
        Some(&b"abcde"[..]),
        "a part is written"
    );
    file.write_all_at(b"def", 3).expect("third");

    faulty.set(Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::NoSpaceFromNowOn,
    });
    assert!(file.write_all_at(b"x", 0).is_err());
    assert!(file.write_all_at(b"x", 0).is_err());
    assert_eq!(faulty.count(Operation::Write), 2);
    faulty.clear();
    file.write_all_at(b"x", 0).expect("space again");

    faulty.set(Fault {
        operation: Operation::Sync,
        nth: 2,
        effect: Effect::Freeze,
    });
    file.sync_data().expect("first");
    assert!(file.sync_data().is_err());
    assert!(file.write_all_at(b"y", 0).is_err(), "frozen");
    assert!(
        faulty.rename(Path::new("/d/f"), Path::new("/d/g")).is_err(),
        "frozen"
    );
    assert_eq!(faulty.read(Path::new("/d/f"), 9).expect("reads go on"), b"xbcdef");

    faulty.set(Fault {
        operation: Operation::Rename,
        nth: 1,
        effect: Effect::Fail,
    });
    assert!(faulty.rename(Path::new("/d/f"), Path::new("/d/g")).is_err());
    faulty
        .rename(Path::new("/d/f"), Path::new("/d/g"))
        .expect("second");
}
