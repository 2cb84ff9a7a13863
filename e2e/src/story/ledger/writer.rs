//! Threads that write without end and note each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use redis::Connection;

use super::record::{Gap, Ledger};
use super::step::Step;
use crate::client::wait_for;
use crate::story::instance::Instance;

const RECONNECT_PAUSE: Duration = Duration::from_millis(2);
const GAP_MIN: Duration = Duration::from_millis(20);

/// How hard writers press.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Pause between two writes of one writer.
    pub pause: Duration,
    /// How long an answer may take before the writer connects anew.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: Duration::ZERO,
            patience: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    acknowledged: AtomicU64,
}

/// Running writers; they stop at drop.
#[derive(Debug)]
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Ledger>>,
}

impl Writers {
    /// Starts `count` writers to each of the instances. `name` must differ between writers that
    /// share data.
    pub fn start(name: &str, to: &[Instance], count: usize, pace: Pace) -> Self {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for (target, instance) in to.iter().enumerate() {
            for writer in 0..count {
                let own = format!("{name}{target}w{writer}");
                let (instance, shared) = (*instance, Arc::clone(&shared));
                threads.push(std::thread::spawn(move || {
                    write(&own, instance, pace, &shared)
                }));
            }
        }
        Self { shared, threads }
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes were acknowledged.
    pub fn wait_for_more(&self, count: u64) -> Result<()> {
        let wanted = self.acknowledged() + count;
        let what = format!("{count} more acknowledged writes");
        wait_for(&what, Duration::from_mins(1), || {
            Ok((self.acknowledged() >= wanted).then_some(()))
        })
    }

    /// Ends the writers and gives what they were told.
    pub fn finish(mut self) -> Result<Ledger> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for thread in self.threads.drain(..) {
            ledger.merge(thread.join().map_err(|_| anyhow!("a writer panicked"))?);
        }
        Ok(ledger)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn write(own: &str, instance: Instance, pace: Pace, shared: &Shared) -> Ledger {
    let mut ledger = Ledger::default();
    let mut last = Instant::now();
    let mut life = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        let Ok(mut connection) = instance.connect_with(pace.patience) else {
            std::thread::sleep(RECONNECT_PAUSE);
            continue;
        };
        let keys = format!("{own}c{life}:");
        life += 1;
        write_until_refused(
            &keys,
            &mut connection,
            pace,
            shared,
            (&mut ledger, &mut last),
        );
        std::thread::sleep(RECONNECT_PAUSE);
    }
    ledger
}

/// Writes on one connection until a write is not acknowledged.
fn write_until_refused(
    keys: &str,
    connection: &mut Connection,
    pace: Pace,
    shared: &Shared,
    (ledger, last): (&mut Ledger, &mut Instant),
) {
    let mut number = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        let step = Step::choose(keys, number, ledger);
        number += 1;
        if step.run(connection).is_err() {
            return step.unanswered(ledger);
        }
        step.done(ledger);
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        let length = last.elapsed();
        if length >= GAP_MIN {
            ledger.gaps.push(Gap {
                from: *last,
                length,
            });
        }
        *last = Instant::now();
        if !pace.pause.is_zero() {
            std::thread::sleep(pace.pause);
        }
    }
}
