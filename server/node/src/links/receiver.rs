//! One receiver that pulls from here: what it has acknowledged, database by database.

use crate::instance::wall_ms;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_merge::{Dot, Origin, Origins, VersionVector};
use tandem_proto::status::{LinkKind, LinkState, ReceiverStatus};
use tandem_replicate::{Ack, Hello, View, Window};
use tandem_store::Database;
use tokio::sync::Notify;

/// What is known to be held by one instance, of one database.
pub(super) type SharedView = Arc<Mutex<View>>;

/// Milliseconds since an earlier [`wall_ms`].
pub(super) fn since(then_ms: u64) -> u64 {
    wall_ms().saturating_sub(then_ms)
}

/// How far a receiver is in one database.
pub(super) struct Progress {
    pub(super) database: Arc<Database>,
    pub(super) view: SharedView,
    pub(super) window: Window,
    pub(super) state: LinkState,
    /// It serves the state of a full resync: from here on it gets only what it lacks.
    pub(super) done: bool,
    /// Origins by the receiver's numbers.
    numbering: Vec<Origin>,
    applied_lsn: u64,
    durable_lsn: u64,
    /// Heads of the log with the time they were seen, to date durable acks by.
    marks: VecDeque<(u64, u64)>,
    durable_ms: u64,
}

/// Most heads that wait for a durable ack; older ones merge into the oldest.
const MARKS_MAX: usize = 256;

/// One receiver that pulls from here.
pub(super) struct Receiver {
    pub(super) kind: LinkKind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) server_id: u32,
    pub(super) instance_id: String,
    pub(super) own: Option<Origin>,
    /// Wakes the sending side: a window opened, a state was taken over.
    pub(super) wake: Notify,
    /// Records sent that the receiver's present life wrote itself.
    pub(super) echoes: AtomicU64,
    progress: Mutex<BTreeMap<u32, Progress>>,
    acked_ms: AtomicU64,
    closing: Mutex<Option<String>>,
    close: Notify,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("kind", &self.kind)
            .field("instance_id", &self.instance_id)
            .finish_non_exhaustive()
    }
}

/// A message that does not fit what was said before.
#[derive(Debug, thiserror::Error)]
#[error("ack of a database or origin that was never announced")]
pub(super) struct Confused;

impl Receiver {
    pub(super) fn new(hello: &Hello, host: String) -> Self {
        Self {
            kind: hello.kind,
            host,
            port: hello.port,
            server_id: hello.server_id,
            instance_id: hello.instance_id.clone(),
            own: hello.own,
            wake: Notify::new(),
            echoes: AtomicU64::new(0),
            progress: Mutex::default(),
            acked_ms: AtomicU64::new(wall_ms()),
            closing: Mutex::default(),
            close: Notify::new(),
        }
    }

    /// Begins a database: `origins` are the receiver's, by its numbers.
    pub(super) fn enter(
        &self,
        database: &Arc<Database>,
        view: SharedView,
        window: Window,
        origins: Vec<Origin>,
        start_lsn: u64,
    ) {
        let progress = Progress {
            database: Arc::clone(database),
            view,
            window,
            state: LinkState::Streaming,
            done: false,
            numbering: origins,
            applied_lsn: start_lsn,
            durable_lsn: start_lsn,
            marks: VecDeque::new(),
            durable_ms: wall_ms(),
        };
        self.progress.lock().insert(database.number, progress);
    }

    /// Runs `with` on one database's progress.
    pub(super) fn progress<R>(
        &self,
        database: u32,
        with: impl FnOnce(&mut Progress) -> R,
    ) -> Option<R> {
        self.progress.lock().get_mut(&database).map(with)
    }

    /// The receiver announces origins of its own table.
    pub(super) fn announced(
        &self,
        database: u32,
        first: u32,
        origins: &[Origin],
    ) -> Result<(), Confused> {
        self.progress(database, |progress| {
            if progress.numbering.len() != first as usize {
                return Err(Confused);
            }
            progress.numbering.extend_from_slice(origins);
            Ok(())
        })
        .unwrap_or(Err(Confused))
    }

    /// Takes an ack in. Returns the lsn of our log that the receiver has made durable.
    pub(super) fn acked(&self, ack: &Ack) -> Result<u64, Confused> {
        self.acked_ms.store(wall_ms(), Ordering::Relaxed);
        let mut all = self.progress.lock();
        let progress = all.get_mut(&ack.database).ok_or(Confused)?;
        if !ack.applied.is_empty() {
            let commit = progress.database.commit();
            let mut view = progress.view.lock();
            for (index, high) in &ack.applied {
                let origin = progress.numbering.get(index.at()).ok_or(Confused)?;
                view.raise(*origin, *high, &commit.history.origins);
            }
        }
        progress.applied_lsn = progress.applied_lsn.max(ack.applied_lsn);
        progress.durable_lsn = progress.durable_lsn.max(ack.durable_lsn);
        if progress.window.acknowledged(ack.applied_lsn) {
            self.wake.notify_one();
        }
        while let Some((_, at)) = progress
            .marks
            .pop_front_if(|(lsn, _)| *lsn <= progress.durable_lsn)
        {
            progress.durable_ms = progress.durable_ms.max(at);
        }
        Ok(progress.durable_lsn)
    }

