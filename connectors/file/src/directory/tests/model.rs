//! Random files and random deaths: what is committed in the end is held against what was written.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::{
    reading::{Offsets, Reading},
    *,
};

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// Lines are written to one of the logs; the last may lack its end until the next are written.
    Append {
        log: usize,
        lines: usize,
        partial: bool,
    },
    /// It gets another name; a new one will take its place.
    Rename {
        log: usize,
    },
    /// It is copied and, a little later, truncated.
    Copy {
        log: usize,
        polls: usize,
    },
    /// It is truncated, deleted or replaced: what was not committed may be lost.
    Truncate {
        log: usize,
    },
    Remove {
        log: usize,
    },
    Replace {
        log: usize,
    },
    /// A task reads.
    Poll {
        task: usize,
    },
    /// What a task gave out is committed.
    Commit {
        task: usize,
    },
    /// What a task gave out and is not committed is taken back; another starts.
    Kill {
        task: usize,
    },
}

const LOGS: usize = 2;

fn step() -> impl Strategy<Value = Step> {
    let log = 0..LOGS;
    prop_oneof![
        8 => (log.clone(), 1_usize..8, any::<bool>()).prop_map(|(log, lines, partial)| Step::Append { log, lines, partial }),
        1 => log.clone().prop_map(|log| Step::Rename { log }),
        2 => (log.clone(), 0_usize..4).prop_map(|(log, polls)| Step::Copy { log, polls }),
        1 => log.clone().prop_map(|log| Step::Truncate { log }),
        1 => log.clone().prop_map(|log| Step::Remove { log }),
        1 => log.prop_map(|log| Step::Replace { log }),
        10 => (0_usize..8).prop_map(|task| Step::Poll { task }),
        4 => (0_usize..8).prop_map(|task| Step::Commit { task }),
        3 => (0_usize..8).prop_map(|task| Step::Kill { task }),
    ]
}

struct World {
    place: Place,
    tasks: Vec<Reading>,
    offsets: Offsets,
    committed: Vec<String>,
    /// Lines of each log's file that is being written, the beginning of one that lacks its end, and the count of other names.
    logs: Vec<(Vec<String>, String)>,
    names: usize,
    written: Vec<String>,
    may_be_lost: BTreeSet<String>,
    now: Duration,
}

impl World {
    fn new(tasks: usize) -> Self {
        let mut world = Self {
            place: Place::new(),
            tasks: Vec::new(),
            offsets: Offsets::new(),
            committed: Vec::new(),
            logs: vec![Default::default(); LOGS],
            names: 0,
            written: Vec::new(),
            may_be_lost: BTreeSet::new(),
            now: Duration::ZERO,
        };
        world.tasks = (0..tasks).map(|task| world.task(task, tasks)).collect();
        world
    }

    fn task(&self, task: usize, tasks: usize) -> Reading {
        Reading::new(&self.place, &[], task, tasks)
    }

    fn log(&self, log: usize) -> PathBuf {
        self.place.path(&format!("{}.log", ["app", "web"][log]))
    }

    fn do_step(&mut self, step: &Step) {
        self.now += Duration::from_millis(500);
        match step {
            Step::Append { log, lines, partial } => self.append(*log, *lines, *partial),
            Step::Rename { log } => {
                self.end_line(*log);
                let (to, from) = (self.other_name(*log), self.log(*log));
                if from.exists() {
                    fs::rename(from, to).expect("renamed");
                    self.logs[*log].0.clear();
                }
            }
            Step::Copy { log, polls } => {
                self.end_line(*log);
                let (to, from) = (self.other_name(*log), self.log(*log));
                if from.exists() {
                    fs::copy(&from, to).expect("copied");
                    for poll in 0..*polls {
                        self.poll(poll % self.tasks.len());
                    }
                    fs::write(&from, "").expect("truncated");
                    self.logs[*log].0.clear();
                    // Who looks at a copy of a file of another task waits for that one's commit.
                    self.commit_all();
                }
            }
            Step::Truncate { log } => {
                self.lose(*log);
                if self.log(*log).exists() {
                    fs::write(self.log(*log), "").expect("truncated");
                }
            }
            Step::Remove { log } => {
                self.lose(*log);
                drop(fs::remove_file(self.log(*log)));
            }
            Step::Replace { log } => {
                self.lose(*log);
                let other = self.place.beside("other");
                fs::write(&other, "").expect("written");
                fs::rename(other, self.log(*log)).expect("replaced");
            }
            Step::Poll { task } => self.poll(task % self.tasks.len()),
            Step::Commit { task } => self.commit(task % self.tasks.len()),
            Step::Kill { task } => {
                let task = task % self.tasks.len();
                self.tasks[task] = self.task(task, self.tasks.len());
            }
        }
    }

