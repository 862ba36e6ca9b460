//! Threads for everything that may wait for a disk: appends, syncs, cold reads. Async workers never do. A partition is
//! queued at most once however much waits for it, and single jobs take a permit first: the queue is bounded by the
//! number of partitions plus `JOBS_MAX`.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{Semaphore, oneshot};

/// Single jobs that may be queued or running at once; who comes later waits (without a thread) for one to end.
const JOBS_MAX: usize = 1024;

/// Something with a queue of its own that an I/O thread empties (a partition's writer).
pub(crate) trait Drain: Send + Sync + 'static {
    /// Whether it stands in the pool's queue already.
    fn scheduled(&self) -> &AtomicBool;

    /// Works off what is queued when it is called; more may be queued meanwhile, then it is called again.
    fn drain(self: Arc<Self>);

    /// Whether something is queued.
    fn has_work(&self) -> bool;
}

enum Job {
    Drain(Arc<dyn Drain>),
    Once(Box<dyn FnOnce() + Send>),
}

struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    /// Threads that have not ended.
    running: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

struct Shared {
    name: &'static str,
    threads_max: AtomicUsize,
    state: Mutex<State>,
    wake: Condvar,
    permits: Arc<Semaphore>,
}

/// A pool of threads that grows to its bound as work waits. Cheap to clone.
#[derive(Clone)]
pub(crate) struct IoPool(Arc<Shared>);

/// The pool is closed or the job panicked; its outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the I/O pool gave no answer")]
pub(crate) struct Lost;

impl IoPool {
    /// A pool of up to `threads_max` threads called `name`; none is started yet.
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            idle: 0,
            running: 0,
            threads: Vec::new(),
            closed: false,
        };
        Self(Arc::new(Shared {
            name,
            threads_max: AtomicUsize::new(threads_max.max(1)),
            state: Mutex::new(state),
            wake: Condvar::new(),
            permits: Arc::new(Semaphore::new(JOBS_MAX)),
        }))
    }

    /// Has `target` drained soon; it does not matter how often this is called. False: the pool is closed, nobody will.
    pub(crate) fn schedule<D: Drain>(&self, target: &Arc<D>) -> bool {
        if target.scheduled().swap(true, Ordering::AcqRel) {
            return true;
        }
        let target: Arc<dyn Drain> = Arc::clone(target) as Arc<dyn Drain>;
        let pushed = self.push(Job::Drain(Arc::clone(&target)));
        if !pushed {
            target.scheduled().store(false, Ordering::Release);
        }
        pushed
    }

    /// Runs `job` on a thread of the pool. The job runs even if the caller stops waiting.
    ///
    /// # Errors
    /// [`Lost`] if the pool closes first or the job panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let permit = Arc::clone(&self.0.permits)
            .acquire_owned()
            .await
            .map_err(|_closed| Lost)?;
        let (sender, receiver) = oneshot::channel();
        self.push(Job::Once(Box::new(move || {
            let result = job();
            drop(permit);
            // Who asked may be gone.
            let _unwanted = sender.send(result);
        })));
        receiver.await.map_err(|_dropped| Lost)
    }

    /// Runs `job` on a thread of the pool some time. Nobody hears of it; the caller sees to it that few are queued. Dropped if the
    /// pool is closed.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.push(Job::Once(Box::new(job)))
    }

    /// Has at most so many threads from now on; those that are too many end when they have nothing to do.
    pub(crate) fn resize(&self, threads_max: usize) {
        self.0.threads_max.store(threads_max.max(1), Ordering::Relaxed);
        let mut state = self.0.lock();
        state.threads.retain(|thread| !thread.is_finished());
        drop(state);
        self.0.wake.notify_all();
    }

    /// Lets the queue run empty and joins the threads. Blocks; later work is dropped.
    pub(crate) fn close(&self) {
        self.0.permits.close();
        let threads = {
            let mut state = self.0.lock();
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.0.wake.notify_all();
        for thread in threads {
            // A thread catches the panics of its jobs.
            let _ended = thread.join();
        }
    }

    /// Takes no more work; what runs ends by itself. Does not wait.
    pub(crate) fn abandon(&self) {
        self.0.permits.close();
        let mut state = self.0.lock();
        state.closed = true;
        state.jobs.clear();
        drop(state);
        self.0.wake.notify_all();
    }

    fn push(&self, job: Job) -> bool {
        let mut state = self.0.lock();
        if state.closed {
            return false;
        }
        state.jobs.push_back(job);
        let all_busy = state.idle < state.jobs.len();
        if all_busy && state.running < self.0.threads_max.load(Ordering::Relaxed) {
            self.start_thread(&mut state);
        }
        drop(state);
        self.0.wake.notify_one();
        true
    }

    fn start_thread(&self, state: &mut State) {
        let pool = self.clone();
        let name = format!("{}-{}", self.0.name, state.threads.len());
        match thread::Builder::new().name(name).spawn(move || pool.work()) {
            Ok(thread) => {
                state.running += 1;
                state.threads.push(thread);
            }
            Err(error) => tracing::error!(%error, "cannot start an I/O thread; the others carry on"),
        }
    }

    fn work(&self) {
        let mut state = self.0.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                self.perform(job);
                state = self.0.lock();
            } else if state.closed || state.running > self.0.threads_max.load(Ordering::Relaxed) {
                state.running -= 1;
                return;
            } else {
                state.idle += 1;
                state = self.0.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn perform(&self, job: Job) {
        let name = self.0.name;
        let outcome = match job {
            Job::Once(job) => catch_unwind(AssertUnwindSafe(job)),
            Job::Drain(target) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| Arc::clone(&target).drain()));
                target.scheduled().store(false, Ordering::Release);
                // Queued between the end of `drain` and the line above: nobody else has scheduled it.
                if target.has_work() && !target.scheduled().swap(true, Ordering::AcqRel) {
                    self.push_even_if_closed(Job::Drain(target));
                }
                outcome
            }
        };
        if outcome.is_err() {
            tracing::error!(
                pool = name,
                "an I/O job panicked; what waited for it gets an error"
            );
        }
    }

    /// What was queued before closing is still worked off.
    fn push_even_if_closed(&self, job: Job) {
        self.0.lock().jobs.push_back(job);
        self.0.wake.notify_one();
    }
}

