//! Several workers and a coordinator, with joins, leaves, deaths and changes of configuration in any order: never is anything
//! run by two, nor tasks of different configurations of one connector at once; and in the end everything runs, once and evenly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_connect_api::TaskId;
use proptest::prelude::*;

use super::super::assignor::{Assignor, Round, assign_eagerly};
use super::super::protocol::{Assignment, Outcome, Protocol, WorkerState};
use super::super::work::Work;
use super::*;

/// What happens next; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Start,
    /// SIGKILL; the coordinator finds out later.
    Kill(usize),
    /// A worker ends in order.
    Leave(usize),
    /// The session of a dead worker, or of one that cannot be heard of, is over.
    Expire(usize),
    /// A static worker is killed and comes back before its session is over.
    Restart(usize),
    Create(usize),
    Delete(usize),
    Reconfigure(usize, u32),
    /// A worker reads up to so many records.
    Read(usize, usize),
    /// A worker does what it wants.
    Tick(usize),
    /// What has been told to stop has stopped.
    Stopped(usize),
    /// The answer to its JoinGroup reaches a worker, or is lost.
    Answer(usize, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..8_usize;
    prop_oneof![
        2 => Just(Step::Start),
        1 => which.clone().prop_map(Step::Kill),
        1 => which.clone().prop_map(Step::Leave),
        2 => which.clone().prop_map(Step::Expire),
        1 => which.clone().prop_map(Step::Restart),
        2 => which.clone().prop_map(Step::Create),
        1 => which.clone().prop_map(Step::Delete),
        3 => (which.clone(), 0..4_u32).prop_map(|(which, tasks)| Step::Reconfigure(which, tasks)),
        4 => (which.clone(), 1..4_usize).prop_map(|(which, count)| Step::Read(which, count)),
        10 => which.clone().prop_map(Step::Tick),
        6 => which.clone().prop_map(Step::Stopped),
        8 => (which.clone(), any::<u8>()).prop_map(|(which, chance)| Step::Answer(which, chance > 20)),
        1 => (0..20_u64).prop_map(Step::Wait),
    ]
}

/// Connectors with the number of their configuration and of their tasks.
type Config = BTreeMap<Arc<str>, (u32, u32)>;

#[derive(Debug)]
struct Worker {
    state: State<u32>,
    assignor: Assignor,
    /// The last generation of which it was told its assignment.
    last_generation: i32,
    member_id: String,
    read: usize,
    running: BTreeMap<TaskId, u32>,
    connectors: BTreeSet<Arc<str>>,
    /// Still running, and told to stop.
    stopping: BTreeMap<TaskId, u32>,
    /// Waits for the answer to its JoinGroup; what it knew when it sent that.
    joining: Option<Snapshot>,
    is_alive: bool,
}

/// The coordinator's member.
#[derive(Debug, Clone, Default)]
struct Member {
    joined: Option<WorkerState>,
    assignment: Option<Assignment>,
}

#[derive(Debug)]
struct World {
    /// After each record of the config topic.
    log: Vec<Config>,
    workers: Vec<Worker>,
    members: BTreeMap<String, Member>,
    generation: i32,
    leader: String,
    is_joining: bool,
    /// By member: what it is told next, in which generation, and whether it was asked to share out.
    answers: BTreeMap<String, (i32, Assignment, bool)>,
    next_member: u32,
    next_config: u32,
    now: Instant,
    mode: Protocol,
    delay_max: Duration,
}

impl World {
    fn new(mode: Protocol, delay_max: Duration) -> Self {
        Self {
            log: vec![Config::new()],
            workers: Vec::new(),
            members: BTreeMap::new(),
            generation: 0,
            leader: String::new(),
            is_joining: false,
            answers: BTreeMap::new(),
            next_member: 0,
            next_config: 0,
            now: Instant::now(),
            mode,
            delay_max,
        }
    }

