//! Waking links when a log has grown, at the cost of one load when nobody sleeps.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Wakes sleeping senders.
#[derive(Debug, Default)]
pub(super) struct Waker {
    sleepers: AtomicUsize,
    notify: Notify,
}

/// One sender's announcement that it is going to sleep; taken back when dropped.
#[derive(Debug)]
pub(super) struct Sleeper<'w>(&'w Waker);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waker {
    /// A log has grown. The caller has published that before.
    #[inline]
    pub(super) fn wake(&self) {
        // NOTE: orders the publication before the load; the sleeper orders its announcement before
        // its last look at the logs. One of the two sees the other.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.notify.notify_waiters();
        }
    }

    /// Announces a sleep. Look at the logs once more, then await what
    /// [`notified`](Self::notified) gave before.
    pub(super) fn announce(&self) -> Sleeper<'_> {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Sleeper(self)
    }

    /// Resolves at the next wake; must be enabled before [`announce`](Self::announce).
    pub(super) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }
}
