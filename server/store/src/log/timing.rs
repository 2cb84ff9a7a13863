//! How long fsyncs take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the groups, in microseconds; a last group has none.
pub const BOUNDS_US: [u64; 10] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000,
];

/// Groups of durations.
pub const GROUPS: usize = BOUNDS_US.len() + 1;

/// Durations by group, and their sum.
#[derive(Debug, Default)]
pub struct Timing {
    counts: [AtomicU64; GROUPS],
    sum_us: AtomicU64,
}

impl Timing {
    /// One more.
    pub(super) fn note(&self, took: Duration) {
        let us = took.as_micros() as u64;
        let group = BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[group].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Counts by group, and the sum in microseconds.
    pub fn read(&self) -> ([u64; GROUPS], u64) {
        let counts = std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed));
        (counts, self.sum_us.load(Ordering::Relaxed))
    }
}
