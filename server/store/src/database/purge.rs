//! Removing old segments: never what recovery needs, and what receivers need only beyond a limit.

use super::Database;
use crate::error::StoreError;

/// How much log is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Newest segments that are always kept (`expire-logs-nums`).
    pub segments_min: usize,
    /// Kept log in bytes beyond which even needed segments go, 0 for no limit.
    pub bytes_max: u64,
}

impl Database {
    /// Removes segments that nobody needs: below the last checkpoint, below `horizon` (the lsn that
    /// the slowest receiver has not durably passed), and not among the newest. With holes nothing
    /// goes (rule 7). Returns how many were removed, and whether a receiver lost its place by it.
    pub fn purge(&self, horizon: u64, keep: Retention) -> Result<(usize, bool), StoreError> {
        if self.has_holes() {
            return Ok((0, false));
        }
        let (mut removed, mut overrun) = (0, false);
        loop {
            let segments = self.log.segments();
            let (Some(oldest), Some(next)) = (segments.first(), segments.get(1)) else {
                break;
            };
            let over =
                keep.bytes_max > 0 && self.log.written().saturating_sub(next.base) > keep.bytes_max;
            let spare = segments.len() > keep.segments_min && next.base <= horizon;
            let pinned = next.base > self.pin.load(std::sync::atomic::Ordering::Acquire);
            if pinned || next.base > self.replay_from() || !(spare || over) {
                break;
            }
            overrun |= !spare && next.base > horizon;
            // What was given up says nothing about the state that is served.
            if next.base >= self.serve_from() {
                self.commit.lock().history.base.join(&next.vv);
            }
            self.log
                .remove_oldest(oldest.number)
                .map_err(StoreError::io("remove a log segment"))?;
            removed += 1;
        }
        Ok((removed, overrun))
    }
}
