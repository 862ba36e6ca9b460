//! Source offsets of files that are gone are forgotten, where nothing can come of that.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::{
    reading::{Offsets, Reading},
    *,
};

const COMPLETE: (&str, &str) = ("file.complete", "true");
const DELETE: (&str, &str) = ("cleanup.policy", "DELETE");

/// Whether the file system under the tests tells when files were born; without that no offset is ever forgotten.
fn births_are_told(place: &Place) -> bool {
    let metadata = fs::metadata(place.root()).expect("it is there");
    metadata.created().is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_forgotten_when_no_name_of_it_is_left() {
    let place = Place::new();
    if !births_are_told(&place) {
        return;
    }
    place.write("a", "1\n");
    let twice = place.write("b", "2\n");
    fs::hard_link(&twice, place.path("c")).expect("linked");
    fs::hard_link(&twice, place.beside("kept")).expect("linked");
    place.write("empty", "");
    let mut running = place.start(&[DELETE, COMPLETE]).await;
    running.values(2).await;
    running.is_quiet().await;
    assert!(running.forgotten.is_empty(), "nothing is committed");
    for _ in 0..2 {
        running.commit().await;
        running.is_quiet().await;
    }
    assert!(!place.path("b").exists() && !place.path("c").exists());
    assert_eq!(running.forgotten, ["a"], "of the other there is a name elsewhere");
    fs::rename(place.beside("kept"), place.path("back")).expect("renamed");
    running.is_quiet().await;
    assert!(!place.path("back").exists(), "it is known, and deleted");
    assert_eq!(running.forgotten, ["a", "b"]);
    // The names come back: these are other files.
    for name in ["a", "b"] {
        place.write(name, "3\n");
        assert_eq!(running.values(1).await, ["3"]);
    }
    running.commit().await;
    running.is_quiet().await;
    assert_eq!(running.forgotten, ["a", "b", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_moved_file_is_forgotten_if_that_is_asked_for() {
    for forgets in ["false", "true"] {
        let place = Place::new();
        let finished = place.beside("finished");
        let keys = [
            ("cleanup.policy", "MOVE"),
            ("finished.path", finished.to_str().expect("UTF-8")),
            ("finished.path.forget.offsets", forgets),
            COMPLETE,
        ];
        let linked = place.write("a", "1\n");
        fs::hard_link(&linked, place.beside("other name")).expect("linked");
        place.write("b", "2\n");
        let mut running = place.start(&keys).await;
        running.values(2).await;
        running.is_quiet().await;
        running.commit().await;
        running.is_quiet().await;
        let is_forgotten = forgets == "true" && births_are_told(&place);
        assert_eq!(running.forgotten, if is_forgotten { &["b"][..] } else { &[] });
        // Who puts it back wants it to be read again, if that was said.
        fs::rename(finished.join("b"), place.path("b")).expect("moved back");
        fs::rename(finished.join("a"), place.path("a")).expect("moved back");
        if is_forgotten {
            assert_eq!(running.values(1).await, ["2"]);
        }
        running.is_quiet().await;
        running.commit().await;
        assert!(finished.join("a").exists() && finished.join("b").exists());
    }
}

/// The contract holds where offsets are forgotten, too, and kills find nothing that comes again.
#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_files_that_are_deleted() {
    let (mut kills_in_flight, mut forgotten) = (0, 0);
    for seed in 0..16 {
        let place = Place::new();
        let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        for (file, numbers) in expected.chunks(20).enumerate() {
            place.write(&format!("{file:03}"), numbers.join("\n") + "\n");
        }
        let connector = DirectorySourceConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: place.properties(&[
                DELETE,
                COMPLETE,
                ("batch.size", "17"),
                ("fs.listing.interval.ms", "0"),
            ]),
            expected,
            disturb: &|_| {},
        };
        let report = check_source(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
        forgotten += report.forgotten;
    }
    assert!(kills_in_flight > 0, "{kills_in_flight}");
    assert!(forgotten > 0 || !births_are_told(&Place::new()), "{forgotten}");
}

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// A file of so many lines comes, by a name that another may have had.
    Write { name: usize, lines: usize },
    /// It gets another name in the directory.
    Rename { name: usize, to: usize },
    /// It gets one more name.
    Link { name: usize, to: usize },
    /// It is moved elsewhere for a while.
    Hide { name: usize },
    /// What is elsewhere comes back.
    Return,
    /// Somebody deletes it.
    Remove { name: usize },
    /// All files are out of sight for some polls.
    Unmount { polls: usize },
    /// A task reads.
    Poll { task: usize },
    /// What a task gave out is committed.
    Commit { task: usize },
    /// What a task gave out and is not committed is taken back; another starts.
    Kill { task: usize },
}

const NAMES: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    prop_oneof![
        8 => (name.clone(), 1_usize..8).prop_map(|(name, lines)| Step::Write { name, lines }),
        1 => (name.clone(), name.clone()).prop_map(|(name, to)| Step::Rename { name, to }),
        2 => (name.clone(), name.clone()).prop_map(|(name, to)| Step::Link { name, to }),
        2 => name.clone().prop_map(|name| Step::Hide { name }),
        2 => Just(Step::Return),
        1 => name.prop_map(|name| Step::Remove { name }),
        1 => (1_usize..6).prop_map(|polls| Step::Unmount { polls }),
        16 => (0_usize..8).prop_map(|task| Step::Poll { task }),
        8 => (0_usize..8).prop_map(|task| Step::Commit { task }),
        2 => (0_usize..8).prop_map(|task| Step::Kill { task }),
    ]
}

struct World {
    place: Place,
    keys: Vec<(&'static str, String)>,
    tasks: Vec<Reading>,
    offsets: Offsets,
    committed: Vec<String>,
    written: Vec<String>,
    may_be_lost: BTreeSet<String>,
    hidden: usize,
    /// Something happened after which offsets of files may stay that are gone.
    may_leave_offsets: bool,
    now: Duration,
}

impl World {
    fn new(policy: &'static str, tasks: usize) -> Self {
        let place = Place::new();
        let finished = place.beside("finished").to_str().expect("UTF-8").to_owned();
        let forgets = policy.starts_with("MOVE");
        let mut world = Self {
            keys: vec![
                ("cleanup.policy", policy.to_owned()),
                ("finished.path", finished),
                ("finished.path.forget.offsets", forgets.to_string()),
                ("file.complete", "true".to_owned()),
            ],
            place,
            tasks: Vec::new(),
            offsets: Offsets::new(),
            committed: Vec::new(),
            written: Vec::new(),
            may_be_lost: BTreeSet::new(),
            hidden: 0,
            may_leave_offsets: matches!(policy, "NONE" | "MARK"),
            now: Duration::ZERO,
        };
        world.tasks = (0..tasks).map(|task| world.task(task, tasks)).collect();
        world
    }

    fn task(&self, task: usize, tasks: usize) -> Reading {
        let keys = self.keys.iter().map(|(key, value)| (*key, value.as_str()));
        Reading::new(&self.place, &keys.collect::<Vec<_>>(), task, tasks)
    }

    fn file(&self, name: usize) -> PathBuf {
        self.place.path(&format!("{name}.txt"))
    }

    fn do_step(&mut self, step: &Step) {
        self.now += Duration::from_millis(500);
        match *step {
            Step::Write { name, lines } => self.write(name, lines),
            Step::Rename { name, to } => {
                if !self.file(to).exists() {
                    drop(fs::rename(self.file(name), self.file(to)));
                }
            }
            Step::Link { name, to } => {
                let is_linked = fs::hard_link(self.file(name), self.file(to)).is_ok();
                // Moved by one name, it still has the other.
                self.may_leave_offsets |= is_linked && self.keys[0].1 != "DELETE";
            }
            Step::Hide { name } => {
                let hidden = self.place.beside(&format!("hidden-{}", self.hidden));
                self.hidden += usize::from(fs::rename(self.file(name), hidden).is_ok());
            }
            Step::Return => self.give_back(),
            Step::Remove { name } => {
                if let Ok(text) = fs::read_to_string(self.file(name)) {
                    fs::remove_file(self.file(name)).expect("removed");
                    self.may_leave_offsets = true;
                    let lines = text.lines().map(str::to_owned);
                    self.may_be_lost.extend(lines);
                }
            }
            Step::Unmount { polls } => {
                let away = self.place.beside("away");
                fs::rename(self.place.root(), &away).expect("renamed");
                fs::create_dir(self.place.root()).expect("made");
                for poll in 0..polls {
                    self.poll(poll % self.tasks.len());
                }
                fs::remove_dir(self.place.root()).expect("it is empty");
                fs::rename(away, self.place.root()).expect("renamed");
            }
            Step::Poll { task } => self.poll(task % self.tasks.len()),
            Step::Commit { task } => self.commit(task % self.tasks.len()),
            Step::Kill { task } => {
                let task = task % self.tasks.len();
                self.may_leave_offsets = true;
                self.tasks[task] = self.task(task, self.tasks.len());
            }
        }
    }

    /// Complete when it appears, as the configuration says.
    fn write(&mut self, name: usize, lines: usize) {
        if self.file(name).exists() {
            return;
        }
        let from = self.written.len();
        let lines = (from..from + lines).map(|number| format!("{number} of {name}"));
        self.written.extend(lines);
        let other = self.place.beside("other");
        fs::write(&other, self.written[from..].join("\n") + "\n").expect("written");
        fs::rename(other, self.file(name)).expect("moved in");
    }

    fn give_back(&mut self) {
        for hidden in 0..self.hidden {
            let path = self.place.beside(&format!("hidden-{hidden}"));
            let name = (0..NAMES).find(|name| !self.file(*name).exists());
            let name = name.unwrap_or(NAMES + hidden);
            drop(fs::rename(path, self.file(name)));
        }
    }

    fn poll(&mut self, task: usize) {
        self.tasks[task].poll(self.now, &self.offsets);
    }

    fn commit(&mut self, task: usize) {
        let values = self.tasks[task].commit(&mut self.offsets);
        self.committed.extend(values);
    }

    fn settle(&mut self) -> Result<(), TestCaseError> {
        let mut quiet = 0;
        while quiet < 10 {
            self.now += Duration::from_secs(1);
            self.give_back();
            (0..self.tasks.len()).for_each(|task| self.poll(task));
            let is_quiet = self.tasks.iter().all(|task| task.in_flight.is_empty());
            quiet = if is_quiet { quiet + 1 } else { 0 };
            (0..self.tasks.len()).for_each(|task| self.commit(task));
        }
        let mut seen = BTreeSet::new();
        for line in &self.committed {
            prop_assert!(seen.insert(line), "doubled: {line}");
        }
        for line in &self.written {
            prop_assert!(
                seen.contains(line) || self.may_be_lost.contains(line),
                "lost: {line}"
            );
        }
        if !self.may_leave_offsets && births_are_told(&self.place) {
            prop_assert!(self.offsets.is_empty(), "{:?}", self.offsets);
            for task in &self.tasks {
                prop_assert_eq!((task.reader.histories(), task.completion.files()), (0, 0));
            }
        }
        Ok(())
    }
}

fn run(policy: &'static str, tasks: usize, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new(policy, tasks);
    for step in steps {
        world.do_step(step);
    }
    world.settle()
}

/// However many files go through.
#[test]
fn a_reader_keeps_nothing_of_files_that_are_gone() {
    for policy in ["DELETE", "MOVE"] {
        let mut steps = Vec::new();
        for _ in 0..200 {
            steps.extend((0..NAMES).map(|name| Step::Write { name, lines: 2 }));
            for task in [0, 1, 0, 1] {
                steps.extend([Step::Poll { task }, Step::Commit { task }]);
            }
        }
        let mut world = World::new(policy, 2);
        for (number, step) in steps.iter().enumerate() {
            world.do_step(step);
            let kept: usize = world
                .tasks
                .iter()
                .map(|task| task.reader.histories() + task.completion.files())
                .sum();
            assert!(
                kept <= 6 * NAMES || !births_are_told(&world.place),
                "{kept} after {number} steps"
            );
        }
        assert!(world.written.len() > 500, "{}", world.written.len());
        world.settle().unwrap_or_else(|error| panic!("{policy}: {error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forgotten_files_lose_and_double_nothing(
        policy in prop::sample::select(vec!["DELETE", "MOVE", "MOVEBYDATE", "MARK", "NONE"]),
        tasks in 1_usize..4,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        run(policy, tasks, &steps)?;
    }
}
