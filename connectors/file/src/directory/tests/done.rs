//! What happens to files that are done, and what people see of it.

use std::time::{Duration, SystemTime};

use forebay_connect_api::Value;

use super::*;

const COMPLETE: (&str, &str) = ("file.complete", "true");
const SKIP: (&str, &str) = ("behavior.on.error", "skip");

#[tokio::test(start_paused = true)]
async fn files_are_seen_to_once_they_are_committed_and_not_before() {
    for policy in ["DELETE", "MOVE", "MOVEBYDATE", "MARK"] {
        let place = Place::new();
        let finished = place.beside("finished");
        let keys = [
            ("cleanup.policy", policy),
            ("finished.path", finished.to_str().expect("UTF-8")),
            ("input.path.walk.recursively", "true"),
            COMPLETE,
        ];
        let (first, second) = (place.write("a", "1\n2\n"), place.write("sub/b", "3\n"));
        let empty = place.write("empty", "");
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 365);
        OpenOptions::new()
            .write(true)
            .open(&first)
            .expect("opened")
            .set_modified(old)
            .expect("old");
        if policy == "MOVE" {
            fs::create_dir(&finished).expect("made");
            fs::write(finished.join("a"), "in the way").expect("written");
        }
        let mut running = place.start(&keys).await;
        assert_eq!(running.values(3).await, ["1", "2", "3"]);
        running.is_quiet().await;
        assert!(
            first.exists() && second.exists(),
            "{policy}: nothing is committed"
        );
        // Written to after its end was read: it is not done.
        append(&second, "4\n");
        running.commit().await;
        assert!(!first.exists() && second.exists(), "{policy}");
        assert_eq!(running.values(1).await, ["4"]);
        running.is_quiet().await;
        running.commit().await;
        assert!(!second.exists(), "{policy}");
        assert!(empty.exists(), "an empty file is nothing yet");
        let goes_to = match policy {
            "MOVE" => Some(finished.join("a.1")),
            "MOVEBYDATE" => Some(finished.join("1971-01-01/a")),
            "MARK" => Some(place.path("a.COMPLETED")),
            _ => None,
        };
        if let Some(path) = goes_to {
            assert_eq!(
                fs::read_to_string(path).expect("it is there"),
                "1\n2\n",
                "{policy}"
            );
        }
        running.is_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_committed_before_a_kill_is_seen_to_after_it() {
    let place = Place::new();
    let path = place.write("a", "1\n2\n");
    let keys = [("cleanup.policy", "DELETE"), COMPLETE];
    let mut running = place.start(&keys).await;
    running.values(2).await;
    let mut offsets = running
        .offsets
        .iter()
        .map(|(partition, offset)| ((**partition).clone(), offset.clone()));
    let last = offsets.next_back().expect("offsets");
    let mut after = Running::start(&place.properties(&keys), vec![last], Access::unrestricted()).await;
    after.is_quiet().await;
    assert!(!path.exists());
    // Another of the same content is another, even with the same inode.
    place.write("a", "1\n2\n");
    assert_eq!(after.values(2).await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn people_can_see_what_happens_to_files() {
    let place = Place::new();
    place.write("a", "1\n");
    let past = SystemTime::now() - Duration::from_secs(60);
    let bad = place.write("b.gz", "no gzip");
    OpenOptions::new()
        .write(true)
        .open(&bad)
        .expect("opened")
        .set_modified(past)
        .expect("old");
    let errors = place.beside("errors");
    let keys = [
        ("cleanup.policy", "DELETE"),
        ("error.path", errors.to_str().expect("UTF-8")),
        ("tasks.file.status.storage.topic", "files"),
        ("batch.size", "1"),
        SKIP,
        COMPLETE,
    ];
    let mut running = place.start(&keys).await;
    let mut states = Vec::new();
    for _ in 0..3 {
        while let Ok(polled) = tokio::time::timeout(Duration::from_secs(30), running.poll()).await {
            for record in polled
                .expect("records")
                .iter()
                .filter(|record| &*record.topic == "files")
            {
                record.value.validate().expect("as its schema says");
                assert_eq!(record.source_offset, None);
                let Value::Struct(status) = &record.value.value else {
                    panic!("a STRUCT")
                };
                let file = record.key.value.to_string();
                let name = file.rsplit('/').next().unwrap_or_default();
                states.push(format!(
                    "{name} {}",
                    status.get("state").expect("known").as_str().expect("a text")
                ));
            }
        }
        running.commit().await;
    }
    let of = |name: &str| -> Vec<&str> {
        states
            .iter()
            .filter_map(|state| state.strip_prefix(name))
            .map(str::trim)
            .collect()
    };
    assert_eq!(of("a "), ["READING", "COMPLETED", "CLEANED"], "{states:?}");
    let last = of("b.gz ").last().copied();
    assert_eq!(last, Some("CLEANED"), "{states:?}");
    assert!(of("b.gz ").contains(&"FAILED"), "{states:?}");
    assert!(errors.join("b.gz").exists());
}

#[tokio::test(start_paused = true)]
async fn how_far_complete_files_are_read_is_told_in_their_own_bytes() {
    let place = Place::new();
    let lines = |numbers: std::ops::Range<u32>| {
        let lines = numbers.map(|number| format!("{number:010}\n"));
        lines.collect::<String>()
    };
    let (plain, packed) = (lines(0..40), gzip(&lines(40..80)));
    place.write("a", &plain);
    place.write("b.gz", &packed);
    let whole = (plain.len() + packed.len()) as u64;
    let told = |running: &Running| running.context.progress().map(|told| (told.done, told.whole));
    let keys = [COMPLETE, ("batch.size", "10"), ("cleanup.policy", "DELETE")];
    let mut running = place.start(&keys).await;
    running.values(10).await;
    assert_eq!(told(&running), Some((110, whole)));
    running.values(70).await;
    running.is_quiet().await;
    assert_eq!(told(&running), Some((whole, whole)));
    // What is done stays done once it is deleted, and another file makes it more.
    running.commit().await;
    assert!(!place.path("a").exists() && !place.path("b.gz").exists());
    place.write("c", &plain);
    running.values(40).await;
    running.is_quiet().await;
    let all = whole + plain.len() as u64;
    assert_eq!(told(&running), Some((all, all)));

    // A file that was done before the task began counts as done; one that may grow has no end.
    let (partition, offset) = running.offsets.pop().expect("the last of it");
    let committed = vec![((*partition).clone(), offset)];
    let mut again = Running::start(&place.properties(&keys[..2]), committed, Access::unrestricted()).await;
    again.is_quiet().await;
    assert_eq!(told(&again), Some((plain.len() as u64, plain.len() as u64)));
    let mut growing = place.start(&[]).await;
    growing.values(40).await;
    assert_eq!(told(&growing), None);
}
