//! What has to be done now and then: retention, checkpoints, syncs that nobody waits for, memory and files that can go. All of it
//! on one I/O thread of its own, so that it delays neither appends nor reads.

use std::sync::Arc;
use std::time::Duration;

use forebay_records::Timestamp;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::clock;
use crate::config::UpkeepConfig;
use crate::io_pool::IoPool;
use crate::metadata::Metadata;
use crate::replicas::Replicas;
use crate::shutdown::Shutdown;

/// How often syncs that are due, files that may go and memory that is idle are looked for.
const SMALL_ROUND: Duration = Duration::from_secs(1);
/// How long what was appended stays in memory for readers.
const TAIL_KEPT_MS: i64 = 30_000;

/// Does all of it until the broker stops.
pub(crate) async fn run(
    config: UpkeepConfig,
    replicas: Arc<Replicas>,
    metadata: Arc<Metadata>,
    pool: IoPool,
    shutdown: Shutdown,
) {
    let mut small = every(SMALL_ROUND);
    let mut retention = every(config.retention_check_interval);
    let mut checkpoint = every(
        config
            .recovery_point_checkpoint_interval
            .min(config.log_start_offset_checkpoint_interval)
            .min(config.high_watermark_checkpoint_interval),
    );
    let shutdown = shutdown.requested();
    tokio::pin!(shutdown);
    loop {
        let job: fn(&Replicas, &Metadata, Timestamp) = tokio::select! {
            () = &mut shutdown => return,
            _tick = small.tick() => small_round,
            _tick = retention.tick() => delete_old_segments,
            _tick = checkpoint.tick() => |replicas, _metadata, _now| write_checkpoints(replicas),
        };
        let (replicas, metadata) = (Arc::clone(&replicas), Arc::clone(&metadata));
        if pool
            .run(move || job(&replicas, &metadata, clock::now()))
            .await
            .is_err()
        {
            tracing::error!("a round of upkeep failed; the next one comes as planned");
        }
    }
}

/// Ticks for the first time after one period.
fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    interval
}

fn small_round(replicas: &Replicas, metadata: &Metadata, now: Timestamp) {
    for replica in replicas.all() {
        replica.sync_if_due(now);
        if let Some(log) = replica.log() {
            log.release_idle(Timestamp(now.0 - TAIL_KEPT_MS));
        }
    }
    let directory = &replicas.shared().directory;
    directory.ensure_exists();
    directory.purge(now);
    metadata.upkeep(now);
}

fn delete_old_segments(replicas: &Replicas, _metadata: &Metadata, now: Timestamp) {
    for replica in replicas.all() {
        replica.delete_old_segments(now);
    }
}

/// Writes recovery points, log start offsets and high watermarks.
pub(crate) fn write_checkpoints(replicas: &Replicas) {
    let shared = replicas.shared();
    if let Err(error) = shared.directory.checkpoint(Some(replicas.high_watermarks())) {
        tracing::error!(%error, "checkpoints cannot be written");
    }
}
