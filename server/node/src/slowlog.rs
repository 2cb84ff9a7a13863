//! The slow log: commands that took longer than a bound, newest first.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One slow command.
#[derive(Debug, Clone)]
pub struct SlowCommand {
    /// Running number.
    pub id: u64,
    /// Unix seconds when it ended.
    pub at: u64,
    /// How long it took.
    pub took: Duration,
    /// Its arguments, shortened as Redis does.
    pub args: Vec<Vec<u8>>,
    /// Who asked.
    pub peer: SocketAddr,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The log.
#[derive(Debug, Default)]
pub struct Slowlog {
    inner: Mutex<(u64, VecDeque<SlowCommand>)>,
    max: std::sync::atomic::AtomicUsize,
}

/// Arguments kept of one command, and bytes of one argument, as Redis keeps them.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

impl Slowlog {
    /// Sets how many are kept.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, std::sync::atomic::Ordering::Relaxed);
    }

    /// Notes a slow command.
    #[cold]
    pub fn note(&self, took: Duration, args: &[&[u8]], peer: SocketAddr, name: &[u8]) {
        let max = self.max.load(std::sync::atomic::Ordering::Relaxed);
        if max == 0 {
            return;
        }
        let secret =
            args[0].eq_ignore_ascii_case(b"auth") || args[0].eq_ignore_ascii_case(b"hello");
        let kept = if secret { 1 } else { ARGS_MAX };
        let shorten = |arg: &&[u8]| arg[..arg.len().min(ARG_BYTES_MAX)].to_vec();
        let mut inner = self.inner.lock();
        let command = SlowCommand {
            id: inner.0,
            at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_secs()),
            took,
            args: args.iter().take(kept).map(shorten).collect(),
            peer,
            name: name.to_vec(),
        };
        inner.0 += 1;
        inner.1.push_front(command);
        inner.1.truncate(max);
    }

    /// The newest ones.
    pub fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.inner.lock().1.iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.lock().1.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.inner.lock().1.clear();
    }
}
