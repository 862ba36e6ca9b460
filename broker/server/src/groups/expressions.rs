//! Regular expressions of subscriptions are held against the topics on threads of their own, one at a time of each kind in the whole broker,
//! whoever asks: clients choose what that costs. Those that members wait for are not behind those that are looked at again, and one that takes
//! long makes way for all others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use forebay_broker_coordinator::{Cluster, ResolvedExpressions, resolve_expressions};
use forebay_protocol::Utf8Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::abandoned::Abandoned;

/// What an expression is given at first.
const QUICK: Duration = Duration::from_millis(20);
/// What it is given after all that need no more than that.
const SLOW: Duration = Duration::from_secs(2);

/// How many groups may wait in a line. All others are not looked at, and ask again by their members' next heartbeats.
const WAITING_MAX: usize = 1_000;
/// How many expressions that take long may wait for more time.
const SLOW_WAITING_MAX: usize = 100;

/// Who waits for one thing after the other.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) turn: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Line {
    /// A line of so many at most.
    pub(super) fn of(places: usize) -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(places)),
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    pub(super) new: Line,
    pub(super) known: Line,
    pub(super) slow: Line,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            new: Line::of(WAITING_MAX),
            known: Line::of(WAITING_MAX),
            slow: Line::of(SLOW_WAITING_MAX),
        }
    }
}

/// Resolves a group's expressions; other groups' have their turns in between. None: it was not to be.
pub(super) async fn resolve(
    cluster: Arc<dyn Cluster>,
    turns: &Turns,
    (expressions, are_new): (Vec<Utf8Bytes>, bool),
) -> Option<ResolvedExpressions> {
    let abandoned = Abandoned::default();
    let first = if are_new { &turns.new } else { &turns.known };
    let _place = first.places.try_acquire().ok()?;
    let mut resolved: Option<ResolvedExpressions> = None;
    for expression in expressions {
        let attempt = |line, budget| attempt((&cluster, &abandoned), line, &expression, budget);
        let one = match attempt(first, QUICK).await? {
            Some(one) => one,
            None => {
                let slow = match turns.slow.places.try_acquire() {
                    Ok(_place) => attempt(&turns.slow, SLOW).await?,
                    Err(_too_many) => None,
                };
                slow.unwrap_or_else(|| {
                    tracing::warn!(%expression, "a subscription's regular expression takes too long: it means what it has meant, if anything");
                    ResolvedExpressions::given_up(expression.clone(), &*cluster.image())
                })
            }
        };
        match &mut resolved {
            Some(resolved) => resolved.extend(one),
            none => *none = Some(one),
        }
    }
    resolved
}

/// What an expression means, if that can be had in such a time; none at all if it is not to be.
async fn attempt(
    (cluster, abandoned): (&Arc<dyn Cluster>, &Abandoned),
    line: &Line,
    expression: &Utf8Bytes,
    budget: Duration,
) -> Option<Option<ResolvedExpressions>> {
    let turn = Arc::clone(&line.turn).acquire_owned().await.ok()?;
    let (image, abandoned, expression) = (cluster.image(), abandoned.flag(), expression.clone());
    let work = move || {
        // Until it is over, even if nobody waits.
        let _turn = turn;
        let began = Instant::now();
        let may_go_on = || began.elapsed() < budget && !abandoned.load(Ordering::Relaxed);
        resolve_expressions(vec![expression], &*image, &may_go_on)
    };
    spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use forebay_broker_coordinator::NoCluster;

    use super::*;

    #[tokio::test]
    async fn a_line_has_an_end_and_who_finds_it_full_is_not_kept() {
        let turns = Turns {
            new: Line::of(2),
            slow: Line::of(0),
            ..Turns::default()
        };
        let held = Arc::clone(&turns.new.turn).acquire_owned().await.expect("open");
        let resolve = |are_new| resolve(Arc::new(NoCluster), &turns, (vec!["a.*".into()], are_new));
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = (pin!(resolve(true)), pin!(resolve(true)));
        assert!(waiting.0.as_mut().poll(&mut context).is_pending());
        assert!(waiting.1.as_mut().poll(&mut context).is_pending());
        assert_eq!(pin!(resolve(true)).poll(&mut context), Poll::Ready(None), "full");
        assert!(resolve(false).await.is_some(), "another line");
        drop(held);
        assert!(waiting.0.await.is_some() && waiting.1.await.is_some());
        assert!(resolve(true).await.is_some(), "there is room again");
    }
}
