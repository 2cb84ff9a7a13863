//! Where a handover of the role of primary stands; `handover` carries it out.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a handover stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// There is none.
    #[default]
    None,
    /// Writes wait until the replica holds all.
    WaitingForSync,
    /// The replica is being promoted.
    InProgress,
}

impl Phase {
    /// As INFO says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::WaitingForSync => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        }
    }
}

/// The handover of an instance.
#[derive(Debug, Default)]
pub struct Failover {
    phase: Mutex<Phase>,
    paused: AtomicBool,
    aborted: AtomicBool,
}

impl Failover {
    /// Where it stands.
    pub fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    /// Begins: writes wait from now on. `choose` may refuse.
    pub(crate) fn begin<T>(
        &self,
        choose: impl FnOnce() -> Result<T, &'static str>,
    ) -> Result<T, &'static str> {
        let mut phase = self.phase.lock();
        if *phase != Phase::None {
            return Err("ERR FAILOVER already in progress.");
        }
        let chosen = choose()?;
        *phase = Phase::WaitingForSync;
        self.aborted.store(false, Ordering::Release);
        self.paused.store(true, Ordering::Release);
        Ok(chosen)
    }

    /// The promotion begins.
    pub(crate) fn promote(&self) {
        *self.phase.lock() = Phase::InProgress;
    }

    /// Ends: writes go on, wherever.
    pub(crate) fn end(&self) {
        *self.phase.lock() = Phase::None;
        self.paused.store(false, Ordering::Release);
    }

    /// Whether it was given up.
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Whether writes wait.
    #[inline]
    pub fn is_pausing(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Gives it up while that is possible.
    pub fn abort(&self) -> Result<(), &'static str> {
        match self.phase() {
            Phase::None => Err("ERR No failover in progress."),
            Phase::WaitingForSync | Phase::InProgress => {
                self.aborted.store(true, Ordering::Release);
                Ok(())
            }
        }
    }
}
