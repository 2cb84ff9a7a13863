//! One link that this instance dials: what is wanted of it and what it shows.

use super::receiver::since;
use crate::instance::wall_ms;
use crate::meta::Target;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tandem_proto::status::{LinkKind, LinkState, LinkStatus};
use tandem_replicate::FullMode;

/// What makes a link another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) kind: LinkKind,
    pub(super) target: Target,
    /// Server id that must be found there.
    pub(super) expected: Option<u32>,
    /// The life that is written here: a new one makes itself known.
    pub(super) incarnation: u64,
}

/// One link that this instance dials.
pub(super) struct Dial {
    pub(super) wanted: Wanted,
    /// A full resync that was asked for.
    pub(super) wish: Mutex<Option<FullMode>>,
    /// Whether a human told this.
    pub(super) by_hand: AtomicBool,
    shown: Mutex<Shown>,
    pub(super) full_resyncs: AtomicU64,
    pub(super) partial_resyncs: AtomicU64,
    /// Unix milliseconds of the last word of the source; 0: none.
    pub(super) heard_ms: AtomicU64,
    pub(super) lag_records: AtomicU64,
    /// By database: lsn of the source's log up to which all was taken in.
    pub(super) received: Mutex<BTreeMap<u32, u64>>,
    /// Records applied by it since start.
    pub(super) applied: AtomicU64,
    task: Mutex<Option<tokio::task::AbortHandle>>,
    /// Counts the tasks that were begun for it; only the last one speaks for it.
    turn: AtomicU64,
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dial")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Shown {
    state: LinkState,
    reason: String,
    server_id: u32,
    instance_id: String,
}

impl Dial {
    pub(super) fn new(wanted: Wanted) -> Arc<Self> {
        Arc::new(Self {
            wanted,
            wish: Mutex::new(None),
            by_hand: AtomicBool::new(false),
            shown: Mutex::new(Shown {
                state: LinkState::Connecting,
                reason: String::new(),
                server_id: 0,
                instance_id: String::new(),
            }),
            full_resyncs: AtomicU64::new(0),
            partial_resyncs: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            lag_records: AtomicU64::new(0),
            received: Mutex::default(),
            applied: AtomicU64::new(0),
            task: Mutex::new(None),
            turn: AtomicU64::new(0),
        })
    }

    pub(super) fn goes_where(&self, other: &Self) -> bool {
        self.wanted.kind == other.wanted.kind && self.wanted.target == other.wanted.target
    }

    /// Goes on counting where an earlier link to the same source ended.
    pub(super) fn count_on(&self, older: &Self) {
        for (mine, theirs) in [
            (&self.full_resyncs, &older.full_resyncs),
            (&self.partial_resyncs, &older.partial_resyncs),
            (&self.applied, &older.applied),
        ] {
            mine.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Shows a state; an empty reason takes the last one away. A new refusal is logged.
    pub(super) fn show(&self, state: LinkState, reason: &str) {
        let mut shown = self.shown.lock();
        let is_refusal = matches!(state, LinkState::LostPlace | LinkState::Refused);
        if is_refusal && (shown.state != state || shown.reason != reason) {
            tracing::warn!(
                kind = ?self.wanted.kind,
                target = %self.wanted.target,
                ?state,
                reason,
                "link refused"
            );
        }
        shown.state = state;
        if shown.reason != reason {
            reason.clone_into(&mut shown.reason);
        }
    }

    /// Logs the end of a link, unless it ended the same way before, or [`Self::show`] tells it.
    pub(super) fn tell(&self, state: LinkState, reason: &str) {
        let shown = self.shown.lock();
        let is_refusal = matches!(state, LinkState::LostPlace | LinkState::Refused);
        if !is_refusal && (shown.state != state || shown.reason != reason) {
            tracing::info!(
                kind = ?self.wanted.kind,
                target = %self.wanted.target,
                ?state,
                reason,
                "link ended, dialling again"
            );
        }
    }

    /// Notes who answered.
    pub(super) fn met(&self, server_id: u32, instance_id: &str) {
        let mut shown = self.shown.lock();
        shown.server_id = server_id;
        instance_id.clone_into(&mut shown.instance_id);
    }

    /// Notes a sign of life of the source.
    pub(super) fn heard(&self) {
        self.heard_ms.store(wall_ms(), Ordering::Relaxed);
    }

    /// The task that dials from now on; an older one ends.
    pub(super) fn run_by(&self, task: tokio::task::AbortHandle) {
        if let Some(older) = self.task.lock().replace(task) {
            older.abort();
        }
    }

    /// Ends the link.
    pub(super) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }

    /// Another task speaks for it from now on; gives its number.
    pub(super) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether the task with this number still speaks for it.
    pub(super) fn is_turn(&self, turn: u64) -> bool {
        self.turn.load(Ordering::Acquire) == turn
    }

    pub(super) fn status(&self) -> LinkStatus {
        let shown = self.shown.lock();
        let heard = self.heard_ms.load(Ordering::Relaxed);
        LinkStatus {
            kind: self.wanted.kind,
            host: self.wanted.target.host.clone(),
            port: self.wanted.target.port,
            server_id: shown.server_id,
            instance_id: shown.instance_id.clone(),
            state: shown.state,
            reason: shown.reason.clone(),
            last_contact_ms: (heard > 0).then(|| since(heard)),
            lag_records: self.lag_records.load(Ordering::Relaxed),
            full_resyncs: self.full_resyncs.load(Ordering::Relaxed),
            partial_resyncs: self.partial_resyncs.load(Ordering::Relaxed),
        }
    }
}