    fn append(&mut self, log: usize, lines: usize, partial: bool) {
        self.end_line(log);
        let path = self.log(log);
        for line in 0..lines {
            let text = format!("{log}: {} some words to make it longer", self.written.len());
            if partial && line + 1 == lines {
                append(&path, &text[..text.len() / 2]);
                self.logs[log].1 = text;
                return;
            }
            append(&path, &format!("{text}\n"));
            self.written.push(text.clone());
            self.logs[log].0.push(text);
        }
    }

    /// Writes what a line lacks.
    fn end_line(&mut self, log: usize) {
        let text = std::mem::take(&mut self.logs[log].1);
        if !text.is_empty() {
            append(&self.log(log), &format!("{}\n", &text[text.len() / 2..]));
            self.written.push(text.clone());
            self.logs[log].0.push(text);
        }
    }

    fn other_name(&mut self, log: usize) -> PathBuf {
        self.names += 1;
        let mut name = self.log(log).into_os_string();
        name.push(format!(".{}", self.names));
        name.into()
    }

    fn lose(&mut self, log: usize) {
        self.end_line(log);
        let lines = std::mem::take(&mut self.logs[log].0);
        self.may_be_lost
            .extend(lines.into_iter().filter(|line| !self.committed.contains(line)));
    }

    fn poll(&mut self, task: usize) {
        self.tasks[task].poll(self.now, &self.offsets);
    }

    fn commit(&mut self, task: usize) {
        let values = self.tasks[task].commit(&mut self.offsets);
        self.committed.extend(values);
    }

    fn commit_all(&mut self) {
        (0..self.tasks.len()).for_each(|task| self.commit(task));
    }

    fn settle(&mut self) -> Result<(), TestCaseError> {
        (0..LOGS).for_each(|log| self.end_line(log));
        let mut quiet = 0;
        while quiet < 40 {
            self.now += Duration::from_secs(1);
            (0..self.tasks.len()).for_each(|task| self.poll(task));
            let is_quiet = self.tasks.iter().all(|task| task.in_flight.is_empty());
            quiet = if is_quiet { quiet + 1 } else { 0 };
            self.commit_all();
        }
        let mut seen = BTreeSet::new();
        for line in &self.committed {
            prop_assert!(seen.insert(line), "doubled: {line}");
            prop_assert!(self.written.contains(line), "nobody wrote {line:?}");
        }
        for line in &self.written {
            prop_assert!(
                seen.contains(line) || self.may_be_lost.contains(line),
                "lost: {line}"
            );
        }
        Ok(())
    }
}

fn run(tasks: usize, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new(tasks);
    for step in steps {
        world.do_step(step);
    }
    world.settle()
}

/// Found by the model: a copy was made of a file that was truncated and written again before its turn came.
#[test]
fn a_copy_of_a_file_that_was_begun_anew_before_its_turn() {
    let append = |log, lines| Step::Append {
        log,
        lines,
        partial: false,
    };
    let steps = [
        Step::Append {
            log: 0,
            lines: 1,
            partial: true,
        },
        Step::Poll { task: 0 },
        Step::Replace { log: 0 },
        append(1, 1),
        append(0, 7),
        Step::Copy { log: 1, polls: 1 },
        append(1, 1),
        Step::Copy { log: 1, polls: 3 },
    ];
    run(1, &steps).unwrap_or_else(|error| panic!("{error}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_task_loses_and_doubles_nothing(steps in prop::collection::vec(step(), 1..60)) {
        run(1, &steps)?;
    }

    #[test]
    fn many_tasks_lose_and_double_nothing(steps in prop::collection::vec(step(), 1..60)) {
        run(3, &steps)?;
    }
}
