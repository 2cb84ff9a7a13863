//! The fsync thread: once a second (`everysec`), after every turn with writes (`always`), or when
//! asked. One fsync covers everything written before it began (group commit).

use crate::instance::Instance;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Starts fsyncs and tells when they are done.
#[derive(Debug)]
pub struct Syncer {
    wanted: Mutex<bool>,
    signal: Condvar,
    stop: AtomicBool,
    started: Instant,
    /// Milliseconds after `started` at which the last fsync round ended.
    last_ms: AtomicU64,
}

const PERIOD: Duration = Duration::from_secs(1);

impl Default for Syncer {
    fn default() -> Self {
        Self {
            wanted: Mutex::new(false),
            signal: Condvar::new(),
            stop: AtomicBool::new(false),
            started: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }
}

impl Syncer {
    /// Asks for an fsync of what is written now.
    pub fn request(&self) {
        let mut wanted = self.wanted.lock();
        if !*wanted {
            *wanted = true;
            self.signal.notify_one();
        }
    }

    /// Ends the thread after a last round.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.request();
    }

    /// Milliseconds since the last round of fsyncs ended: grows when a disk hangs.
    pub fn age_ms(&self) -> u64 {
        (self.started.elapsed().as_millis() as u64)
            .saturating_sub(self.last_ms.load(Ordering::Acquire))
    }

    /// Runs the thread. `done` is called after each round that made something durable; `periodic`
    /// says whether the second's round is wanted (`appendfsync no` leaves it to the kernel).
    pub fn run(&self, instance: &Arc<Instance>, periodic: impl Fn() -> bool, done: impl Fn()) {
        while !self.stop.load(Ordering::Acquire) {
            let asked = {
                let mut wanted = self.wanted.lock();
                if !*wanted {
                    self.signal.wait_for(&mut wanted, PERIOD);
                }
                std::mem::take(&mut *wanted)
            };
            let due = asked || periodic();
            let mut moved = false;
            for database in instance.store.opened() {
                // What has ended is saved in any case: the kernel's pace has no bound.
                if due || database.log.has_ended() {
                    let before = database.log.durable();
                    moved |= database.log.sync().is_ok_and(|after| after > before);
                }
            }
            if moved || asked {
                done();
            }
            self.last_ms
                .store(self.started.elapsed().as_millis() as u64, Ordering::Release);
        }
        for database in instance.store.opened() {
            if database.flush_all().is_ok() {
                let _ = database.log.sync();
            }
        }
        done();
    }
}
