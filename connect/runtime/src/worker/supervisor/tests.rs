use std::sync::Mutex;

use tokio::sync::mpsc;

use super::*;

/// Does what its spec says, and tells what happens to it.
#[derive(Debug)]
struct Probe {
    events: mpsc::Sender<String>,
    attempts: Mutex<u32>,
    blocked: Blocked,
}

impl Probe {
    fn tell(&self, event: impl Into<String>) {
        self.events
            .try_send(event.into())
            .expect("the test takes every event");
    }
}

impl Unit for Probe {
    type Spec = &'static str;

    fn title(&self) -> String {
        "task probe-0".to_owned()
    }

    fn run(
        self: Arc<Self>,
        spec: &'static str,
        mut command: watch::Receiver<Command>,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            let attempt = {
                let mut attempts = self.attempts.lock().expect("nobody panics with it");
                *attempts += 1;
                *attempts
            };
            self.tell(format!("start {spec}"));
            match spec {
                "panics" => panic!("boom {attempt}"),
                "fails" | "fails thrice" => return Err(Failure::Run(Error::retriable("no"))),
                "fails to start" => return Err(Failure::Start(Error::fatal("never"))),
                "starts late" if attempt < 3 => return Err(Failure::Start(Error::retriable("not yet"))),
                _ => {}
            }
            loop {
                let now = *command.borrow_and_update();
                match now {
                    Command::Stop if spec == "hangs" => std::future::pending().await,
                    Command::Stop => break,
                    Command::Be(state) => self.tell(state.name()),
                }
                command.changed().await.expect("the supervisor is there");
            }
            self.tell("stop");
            Ok(())
        })
    }

    fn failed<'a>(&'a self, _spec: &'a &'static str, trace: String) -> BoxFuture<'a, ()> {
        self.tell(format!("FAILED {trace}"));
        Box::pin(std::future::ready(()))
    }

    fn restart_policy(&self, spec: &&'static str) -> RestartPolicy {
        let pairs: &[(&str, &str)] = match *spec {
            "fails thrice" => &[
                ("errors.restart.max.attempts", "2"),
                ("errors.restart.delay.ms", "4000"),
            ],
            _ => &[],
        };
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        RestartPolicy::new(&pairs.collect())
    }

    fn stop_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn session_over(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn blocked(&self) -> &Blocked {
        &self.blocked
    }
}

struct Fixture {
    supervisor: Supervisor<&'static str>,
    events: mpsc::Receiver<String>,
}

fn desired(spec: &'static str, restarts: u64) -> Desired<&'static str> {
    Desired {
        spec,
        target_state: TargetState::Started,
        restarts,
    }
}

fn start(spec: &'static str) -> Fixture {
    let (sender, events) = mpsc::channel(100);
    let probe = Probe {
        events: sender,
        attempts: Mutex::new(0),
        blocked: Blocked::default(),
    };
    Fixture {
        supervisor: Supervisor::start(Arc::new(probe), desired(spec, 0), None),
        events,
    }
}

impl Fixture {
    async fn expect(&mut self, events: &[&str]) {
        for event in events {
            let found = self.events.recv().await.expect("the unit is there");
            assert_eq!(found, *event);
        }
    }

    async fn end(mut self, events: &[&str]) {
        self.supervisor.retire(async {}).await.expect("it ends");
        let mut left = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            left.push(event);
        }
        assert_eq!(left, events);
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_follows_what_is_wanted() {
    let mut unit = start("a");
    unit.expect(&["start a", "STARTED"]).await;
    let paused = Desired {
        target_state: TargetState::Paused,
        ..desired("a", 0)
    };
    unit.supervisor.want(paused);
    unit.expect(&["PAUSED"]).await;
    unit.supervisor.want(desired("a", 0));
    unit.expect(&["STARTED"]).await;
    unit.supervisor.want(desired("b", 0));
    unit.expect(&["stop", "start b", "STARTED"]).await;
    unit.supervisor.want(desired("b", 1));
    unit.expect(&["stop", "start b", "STARTED"]).await;
    unit.end(&["stop"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_waits_for_the_user() {
    for (spec, trace) in [
        ("fails", "FAILED no"),
        ("fails to start", "FAILED never"),
        ("panics", "FAILED it panicked: boom 1"),
    ] {
        let mut unit = start(spec);
        unit.expect(&[&format!("start {spec}"), trace]).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(unit.events.try_recv().is_err(), "{spec} was restarted by nobody");
        let paused = Desired {
            target_state: TargetState::Paused,
            ..desired(spec, 0)
        };
        unit.supervisor.want(paused);
        unit.supervisor.want(desired("a", 0));
        unit.expect(&["start a", "STARTED"]).await;
        unit.end(&["stop"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retriable_start_is_tried_again_more_and_more_slowly() {
    let mut unit = start("starts late");
    let began = Instant::now();
    unit.expect(&[
        "start starts late",
        "FAILED not yet",
        "start starts late",
        "FAILED not yet",
    ])
    .await;
    unit.expect(&["start starts late", "STARTED"]).await;
    assert_eq!(began.elapsed().as_secs(), 3, "one second, then two");
    unit.end(&["stop"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_hangs_is_aborted() {
    let mut unit = start("hangs");
    unit.expect(&["start hangs", "STARTED"]).await;
    let began = Instant::now();
    unit.end(&[]).await;
    assert_eq!(began.elapsed().as_secs(), 5);
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().expect("nobody panics with it");
        log.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Finding 4 of the review of 22 November: one line that did not say who it was, and then nothing.
#[tokio::test(start_paused = true)]
async fn what_does_not_heed_being_aborted_is_named_again_and_again() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let (started, begun) = tokio::sync::oneshot::channel();
    let blocking = tokio::task::spawn_blocking(move || {
        started.send(()).expect("the test waits");
        gate.recv().expect("the test lets it go");
    });
    begun.await.expect("it begins");
    let blocked = Arc::new(Blocked::default());
    let own = Arc::clone(&blocked);
    let aborting = tokio::spawn(async move { abort("task c-7", &own, blocking).await });
    let said = || {
        let log = log.0.lock().expect("nobody panics with it").clone();
        log.matches("task c-7 still runs").count()
    };
    for times in 0..3 {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(said() >= times, "{times}");
        tokio::time::advance(ABORTED_WARNING_INTERVAL + Duration::from_millis(1)).await;
    }
    assert!(!aborting.is_finished() && blocked.has("task c-7"));
    release.send(()).expect("it is blocked");
    aborting.await.expect("it ends");
    assert!(said() >= 2 && blocked.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_started_again_if_that_is_asked_for() {
    let began = Instant::now();
    let mut unit = start("fails thrice");
    let note = |seconds, attempt| {
        format!(
            "FAILED no\nIt is started again after {seconds} s, for the {attempt}. time in a row (errors.restart.max.attempts)."
        )
    };
    unit.expect(&[
        "start fails thrice",
        &note(4, 1),
        "start fails thrice",
        &note(8, 2),
        "start fails thrice",
    ])
    .await;
    assert_eq!(began.elapsed(), Duration::from_secs(12));
    let last = "FAILED no\nIt has been started again 2 times in a row (errors.restart.max.attempts) and is left as it is.";
    unit.expect(&[last]).await;
    // The user's restart begins anew, also while the next attempt is waited for.
    unit.supervisor.want(desired("fails thrice", 1));
    unit.expect(&["start fails thrice", &note(4, 1)]).await;
    unit.supervisor.want(desired("fails thrice", 2));
    unit.expect(&["start fails thrice", &note(4, 1)]).await;
    unit.end(&[]).await;
}
