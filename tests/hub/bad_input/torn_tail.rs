//! B15: garbage behind the active segment, or bytes missing from it, after a kill: the log ends at the last whole batch, and
//! offsets go on from there.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::librdkafka::{broker, create_topic, produce_values, read_all, watermarks};
use crate::process::Hub;

const TOPIC: &str = "torn";

/// What is done to the active segment.
#[derive(Debug, Clone)]
enum Damage {
    Append(Vec<u8>),
    /// Behind the start of the last batch, everything from this many bytes on.
    CutLastBatchTo(u64),
}

fn segment(hub: &Hub) -> PathBuf {
    let folder = hub.partition_dir(TOPIC, 0);
    let mut logs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the partition's folder")
        .map(|it| it.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    logs.sort();
    logs.pop().expect("a segment")
}

/// Positions of the batches, and their base offsets; then where the last one ends.
fn batches(segment: &Path) -> (Vec<(u64, i64)>, u64) {
    let bytes = std::fs::read(segment).expect("the segment");
    let (mut found, mut position) = (Vec::new(), 0);
    while let Some(head) = bytes.get(position..position + 12) {
        let base = i64::from_be_bytes(head[..8].try_into().expect("8 bytes"));
        let length = i32::from_be_bytes(head[8..].try_into().expect("4 bytes"));
        if length <= 0 {
            break;
        }
        found.push((position as u64, base));
        position += 12 + length as usize;
    }
    (found, position as u64)
}

fn damage(segment: &Path, damage: &Damage) -> Option<i64> {
    let (batches, end) = batches(segment);
    let file = OpenOptions::new().write(true).open(segment).expect("the segment");
    match damage {
        Damage::Append(bytes) => {
            use std::os::unix::fs::FileExt;
            file.write_all_at(bytes, end).expect("written");
            None
        }
        Damage::CutLastBatchTo(bytes) => {
            let (position, base) = *batches.last().expect("a batch");
            assert!(position + bytes < end, "that cuts nothing");
            file.set_len(position + bytes).expect("cut");
            Some(base)
        }
    }
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_batch_and_offsets_go_on() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, TOPIC, 1);
    let mut expected: Vec<String> = Vec::new();
    let append = |expected: &mut Vec<String>, round: usize| {
        let values: Vec<String> = (0..25)
            .map(|number| format!("round {round} line {number}"))
            .collect();
        let places = produce_values(
            &bootstrap,
            TOPIC,
            Some(0),
            &values,
            &[("batch.num.messages", "10"), ("linger.ms", "100")],
        );
        assert_eq!(
            places[&0],
            (0, expected.len() as i64),
            "round {round}: the next offset"
        );
        expected.extend(values);
    };
    append(&mut expected, 0);
    // The first half of a real batch, and one whose checksum is wrong.
    let whole = std::fs::read(segment(&hub)).expect("the segment");
    let half = whole[..40].to_vec();
    let mut wrong = whole[..batches(&segment(&hub)).0[1].0 as usize].to_vec();
    *wrong.last_mut().expect("bytes") ^= 1;
    let damages = [
        Damage::Append(vec![0xff]),
        Damage::Append(b"garbage".repeat(1000)),
        Damage::Append(vec![0; 5000]),
        Damage::Append(half),
        Damage::Append(wrong),
        Damage::CutLastBatchTo(0),
        Damage::CutLastBatchTo(1),
        Damage::CutLastBatchTo(12),
        Damage::CutLastBatchTo(61),
        Damage::CutLastBatchTo(70),
    ];
    for (round, done) in damages.iter().enumerate() {
        hub.process().kill();
        let end = damage(&segment(&hub), done).map_or(expected.len(), |base| base as usize);
        expected.truncate(end);
        hub.restart();
        assert_eq!(watermarks(&bootstrap, TOPIC, 0), (0, end as i64), "{done:?}");
        append(&mut expected, round + 1);
        let texts: Vec<_> = read_all(&bootstrap, TOPIC, 1)
            .iter()
            .map(|it| it.text().to_owned())
            .collect();
        assert_eq!(texts, expected, "{done:?}");
    }
}