    fn fresh_member(&mut self) -> String {
        self.next_member += 1;
        // Not in the order of their arrival.
        format!("{}-{}", self.next_member * 7 % 10, self.next_member)
    }

    fn worker(&mut self, is_static: bool) -> Worker {
        Worker {
            state: State::new("url".to_owned(), self.mode, is_static),
            assignor: Assignor::new(self.delay_max),
            last_generation: -1,
            member_id: self.fresh_member(),
            read: 0,
            running: BTreeMap::new(),
            connectors: BTreeSet::new(),
            stopping: BTreeMap::new(),
            joining: None,
            is_alive: true,
        }
    }

    fn alive(&self, which: usize) -> Option<usize> {
        let alive: Vec<usize> = (0..self.workers.len())
            .filter(|index| self.workers[*index].is_alive)
            .collect();
        (!alive.is_empty()).then(|| alive[which % alive.len()])
    }

    fn configure(&mut self, change: impl FnOnce(&mut Config, u32)) {
        let mut config = self.log.last().expect("there is one").clone();
        self.next_config += 1;
        change(&mut config, self.next_config);
        self.log.push(config);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Start if self.workers.iter().filter(|worker| worker.is_alive).count() < 4 => {
                let worker = self.worker(false);
                self.workers.push(worker);
            }
            Step::Start => {}
            Step::Kill(which) => {
                if let Some(index) = self.alive(which) {
                    self.kill(index);
                }
            }
            Step::Leave(which) => {
                if let Some(index) = self.alive(which) {
                    self.kill(index);
                    let member = self.workers[index].member_id.clone();
                    self.remove(&member);
                }
            }
            Step::Expire(which) => self.expire(which),
            Step::Restart(which) => self.restart(which),
            Step::Create(which) => self.configure(|config, number| {
                config.entry(name(which)).or_insert((number, 0));
            }),
            Step::Delete(which) => self.configure(|config, _| {
                config.remove(&name(which));
            }),
            Step::Reconfigure(which, tasks) => self.configure(|config, number| {
                if let Some(connector) = config.get_mut(&name(which)) {
                    *connector = (number, tasks);
                }
            }),
            Step::Read(which, count) => {
                if let Some(index) = self.alive(which) {
                    self.read(index, count);
                }
            }
            Step::Tick(which) => {
                if let Some(index) = self.alive(which) {
                    self.tick(index);
                }
            }
            Step::Stopped(which) => {
                if let Some(index) = self.alive(which) {
                    self.workers[index].stopping.clear();
                }
            }
            Step::Answer(which, arrives) => {
                if let Some(index) = self.alive(which) {
                    self.answer(index, arrives);
                }
            }
            Step::Wait(seconds) => self.now += Duration::from_secs(seconds),
        }
        self.check();
    }

    fn kill(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.is_alive = false;
        worker.running.clear();
        worker.stopping.clear();
        worker.connectors.clear();
    }

    /// Whoever is alive and is put out has stopped before its session was over.
    fn expire(&mut self, which: usize) {
        let members: Vec<String> = self.members.keys().cloned().collect();
        if members.is_empty() {
            return;
        }
        let member = members[which % members.len()].clone();
        let fresh = self.fresh_member();
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.member_id == member) {
            worker.state.lost();
            worker.joining = None;
            worker.member_id = fresh;
            worker.running.clear();
            worker.stopping.clear();
            worker.connectors.clear();
        }
        self.remove(&member);
    }

    fn remove(&mut self, member: &str) {
        self.answers.remove(member);
        if self.members.remove(member).is_some() {
            self.rebalance();
            self.complete();
        }
    }

    /// It takes the place of the one that it replaces, and is told what that one was told last; only a stable group does so.
    fn restart(&mut self, which: usize) {
        let Some(index) = self.alive(which) else { return };
        let old = self.workers[index].member_id.clone();
        let is_stable = !self.is_joining && self.answers.is_empty();
        let Some(member) = self.members.get(&old).filter(|_| is_stable).cloned() else {
            return;
        };
        self.kill(index);
        let mut worker = self.worker(true);
        self.read_of(&mut worker, usize::MAX);
        let _told = worker.state.begin_join();
        let new = worker.member_id.clone();
        self.members.remove(&old);
        let assignment = member.assignment.clone();
        self.members.insert(new.clone(), member);
        if self.leader == old {
            self.leader.clone_from(&new);
        }
        let mut assignment = assignment.expect("the group is stable");
        if assignment.leader == old {
            assignment.leader.clone_from(&new);
        }
        worker.joining = Some(worker.state.snapshot());
        self.answers.insert(new, (self.generation, assignment, false));
        self.workers.push(worker);
    }

    fn read(&mut self, index: usize, count: usize) {
        let mut worker = self.workers.remove(index);
        self.read_of(&mut worker, count);
        self.workers.insert(index, worker);
    }

    fn read_of(&self, worker: &mut Worker, count: usize) {
        worker.read = worker.read.saturating_add(count).min(self.log.len() - 1);
        let config = &self.log[worker.read];
        let tasks = config.iter().flat_map(|(name, (number, tasks))| {
            (0..*tasks).map(move |task| {
                let connector = Arc::clone(name);
                (TaskId { connector, task }, *number)
            })
        });
        let offset = i64::try_from(worker.read).expect("it is small");
        worker
            .state
            .configured(offset, config.keys().cloned().collect(), tasks.collect());
        worker.obey(config);
    }

    /// As the herder does: it joins once it has read everything and what it does not run has stopped.
    fn tick(&mut self, index: usize) {
        let config = self.log[self.workers[index].read].clone();
        let worker = &mut self.workers[index];
        worker.obey(&config);
        worker.state.look(self.now);
        if worker.joining.is_some() || worker.state.wants_join().is_none() {
            return;
        }
        self.read(index, usize::MAX);
        let config = self.log[self.workers[index].read].clone();
        let worker = &mut self.workers[index];
        worker.state.prepare_join();
        worker.obey(&config);
        if !worker.stopping.is_empty() {
            return;
        }
        let id = worker.member_id.clone();
        self.members.entry(id.clone()).or_default();
        self.rebalance();
        let worker = &mut self.workers[index];
        let told = worker.state.begin_join();
        worker.joining = Some(worker.state.snapshot());
        self.members.get_mut(&id).expect("it is one").joined = Some(told);
        self.complete();
    }

    fn rebalance(&mut self) {
        if self.is_joining {
            return;
        }
        self.is_joining = true;
        for member in self.members.values_mut() {
            member.joined = None;
        }
        // Those that have not heard of the last generation yet are sent back to join, and the others hear of it.
        self.answers.clear();
        for worker in self.workers.iter_mut().filter(|worker| worker.is_alive) {
            if worker.joining.take().is_some() {
                worker.state.join_failed();
            }
            worker.state.request_join("the group is rebalancing");
        }
    }

    /// Begins the next generation if all have joined.
    fn complete(&mut self) {
        let has_all = self.members.values().all(|member| member.joined.is_some());
        if !self.is_joining || !has_all || self.members.is_empty() {
            return;
        }
        self.is_joining = false;
        self.generation += 1;
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().expect("there is one").clone();
        }
        let leader = self.leader.clone();
        let told: BTreeMap<String, WorkerState> = self
            .members
            .iter()
            .filter_map(|(member, of)| Some((member.clone(), of.joined.clone()?)))
            .collect();
        let (generation, mode, now) = (self.generation, self.mode, self.now);
        let worker = self.workers.iter_mut().find(|worker| worker.member_id == leader);
        let worker = worker.expect("who is out is no leader");
        let shares = worker.share_out(&told, generation, mode, now);
        for (member, assignment) in shares {
            let led = member == leader;
            self.members.get_mut(&member).expect("it is one").assignment = Some(assignment.clone());
            self.answers.insert(member, (generation, assignment, led));
        }
    }

    fn answer(&mut self, index: usize, arrives: bool) {
        let worker = &mut self.workers[index];
        let Some((generation, assignment, led)) = self.answers.remove(&worker.member_id) else {
            return;
        };
        worker.joining = None;
        if !arrives {
            worker.state.join_failed();
            return;
        }
        worker.last_generation = generation;
        let joined = Joined {
            generation,
            member_id: worker.member_id.clone(),
            protocol: self.mode,
            assignment,
            led,
        };
        worker.state.joined(joined, self.now);
        let config = self.log[worker.read].clone();
        worker.obey(&config);
    }

    fn check(&self) {
        let mut connectors = BTreeSet::new();
        let mut tasks = BTreeMap::new();
        let mut configs: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for worker in &self.workers {
            for name in &worker.connectors {
                assert!(connectors.insert(name.clone()), "{name} runs twice: {self:#?}");
            }
            for (id, config) in worker.running.iter().chain(&worker.stopping) {
                let other = tasks.insert(id.clone(), &worker.member_id);
                assert!(other.is_none(), "{id} runs twice: {self:#?}");
                let all = *configs.entry(id.connector.clone()).or_insert(*config);
                assert_eq!(all, *config, "tasks of two configurations of {id}: {self:#?}");
            }
        }
    }

    /// Nothing happens any more but what workers do by themselves.
    fn come_to_rest(&mut self) {
        let dead: Vec<String> = self
            .workers
            .iter()
            .filter(|worker| !worker.is_alive)
            .map(|worker| worker.member_id.clone())
            .collect();
        for member in dead {
            self.remove(&member);
        }
        self.workers.retain(|worker| worker.is_alive);
        if self.workers.is_empty() {
            let worker = self.worker(false);
            self.workers.push(worker);
        }
        for _ in 0..60 {
            for index in 0..self.workers.len() {
                self.read(index, usize::MAX);
                self.workers[index].stopping.clear();
                self.tick(index);
                self.answer(index, true);
                self.check();
            }
            self.now += Duration::from_secs(1);
        }
    }

    fn check_rest(&self) {
        let config = self.log.last().expect("there is one");
        let tasks: BTreeSet<TaskId> = self
            .workers
            .iter()
            .flat_map(|worker| worker.running.keys().cloned())
            .collect();
        let connectors: BTreeSet<Arc<str>> = self
            .workers
            .iter()
            .flat_map(|worker| worker.connectors.iter().cloned())
            .collect();
        assert_eq!(connectors, config.keys().cloned().collect(), "{self:#?}");
        let count: u32 = config.values().map(|(_, tasks)| tasks).sum();
        assert_eq!(tasks.len(), count as usize, "{self:#?}");
        for worker in &self.workers {
            for (id, number) in &worker.running {
                assert_eq!(*number, config[&id.connector].0, "{self:#?}");
            }
        }
        let counts: [&dyn Fn(&Worker) -> usize; 2] =
            [&|worker| worker.connectors.len(), &|worker| worker.running.len()];
        if self.mode == Protocol::Eager {
            return; // There connectors and tasks are dealt out in one go.
        }
        for count in counts {
            let loads = || self.workers.iter().map(count);
            let (least, most) = (loads().min().unwrap_or(0), loads().max().unwrap_or(0));
            assert!(most - least <= 1, "{self:#?}");
        }
    }
}

