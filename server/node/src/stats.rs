//! Counters for INFO. Relaxed atomics: each is exact, together they are a moment's blur.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters since start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub rejected: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// Reads that found a key.
    pub hits: AtomicU64,
    /// Reads that found none.
    pub misses: AtomicU64,
    /// Keys removed because their end had passed.
    pub expired: AtomicU64,
    /// Objects evicted from memory (not data: they are on disk).
    pub evicted: AtomicU64,
    /// Bytes received from clients.
    pub input_bytes: AtomicU64,
    /// Bytes sent to clients.
    pub output_bytes: AtomicU64,
    /// Commands a second, as of the last second.
    pub commands_per_second: AtomicU64,
    /// Unix seconds of the last save that was asked for and succeeded; of the start before that.
    pub last_save: AtomicU64,
    /// Whether a save is under way.
    pub saving: AtomicBool,
}

impl Stats {
    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for counter in [
            &self.connections,
            &self.rejected,
            &self.commands,
            &self.hits,
            &self.misses,
            &self.expired,
            &self.evicted,
            &self.input_bytes,
            &self.output_bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
