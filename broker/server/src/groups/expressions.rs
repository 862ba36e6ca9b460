//! Regular expressions of subscriptions are held against the topics on a thread of their own, one at a time in the whole broker, whoever asks:
//! clients choose what that costs.

use std::sync::Arc;

use forebay_broker_coordinator::{ClusterImage, ResolvedExpressions, resolve_expressions};
use forebay_protocol::Utf8Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Resolves a group's expressions in one image; other groups' have their turns in between. None: it was not to be.
pub(super) async fn resolve(
    image: Arc<dyn ClusterImage>,
    turns: &Semaphore,
    expressions: Vec<Utf8Bytes>,
) -> Option<ResolvedExpressions> {
    let mut resolved: Option<ResolvedExpressions> = None;
    for expression in expressions {
        let _turn = turns.acquire().await.ok()?;
        let image = Arc::clone(&image);
        let one = spawn_blocking(move || resolve_expressions(vec![expression], &*image));
        let one = one.await.ok()?;
        match &mut resolved {
            Some(resolved) => resolved.extend(one),
            none => *none = Some(one),
        }
    }
    resolved
}