impl Worker {
    /// Runs what it may, and tells everything else to stop.
    fn obey(&mut self, config: &Config) {
        let runs = self.state.runs();
        let is_kept = |id: &TaskId, number: &u32| {
            runs.tasks.contains(id) && config.get(&id.connector).is_some_and(|(now, _)| now == number)
        };
        let (kept, gone) = std::mem::take(&mut self.running)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(id, number)| is_kept(id, number));
        self.running = kept;
        self.stopping.extend(gone);
        for id in &runs.tasks {
            // One of the same name that has not stopped yet is waited for.
            if !self.stopping.contains_key(id) {
                let number = config[&id.connector].0;
                self.running.entry(id.clone()).or_insert(number);
            }
        }
        self.connectors.clone_from(&runs.connectors);
    }

    fn share_out(
        &mut self,
        told: &BTreeMap<String, WorkerState>,
        generation: i32,
        mode: Protocol,
        now: Instant,
    ) -> BTreeMap<String, Assignment> {
        let snapshot = self.joining.clone().expect("it waits for this");
        let leads = snapshot.is_good_for(told.values().map(|state| state.offset));
        let members: BTreeMap<String, Work> = told
            .iter()
            .map(|(member, state)| {
                let has = state
                    .assignment
                    .as_ref()
                    .map(|assignment| assignment.assigned.clone());
                (member.clone(), has.unwrap_or_default())
            })
            .collect();
        let configured = snapshot.all;
        let shares = if !leads {
            super::super::assignor::Shares::default()
        } else if mode == Protocol::Eager {
            assign_eagerly(&configured, &members.keys().cloned().collect())
        } else {
            let round = Round {
                configured: &configured,
                members: &members,
                last_generation: self.last_generation,
                generation,
            };
            self.assignor.assign(&round, now)
        };
        let outcome = if leads {
            Outcome::Assigned
        } else {
            Outcome::ConfigMismatch
        };
        members
            .keys()
            .map(|member| {
                let share = shares.members.get(member).cloned().unwrap_or_default();
                let assignment = Assignment {
                    outcome,
                    leader: self.member_id.clone(),
                    leader_url: "url".to_owned(),
                    offset: snapshot.offset,
                    assigned: share.assigned,
                    revoked: share.revoked,
                    delay_ms: i32::try_from(shares.delay.as_millis()).expect("it is short"),
                };
                (member.clone(), assignment)
            })
            .collect()
    }
}