impl Shared {
    /// Nothing in here panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IoPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoPool")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counter {
        scheduled: AtomicBool,
        queued: AtomicUsize,
        drained: AtomicUsize,
        calls: AtomicUsize,
    }

    impl Drain for Counter {
        fn scheduled(&self) -> &AtomicBool {
            &self.scheduled
        }

        fn drain(self: Arc<Self>) {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let taken = self.queued.swap(0, Ordering::SeqCst);
            self.drained.fetch_add(taken, Ordering::SeqCst);
        }

        fn has_work(&self) -> bool {
            self.queued.load(Ordering::SeqCst) > 0
        }
    }

    #[test]
    fn nothing_queued_is_forgotten() {
        let pool = IoPool::new("test", 3);
        let counter = Arc::new(Counter::default());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.queued.fetch_add(1, Ordering::SeqCst);
                        pool.schedule(&counter);
                    }
                });
            }
        });
        pool.close();
        assert_eq!(counter.drained.load(Ordering::SeqCst), 4000);
        assert!(counter.calls.load(Ordering::SeqCst) <= 4000);
    }

    #[tokio::test]
    async fn a_pool_grows_and_shrinks() {
        let pool = IoPool::new("test", 1);
        // Each job waits for all others: with fewer threads than jobs it would never end.
        for threads in [4, 2] {
            pool.resize(threads);
            let barrier = Arc::new(std::sync::Barrier::new(threads));
            let jobs: Vec<_> = (0..threads)
                .map(|_| {
                    let (pool, barrier) = (pool.clone(), Arc::clone(&barrier));
                    tokio::spawn(async move { pool.run(move || barrier.wait()).await.is_ok() })
                })
                .collect();
            for job in jobs {
                assert!(job.await.expect("no panic"));
            }
        }
        while pool.0.lock().running > 2 {
            tokio::task::yield_now().await;
        }
        pool.close();
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_nothing_with_it() {
        let pool = IoPool::new("test", 1);
        assert_eq!(pool.run(|| 1).await, Ok(1));
        assert_eq!(pool.run(|| panic!("on purpose")).await, Err::<(), _>(Lost));
        assert_eq!(pool.run(|| 2).await, Ok(2));
        pool.close();
        assert_eq!(pool.run(|| 3).await, Err(Lost));
    }
}
