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

/// Whose turn it is.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    pub(super) new: Arc<Semaphore>,
    known: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self {
            new: one(),
            known: one(),
            slow: one(),
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
    let mut resolved: Option<ResolvedExpressions> = None;
    for expression in expressions {
        let attempt = |turns, budget| attempt((&cluster, &abandoned), turns, &expression, budget);
        let one = match attempt(first, QUICK).await? {
            Some(one) => one,
            None => attempt(&turns.slow, SLOW).await?.unwrap_or_else(|| {
                tracing::warn!(%expression, "a subscription's regular expression takes too long: it means what it has meant, if anything");
                ResolvedExpressions::given_up(expression.clone(), &*cluster.image())
            }),
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
    turns: &Arc<Semaphore>,
    expression: &Utf8Bytes,
    budget: Duration,
) -> Option<Option<ResolvedExpressions>> {
    let turn = Arc::clone(turns).acquire_owned().await.ok()?;
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