fn name(which: usize) -> Arc<str> {
    format!("c{}", which % 4).into()
}

/// A change between two joins of one round: what the later one knows, the earlier one still runs otherwise.
#[test]
fn nothing_is_shared_out_that_another_worker_has_not_heard_of() {
    let mut world = World::new(Protocol::Sessioned, Duration::ZERO);
    for step in [Step::Start, Step::Start, Step::Create(0), Step::Reconfigure(0, 4)] {
        world.step(&step);
    }
    world.come_to_rest();
    world.check_rest();
    let leads = |world: &World, index: usize| world.workers[index].member_id == world.leader;
    let (leader, other) = if leads(&world, 0) { (0, 1) } else { (1, 0) };
    assert_eq!(world.workers[other].running.len(), 2);
    let before = world.generation;
    for step in [
        Step::Create(1),
        Step::Read(other, 9),
        Step::Tick(other),
        Step::Reconfigure(0, 4),
        Step::Tick(leader),
        Step::Stopped(leader),
        Step::Tick(leader),
        Step::Answer(leader, true),
        Step::Tick(leader),
    ] {
        world.step(&step);
    }
    assert_eq!(world.generation, before + 1, "all have joined");
    assert_eq!(world.workers[leader].running.len(), 0);
    world.come_to_rest();
    world.check_rest();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn everything_runs_once_whatever_happens(
        steps in proptest::collection::vec(step(), 1..250),
        mode in prop_oneof![1 => Just(Protocol::Eager), 4 => Just(Protocol::Sessioned)],
        delay_max in prop_oneof![2 => Just(0_u64), 1 => Just(5)],
    ) {
        let mut world = World::new(mode, Duration::from_secs(delay_max));
        for step in &steps {
            world.step(step);
        }
        world.come_to_rest();
        world.check_rest();
    }
}