    /// The receiver serves another state now, and holds exactly this.
    pub(super) fn replaced(&self, database: u32, vv: &VersionVector) -> Result<(), Confused> {
        self.progress(database, |progress| {
            let commit = progress.database.commit();
            let mut view = progress.view.lock();
            view.clear();
            for (index, row) in vv.rows() {
                let origin = progress.numbering.get(index.at()).ok_or(Confused)?;
                view.raise(*origin, row.high, &commit.history.origins);
            }
            drop(view);
            drop(commit);
            progress.done = true;
            self.wake.notify_one();
            Ok(())
        })
        .unwrap_or(Err(Confused))
    }

    /// Whether it has taken over the state that it was sent.
    pub(super) fn is_done(&self, database: u32) -> bool {
        self.progress(database, |progress| progress.done)
            .unwrap_or(false)
    }

    /// Notes where the logs stand now; called once a second.
    pub(super) fn mark(&self) {
        let now = wall_ms();
        for progress in self.progress.lock().values_mut() {
            let written = progress.database.log.written();
            if progress.durable_lsn >= written {
                progress.durable_ms = now;
            } else if progress.marks.len() < MARKS_MAX {
                progress.marks.push_back((written, now));
            }
        }
    }

    /// Whether it has acknowledged that it holds a record.
    pub(super) fn holds(&self, database: u32, dot: Dot) -> bool {
        self.progress(database, |progress| {
            progress.view.lock().holds(dot.origin, dot.sequence)
        })
        .unwrap_or(false)
    }

    /// Whether it has acknowledged all that is held here of a database.
    pub(super) fn reaches(&self, database: &Database) -> bool {
        let vv = database.commit().history.vv.clone();
        let reaches = |progress: &mut Progress| progress.view.lock().reaches(&vv);
        self.progress(database.number, reaches)
            .unwrap_or_else(|| vv.rows().next().is_none())
    }

    /// Whether all that it is known to hold of a database is held here.
    pub(super) fn is_within(&self, database: &Database) -> bool {
        let vv = database.commit().history.vv.clone();
        self.progress(database.number, |progress| {
            progress.view.lock().is_within(&vv)
        })
        .unwrap_or(true)
    }

    /// Lsn of our log that it has made durable.
    pub(super) fn durable_lsn(&self, database: u32) -> u64 {
        self.progress(database, |progress| progress.durable_lsn)
            .unwrap_or(0)
    }

    /// Milliseconds since its last ack of any kind.
    pub(super) fn ack_age_ms(&self) -> u64 {
        since(self.acked_ms.load(Ordering::Relaxed))
    }

    /// Notes a sign of life that is no ack.
    pub(super) fn heard(&self) {
        self.acked_ms.store(wall_ms(), Ordering::Relaxed);
    }

    /// Ends the link, with a reason that the receiver is told.
    pub(super) fn close(&self, reason: &str) {
        self.closing.lock().get_or_insert_with(|| reason.to_owned());
        self.close.notify_one();
    }

    /// Resolves when the link has to end.
    pub(super) async fn closed(&self) -> String {
        loop {
            if let Some(reason) = self.closing.lock().clone() {
                return reason;
            }
            self.close.notified().await;
        }
    }

    pub(super) fn status(&self) -> ReceiverStatus {
        let all = self.progress.lock();
        let lag = |progress: &Progress| {
            progress
                .database
                .log
                .written()
                .saturating_sub(progress.applied_lsn)
        };
        let durable_age = |progress: &Progress| {
            let reached = progress.durable_lsn >= progress.database.log.written();
            if reached {
                0
            } else {
                since(progress.durable_ms)
            }
        };
        let lag_records = |progress: &Progress| {
            let commit = progress.database.commit();
            progress.view.lock().lacks(&commit.history.vv)
        };
        ReceiverStatus {
            kind: self.kind,
            host: self.host.clone(),
            port: self.port,
            server_id: self.server_id,
            instance_id: self.instance_id.clone(),
            state: all
                .values()
                .map(|progress| progress.state)
                .max_by_key(|state| weight(*state))
                .unwrap_or(LinkState::Streaming),
            lag_bytes: all.values().map(lag).sum(),
            lag_records: all.values().map(lag_records).sum(),
            last_ack_ms: self.ack_age_ms(),
            last_durable_ms: all.values().map(durable_age).max().unwrap_or(0),
            echoes: self.echoes.load(Ordering::Relaxed),
        }
    }
}

/// Of several databases' states the one that needs most attention is shown.
pub(super) fn weight(state: LinkState) -> u8 {
    match state {
        LinkState::Streaming => 0,
        LinkState::Connecting => 1,
        LinkState::FullResync => 2,
        LinkState::LostPlace => 3,
        LinkState::Refused => 4,
    }
}

/// The origins of a table from `first` on.
pub(super) fn origins_from(origins: &Origins, first: usize) -> Vec<Origin> {
    origins
        .iter()
        .skip(first)
        .map(|(_, origin)| origin)
        .collect()
}
