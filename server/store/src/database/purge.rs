//! Removing old segments: never what recovery needs, and what receivers need only beyond a limit.

use super::Database;
use crate::error::StoreError;
use crate::log::SegmentInfo;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Newest segments that stay however old they are: Pika's number.
const OLD_SEGMENTS_MIN: usize = 10;

/// How much log is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// Newest segments that are kept (`expire-logs-nums`), unless they are old.
    pub segments_min: usize,
    /// A segment that was last written to before this time is old (`expire-logs-days`) and goes
    /// although fewer than `segments_min` are there, down to 10; `None`: none is.
    pub old_before: Option<SystemTime>,
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
            let pinned = next.base > self.pin.load(Ordering::Acquire);
            if pinned || next.base > self.replay_from() {
                break;
            }
            let spare = next.base <= horizon
                && (segments.len() > keep.segments_min || self.is_old(&segments, keep)?);
            if !(spare || over) {
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

    /// Whether the oldest of these segments may go by its age.
    fn is_old(&self, segments: &[SegmentInfo], keep: Retention) -> Result<bool, StoreError> {
        let (Some(oldest), Some(before)) = (segments.first(), keep.old_before) else {
            return Ok(false);
        };
        if segments.len() <= OLD_SEGMENTS_MIN {
            return Ok(false);
        }
        let modified = self.log.modified(oldest.number);
        let modified = modified.map_err(StoreError::io("ask for the age of a log segment"))?;
        Ok(modified.is_some_and(|modified| modified < before))
    }
}
