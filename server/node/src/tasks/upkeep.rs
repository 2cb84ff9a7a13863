//! The upkeep thread: memory, checkpoints, purging, sweeping of expired keys and dead contributions.

use crate::instance::{Instance, wall_ms};
use crate::stats::Stats;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tandem_merge::stamp::stamp_of_ms;
use tandem_store::Database;
use tandem_store::database::Retention;
use tandem_store::hash::{SHARDS, SLICES};

/// Runs upkeep in a thread of its own.
#[derive(Debug, Default)]
pub struct Upkeep {
    stop: Mutex<bool>,
    signal: Condvar,
    /// Set while memory is over its bound and writers should wait a moment each turn.
    pub stall: AtomicBool,
    /// Bytes of objects in memory, as of the last round.
    pub memory_bytes: AtomicU64,
}

const PERIOD: Duration = Duration::from_millis(100);
/// Dirty bytes are flushed when they are more than this part of the budget.
const DIRTY_PART: u64 = 3;

impl Upkeep {
    /// Ends the thread.
    pub fn stop(&self) {
        *self.stop.lock() = true;
        self.signal.notify_one();
    }

    /// Runs the thread: `budget` gives the bytes that objects may take, `horizon` the lsn that a
    /// database's slowest receiver has durably passed, `retention` how much log is kept.
    pub fn run(
        &self,
        instance: &Arc<Instance>,
        stats: &Stats,
        budget: impl Fn() -> u64,
        horizon: impl Fn(&Database) -> u64,
        retention: impl Fn() -> Retention,
    ) {
        let mut hand = 0;
        let mut round = 0u64;
        loop {
            {
                let mut stop = self.stop.lock();
                if !*stop {
                    self.signal.wait_for(&mut stop, PERIOD);
                }
                if *stop {
                    return;
                }
            }
            round += 1;
            self.bound_memory(instance, stats, budget(), &mut hand);
            for database in instance.store.opened() {
                if database.wants_checkpoint() {
                    checkpoint(database);
                }
            }
            if round.is_multiple_of(10) {
                each_second(instance, &horizon, &retention);
            }
        }
    }

    fn bound_memory(&self, instance: &Instance, stats: &Stats, budget: u64, hand: &mut usize) {
        let mut total = 0;
        for database in instance.store.opened() {
            let (bytes, dirty) = database.cells.memory();
            total += bytes as u64;
            if dirty as u64 > budget / DIRTY_PART {
                checkpoint(database);
            }
        }
        let mut steps = 0;
        while total > budget && steps < 3 * SHARDS * SLICES {
            for database in instance.store.opened() {
                let place = *hand % (SHARDS * SLICES);
                let gained = database.cells.evict_slice(place / SLICES, place % SLICES) as u64;
                total = total.saturating_sub(gained);
                stats
                    .evicted
                    .fetch_add(u64::from(gained > 0), Ordering::Relaxed);
            }
            *hand += 1;
            steps += 1;
        }
        self.memory_bytes.store(total, Ordering::Relaxed);
        let stall = total > budget + budget / 4;
        if stall && !self.stall.load(Ordering::Relaxed) {
            tracing::warn!(
                memory_bytes = total,
                budget_bytes = budget,
                "memory over its bound, writers wait"
            );
            for database in instance.store.opened() {
                checkpoint(database);
            }
        }
        self.stall.store(stall, Ordering::Relaxed);
    }
}

fn checkpoint(database: &Database) {
    match database.checkpoint() {
        Ok(_) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            database = database.number,
            "checkpoint failed, it is tried again"
        ),
    }
}

fn each_second(
    instance: &Instance,
    horizon: &impl Fn(&Database) -> u64,
    retention: &impl Fn() -> Retention,
) {
    let mut highest = stamp_of_ms(wall_ms());
    for database in instance.store.opened() {
        highest = highest.max(database.commit().clock.last);
        if database.log.is_full() && database.flush_all().is_ok() {
            tracing::info!(
                database = database.number,
                "space is back, writes are accepted again"
            );
        }
        match database.purge(horizon(database), retention()) {
            Ok((0, _)) => {}
            Ok((segments, overrun)) => {
                tracing::info!(database = database.number, segments, overrun, "log purged");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                database = database.number,
                "log not purged"
            ),
        }
    }
    if instance.is_writable()
        && let Err(error) = instance.reserve_stamps(highest)
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "stamps not reserved on disk"
        );
    }
}
