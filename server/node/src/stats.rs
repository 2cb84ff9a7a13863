//! Counters for INFO. Relaxed atomics: each is exact, together they are a moment's blur.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tandem_proto::command::{CommandSpec, Flags};

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Reads keys.
    Read,
    /// Changes keys.
    Write,
    /// Asks or changes the server.
    Admin,
    /// Anything else: about the connection, transactions, unknown ones.
    Other,
}

impl Family {
    /// All families, in order of their number.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Other];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Other => "other",
        }
    }

    /// The family of a command.
    #[inline]
    pub fn of(spec: Option<&CommandSpec>) -> Self {
        match spec.map(|spec| spec.flags) {
            Some(flags) if flags.contains(Flags::WRITE) => Self::Write,
            Some(flags) if flags.contains(Flags::READONLY) => Self::Read,
            Some(flags) if flags.contains(Flags::ADMIN) => Self::Admin,
            _ => Self::Other,
        }
    }
}

/// Counters since start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub rejected: AtomicU64,
    /// Commands run, by family.
    pub families: [AtomicU64; Family::ALL.len()],
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
    /// Commands run, of all families.
    pub fn commands(&self) -> u64 {
        let counts = self.families.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for counter in [
            &self.connections,
            &self.rejected,
            &self.hits,
            &self.misses,
            &self.expired,
            &self.evicted,
            &self.input_bytes,
            &self.output_bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        for counter in &self.families {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
