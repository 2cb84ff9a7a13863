//! The intervals that detection and repair go by; all in milliseconds.

use serde::{Deserialize, Serialize};
use tandem_api::double_master::Failover;

/// Probes that have to be missed in a row, besides the silence, before the operator's own vote counts.
/// An operator that was itself stopped has a long silence behind it but no missed probe.
pub const MISSED_PROBES_MIN: u32 = 2;

/// Factor on `restart_hung_ms` for a process that has never answered: recovery of a large log takes
/// its time, and killing it would only begin it again.
pub const BOOT_PATIENCE: u64 = 10;

/// Links say something at least this often (`PING_PERIOD` of the server's links, once a second).
const LINK_PING_MS: u64 = 1000;

/// Pings of a link that may be missing, besides the silence that counts.
const LINK_PINGS_MISSING: u64 = 3;

/// Intervals of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Distance between two probes.
    pub probe_interval_ms: u64,
    /// Silence after which the operator's vote is "dead".
    pub hang_ms: u64,
    /// Silence on a link after which its receiver's vote is "dead".
    pub link_ms: u64,
    /// Age of a write that could not be made durable after which a disk is hung.
    pub disk_ms: u64,
    /// Least distance between failovers that rest on silence.
    pub quiet_ms: u64,
    /// How long a promotion collects.
    pub collect_ms: u64,
    /// How long a group without primary waits for instances that have not answered since their start.
    pub assemble_ms: u64,
    /// Silence after which a running process is killed.
    pub restart_hung_ms: u64,
    /// How long a claimed instance has to open before another one is claimed.
    pub open_ms: u64,
    /// Rest of the roles after which one of two primaries on one node goes elsewhere; 0: never.
    pub apart_ms: u64,
}

/// Least time to open when nobody states one.
const OPEN_MS_MIN: u64 = 2000;

/// Doublings of the time to open, at most.
const PATIENCE_DOUBLINGS_MAX: u32 = 4;

/// Doublings of the rest of an instance that did not open, at most.
const REST_DOUBLINGS_MAX: u32 = 6;

impl From<&Failover> for Timing {
    fn from(spec: &Failover) -> Self {
        Self {
            probe_interval_ms: spec.probe_interval_ms,
            hang_ms: spec.hang_timeout_ms,
            link_ms: spec.link_timeout_ms,
            disk_ms: spec.disk_timeout_ms,
            quiet_ms: spec.quiet_ms,
            collect_ms: spec.collect_ms,
            assemble_ms: spec.assemble_ms,
            restart_hung_ms: spec.restart_hung_ms,
            open_ms: spec.open_ms.unwrap_or_else(|| default_open_ms(spec)),
            apart_ms: spec.apart_ms,
        }
    }
}

/// A promotion collects, recovers from a lost answer, and may meet an instance that has to boot.
fn default_open_ms(spec: &Failover) -> u64 {
    (spec.collect_ms + spec.assemble_ms + 2 * spec.hang_timeout_ms).max(OPEN_MS_MIN)
}

impl Timing {
    /// Silence after which a link that calls itself streaming is not taken for one. Well above the
    /// ping of an idle link, so that it says nothing of an idle one.
    pub fn link_silent_ms(&self) -> u64 {
        self.link_ms + LINK_PINGS_MISSING * LINK_PING_MS
    }

    /// Silence on a link that says something of an idle one, too: a ping is late by what counts.
    pub fn idle_link_lost_ms(&self) -> u64 {
        self.link_ms + LINK_PING_MS
    }

    /// How long a claimed instance has to open when another one did not before it, `times` in a row.
    pub fn patience_ms(&self, times: u32) -> u64 {
        self.open_ms << times.min(PATIENCE_DOUBLINGS_MAX)
    }

    /// How long an instance that did not open, `times` in a row, is not chosen without need.
    pub fn rest_ms(&self, times: u32) -> u64 {
        self.open_ms << times.min(REST_DOUBLINGS_MAX)
    }
}

/// Wait before the next try after `failures` failures in a row: 0, then 100 ms doubling up to 5 s.
pub fn backoff_ms(failures: u32) -> u64 {
    match failures {
        0 => 0,
        n => (100_u64 << (n - 1).min(6)).min(5000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let waits: Vec<u64> = [0, 1, 2, 3, 6, 7, 1000].map(backoff_ms).into();
        assert_eq!(waits, [0, 100, 200, 400, 3200, 5000, 5000]);
    }
}
