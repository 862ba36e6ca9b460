//! The main promise: a file becomes a topic, Parquet and a word count while both processes are killed at random moments, and
//! afterwards no line is missing or there twice, no record is stored twice, no word is counted twice.
//!
//! `FOREBAY_TEST_KILLS=N` kills more often; `FOREBAY_TEST_SEED=N` repeats the moments of a run (not what the machine did at them). `FOREBAY_TEST_BREAK=store`, `=log`,
//! `=count` or `=transaction` breaks one guarantee from outside, behind the product's back, and the test must fail.

pub(crate) mod check;
mod input;
mod pipeline;
mod sabotage;
pub(crate) mod store;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::Pipeline;
use sabotage::Sabotage;
use store::Store;

/// How many times each of the two processes is killed.
const KILLS: usize = 10;

/// The kill after which a guarantee is broken: late enough that there is something to break.
const SABOTAGE_AFTER: usize = 2;

/// How long at most a hub lives between two kills.
const LIFE_MAX: Duration = Duration::from_millis(1500);

/// Chance, from a seed: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn seed() -> u64 {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    given.map_or_else(
        || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            now.as_nanos() as u64
        },
        |text| text.parse().expect("FOREBAY_TEST_SEED is a number"),
    )
}

/// Runs everything, killing `kills` times, and gives what is wrong at the end.
#[allow(clippy::print_stderr, reason = "the report of the run")]
fn run(kills: usize, in_s3: bool, sabotage: Option<Sabotage>) -> Vec<String> {
    let seed = seed();
    eprintln!("FOREBAY_TEST_SEED={seed}");
    let mut chance = Chance(seed);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("store");
    let store = if in_s3 {
        Store::s3(&store)
    } else {
        Store::local(store)
    };
    let mut pipeline = Pipeline::start(
        directory.path(),
        store,
        seed,
        sabotage != Some(Sabotage::Transaction),
    );
    let mut hits = 0;
    for kill in 1..=kills {
        let strikes = sabotage.filter(|_| kill == SABOTAGE_AFTER);
        if let Some(sabotage) = strikes {
            sabotage.wait(&pipeline);
        }
        // A random moment; nothing else waits for anything here.
        let moment = chance.below(LIFE_MAX.as_millis() as u64);
        std::thread::sleep(Duration::from_millis(moment));
        let in_flight = pipeline.kill_hub();
        // The counting process dies at the same moment, or lives through the hub's death and dies later, or before.
        let counting_dies_with_hub = chance.below(2) == 0 || strikes.is_some();
        if counting_dies_with_hub {
            pipeline.kill_counting();
        }
        if in_flight.is_any() {
            hits += 1;
        }
        eprintln!("kill {kill} after {moment} ms: {in_flight}");
        if let Some(sabotage) = strikes {
            sabotage.strike(&mut pipeline);
        }
        pipeline.restart_hub();
        if !counting_dies_with_hub {
            std::thread::sleep(Duration::from_millis(chance.below(500)));
            pipeline.kill_counting();
        }
        pipeline.restart_counting();
    }
    eprintln!("{hits} of {kills} kills hit work in flight");
    let outcome = pipeline.finish();
    eprintln!("{outcome}");
    let mut wrong = outcome.wrong();
    if hits * 2 < kills {
        wrong.push(format!(
            "only {hits} of {kills} kills hit work in flight: the run proves little"
        ));
    }
    wrong
}

fn kills() -> usize {
    let given = std::env::var("FOREBAY_TEST_KILLS").ok();
    given.map_or(KILLS, |text| {
        text.parse().expect("FOREBAY_TEST_KILLS is a number")
    })
}

fn assert_nothing_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ten_kills_lose_no_line_and_store_and_count_nothing_twice() {
    let sabotage = std::env::var("FOREBAY_TEST_BREAK").ok();
    let sabotage = sabotage
        .map(|name| Sabotage::named(&name).expect("FOREBAY_TEST_BREAK is store, log, count or transaction"));
    assert_nothing_wrong(&run(kills(), false, sabotage));
}

#[test]
fn ten_kills_store_nothing_twice_in_s3() {
    assert_nothing_wrong(&run(kills(), true, None));
}

/// The same run with each guarantee broken: if this finds nothing, the test above proves nothing. What the log has lost may by chance be
/// sent once more, by a source that had not committed how far it was: then it is done again.
#[test]
fn a_broken_guarantee_is_seen() {
    const ATTEMPTS: usize = 3;
    for (_, sabotage) in Sabotage::ALL {
        let seen = || {
            let wrong = run(SABOTAGE_AFTER, false, Some(sabotage));
            wrong.iter().any(|it| it.contains(sabotage.expected()))
        };
        assert!(
            (0..ATTEMPTS).any(|_| seen()),
            "{sabotage:?} went unseen {ATTEMPTS} times"
        );
    }
}
