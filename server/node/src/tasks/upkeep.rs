//! Memory, checkpoints, purging, the stamp reserve and the clock alarm.

use super::marks::Counts;
use crate::instance::{Instance, wall_ms};
use crate::stats::Stats;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tandem_merge::stamp::{ms_of, stamp_of_ms};
use tandem_store::Database;
use tandem_store::background::step_back;
use tandem_store::database::Retention;
use tandem_store::hash::{SHARDS, SLICES};

/// What upkeep shows, and how it is stopped.
#[derive(Debug, Default)]
pub struct Upkeep {
    stop: Mutex<bool>,
    signal: Condvar,
    /// Set while memory is over its bound and writers should wait a moment each turn.
    pub stall: AtomicBool,
    /// How long they wait, in milliseconds.
    pause_ms: AtomicU64,
    /// Bytes of objects in memory, as of the last round.
    pub memory_bytes: AtomicU64,
    memory_peak: AtomicU64,
    /// How far the newest stamp of any record is ahead of this clock, in milliseconds.
    pub skew_ms: AtomicU64,
    /// Marks written and lives closed.
    pub counts: Counts,
}

/// Dirty bytes are flushed when they are more than this part of the budget.
const DIRTY_PART: u64 = 4;
/// Writers wait from this much over the budget on, in hundredths of it: more for each one more.
const OVER_MAX: u64 = 10;
/// Milliseconds that a writer waits each turn for each hundredth, and at most.
const PAUSE_MS: (u64, u64) = (2, 50);

impl Upkeep {
    /// Ends the thread.
    pub fn stop(&self) {
        *self.stop.lock() = true;
        self.signal.notify_one();
    }

    /// Waits for the next round. False: there is none.
    pub fn rest(&self, period: Duration) -> bool {
        let mut stop = self.stop.lock();
        if !*stop {
            self.signal.wait_for(&mut stop, period);
        }
        !*stop
    }

    /// Lets a writer wait while memory is over its bound.
    #[inline]
    pub fn brake(&self) {
        if self.stall.load(Ordering::Relaxed) {
            let pause_ms = self.pause_ms.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
    }

    /// Most bytes of objects in memory at the end of any round.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    /// Keeps the objects in memory within `budget` bytes: what is dirty goes to the trees, what is
    /// clean and cold is forgotten.
    pub fn bound_memory(&self, instance: &Instance, stats: &Stats, budget: u64, hand: &mut usize) {
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
        self.memory_peak.fetch_max(total, Ordering::Relaxed);
        let over = total.saturating_sub(budget) * 100 / budget.max(1);
        let stall = over > OVER_MAX;
        let pause_ms = (over.saturating_sub(OVER_MAX) * PAUSE_MS.0).min(PAUSE_MS.1);
        self.pause_ms.store(pause_ms, Ordering::Relaxed);
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

    /// Says so when a record's stamp is further ahead of this clock than allowed, and when it no
    /// longer is (rule 15).
    pub fn watch_clocks(&self, instance: &Instance) {
        let wall = wall_ms();
        let seen = instance
            .store
            .opened()
            .map(|database| ms_of(database.commit().clock.seen));
        let skew_ms = seen.max().unwrap_or(0).saturating_sub(wall);
        let bound_ms = instance.config.read().max_clock_skew.as_millis() as u64;
        let before = self.skew_ms.swap(skew_ms, Ordering::Relaxed);
        if skew_ms > bound_ms && before <= bound_ms {
            tracing::error!(
                skew_ms,
                bound_ms,
                "a member's clock is ahead of this one by more than `max-clock-skew`; set the \
                 clocks right, its writes win over later ones until then"
            );
        } else if skew_ms <= bound_ms && before > bound_ms {
            tracing::info!(skew_ms, "clocks agree again");
        }
    }
}

/// Has what is dirty handed to the tree by a thread of its own, unless one is at it already: memory
/// is bounded, and clean objects are forgotten, meanwhile.
pub fn checkpoint(database: &Arc<Database>) {
    if database.is_checkpointing() {
        return;
    }
    let writing = Arc::clone(database);
    let started = std::thread::Builder::new()
        .name("tandem-checkpoint".to_owned())
        .spawn(move || {
            step_back();
            write_checkpoint(&writing);
        });
    if started.is_err() {
        write_checkpoint(database);
    }
}

fn write_checkpoint(database: &Database) {
    if let Err(error) = database.checkpoint() {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            database = database.number,
            "checkpoint failed, it is tried again"
        );
    }
}

/// Looks for space again, and purges the log up to `horizon`: the lsn that a database's slowest
/// receiver has durably passed.
pub fn tend_logs(
    instance: &Instance,
    horizon: &impl Fn(&Database) -> u64,
    retention: &impl Fn() -> Retention,
) {
    for database in instance.store.opened() {
        if database.log.is_full() && database.flush_all().is_ok() {
            tracing::info!(
                database = database.number,
                "space is back, writes are accepted again"
            );
        }
        let keep = retention();
        // Nothing that a start would replay is purged: a short log needs checkpoints as often.
        let replayed = database
            .log
            .written()
            .saturating_sub(database.replay_from());
        if keep.bytes_max > 0 && replayed > keep.bytes_max / 2 {
            checkpoint(database);
        }
        match database.purge(horizon(database), keep) {
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
}

/// Keeps the stamps that may be given reserved on disk.
pub fn reserve_stamps(instance: &Instance) {
    let mut highest = stamp_of_ms(wall_ms());
    for database in instance.store.opened() {
        highest = highest.max(database.commit().clock.last);
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
