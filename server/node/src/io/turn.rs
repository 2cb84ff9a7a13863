//! One turn of an I/O thread, as the commands that run in it see and fill it.

use crate::dispatch::Ahead;
use crate::stats::Family;
use std::time::{Duration, Instant};
use tandem_merge::EffectWriter;
use tandem_store::Receipt;

/// When a reply to a write may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the kernel holds it (`appendfsync everysec`, `no`).
    Written,
    /// When the disk holds it (`appendfsync always`).
    Durable,
}

/// Random bits for commands that draw: xorshift64*, seeded by the system. Not for secrets.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// What one turn has touched: databases whose log must be written before replies leave.
#[derive(Debug)]
pub struct Turn {
    pub(super) touched: Vec<(u32, u64)>,
    /// Unix milliseconds, read once a turn.
    pub wall_ms: u64,
    /// Reused for each command's effects.
    pub effects: EffectWriter,
    /// Commands run since the counts were last settled, by family.
    pub families: [u64; Family::ALL.len()],
    /// Reads that found a key, since then.
    pub hits: u64,
    /// Reads that found none, since then.
    pub misses: u64,
    /// Bytes received from clients, since then.
    pub input_bytes: u64,
    /// Bytes sent to clients, since then.
    pub output_bytes: u64,
    /// When the last command ended.
    pub clock: Instant,
    /// What counts as slow; `Duration::MAX` for nothing.
    pub slow: Duration,
    /// What was found out about the command before its turn.
    pub ahead: Ahead,
    /// Set by a command that cannot have taken long.
    pub is_quick: bool,
    /// For commands that draw.
    pub random: Random,
    pub(super) last: Option<(u32, u64)>,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            touched: Vec::new(),
            wall_ms: 0,
            effects: EffectWriter::default(),
            families: [0; Family::ALL.len()],
            hits: 0,
            misses: 0,
            input_bytes: 0,
            output_bytes: 0,
            clock: Instant::now(),
            slow: Duration::MAX,
            ahead: Ahead::default(),
            is_quick: false,
            random: Random(crate::instance::random_u64() | 1),
            last: None,
        }
    }

    /// Notes a write.
    #[inline]
    pub fn wrote(&mut self, database: u32, receipt: &Receipt) {
        self.last = Some((database, receipt.lsn));
        match self
            .touched
            .iter_mut()
            .find(|(number, _)| *number == database)
        {
            Some((_, lsn)) => *lsn = (*lsn).max(receipt.lsn),
            None => self.touched.push((database, receipt.lsn)),
        }
    }
}
