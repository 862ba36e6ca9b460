//! A task that blocks its thread, and a worker that goes on without it.

use std::sync::Condvar;

use super::*;

/// Where tasks are held.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// How many wait.
    held: Mutex<usize>,
}

impl Gate {
    /// Blocks the thread, as no task should.
    fn pass(&self) {
        *self.held.lock().expect("no panic") += 1;
        let is_open = self.is_open.lock().expect("no panic");
        drop(
            self.opened
                .wait_while(is_open, |is_open| !*is_open)
                .expect("no panic"),
        );
    }

    fn open(&self) {
        *self.is_open.lock().expect("no panic") = true;
        self.opened.notify_all();
    }
}

/// Opens it whatever comes of the test: a runtime waits for its threads.
struct Opens(Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A task that does that.
fn blocking(gate: &Arc<Gate>) -> Box<dyn SourceTask> {
    let gate = Arc::clone(gate);
    asked(move || {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.pass();
            let value = forebay_connect_api::SchemaAndValue::string("late");
            let record = SourceRecord::new(Arc::default(), None, "late".into(), value);
            Ok(vec![record])
        })
    })
}

fn plugin(gate: &Arc<Gate>) -> Plugin {
    let gate = Arc::clone(gate);
    Plugin::source("org.example.BlockingConnector", "1", move || {
        let gate = Arc::clone(&gate);
        Idle {
            tasks: 1,
            task: move || blocking(&gate),
        }
    })
}

/// Finding 4 of the review of 22 November: its worker joined no rebalance any more, and `/health` did not tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_goes_on_without_a_task_that_blocks_its_thread() {
    for support in ["enabled", "disabled"] {
        let gate = Arc::new(Gate::default());
        let _opens = Opens(Arc::clone(&gate));
        let model = Model::new(1);
        model.create_topic("late", 1);
        let keys = [
            ("task.shutdown.graceful.timeout.ms", "50"),
            ("heartbeat.interval.ms", "100"),
            ("exactly.once.source.support", support),
        ];
        let blocking = plugin(&gate);
        let herder = worker_with(&model.client(&[]), &keys, [blocking]).await;
        put(&herder, "Blocking").await.expect("it is sound");
        until_true("the task blocks its thread", || {
            *gate.held.lock().expect("no panic") == 1
        })
        .await;
        assert!(herder.blocked().is_empty());
        herder.delete_connector("c").await.expect("it is there");
        until_true("that is told", || !herder.blocked().is_empty()).await;
        assert_eq!(herder.blocked()[0].0, "task c-0");
        // It is in the group for all that.
        let mut view = herder.cluster.group().watch().expect("it is in a group");
        let generation = view.borrow().generation;
        model.rebalance("connect-cluster");
        let joined = view.wait_for(|view| view.generation > generation && !view.is_rebalancing);
        let joined = tokio::time::timeout(PATIENCE, joined).await.expect("it joins");
        joined.map(drop).expect("it is told");
        // One of that name has to wait for it.
        put(&herder, "Blocking").await.expect("it is sound");
        until_owned(&herder, 1).await;
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        let failed = || {
            let status = herder.context.statuses.task(&id);
            status
                .filter(|status| status.state == State::Failed)
                .and_then(|status| status.trace)
        };
        until_true("it says for what it waits", || {
            failed().is_some_and(|trace| trace.contains("blocks its thread"))
        })
        .await;
        assert_eq!(*gate.held.lock().expect("no panic"), 1);
        gate.open();
        until_true("it ends", || herder.blocked().is_empty()).await;
        // What it had when it was released came to nobody: only what the new one gives does.
        until_true("the next one runs", || {
            !model.committed_values("late", 0).is_empty()
        })
        .await;
        herder.stop().await;
    }
}
