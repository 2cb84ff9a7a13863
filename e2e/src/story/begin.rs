//! One story after another, with what it measured on standard error, where a test's own output is
//! not swallowed.

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Set to 1 for the sizes that the acceptance list names; a tenth of them otherwise.
const FULL_VARIABLE: &str = "TANDEM_FULL";

static TURN: Mutex<()> = Mutex::new(());

/// A running story; no other one of this program runs meanwhile.
#[derive(Debug)]
pub struct Story {
    name: &'static str,
    begun: Instant,
    _turn: MutexGuard<'static, ()>,
}

impl Story {
    /// Waits for its turn and begins.
    pub fn begin(name: &'static str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            name,
            begun: Instant::now(),
            _turn: turn,
        }
    }

    /// Prints a measurement.
    pub fn says(&self, what: impl std::fmt::Display) {
        let line = format!("story {}: {what}\n", self.name);
        std::io::stderr().write_all(line.as_bytes()).ok();
    }

    /// Gives the time since the story began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let end = if std::thread::panicking() {
            "broken"
        } else {
            "ended"
        };
        self.says(format_args!(
            "{end} after {:.1} s",
            self.begun.elapsed().as_secs_f64()
        ));
    }
}

/// Whether the full sizes are asked for.
pub fn full_size() -> bool {
    std::env::var_os(FULL_VARIABLE).is_some_and(|value| value == "1")
}

/// Gives the full count when full sizes are asked for, a tenth of it otherwise.
pub fn scaled(full: usize) -> usize {
    if full_size() { full } else { full / 10 }
}
