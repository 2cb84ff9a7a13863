//! What all links of an instance share.

use super::dial::Dial;
use super::receiver::{Receiver, SharedView};
use super::waker::Waker;
use crate::config::{AppendFsync, Secret};
use crate::instance::{Instance, random_u64};
use crate::meta::Target;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tandem_merge::Origin;
use tandem_replicate::Horizon;
use tokio::sync::{Semaphore, watch};

/// What all links of an instance share.
pub(super) struct Shared {
    pub(super) instance: Arc<Instance>,
    /// Random id of this process's life.
    pub(super) run: u64,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) waker: Waker,
    views: Mutex<HashMap<(String, u32), SharedView>>,
    pub(super) horizons: Mutex<HashMap<u32, Horizon>>,
    pub(super) receivers: Mutex<Vec<Arc<Receiver>>>,
    pub(super) dials: Mutex<Vec<Arc<Dial>>>,
    /// Instances that are pulled from in the background.
    pub(super) pulling: Mutex<Vec<Target>>,
    /// Counts acks of any receiver.
    pub(super) acks: watch::Sender<u64>,
    /// Full resyncs that may be served now.
    pub(super) fulls: Arc<Semaphore>,
    /// Full resyncs begun and continuations granted to receivers since start.
    pub(super) served_full: AtomicU64,
    pub(super) served_partial: AtomicU64,
    /// Continuations that could not be granted: the log no longer holds what is missing.
    pub(super) lost_places: AtomicU64,
    /// Records that came over a link and were held already.
    pub(super) duplicates: AtomicU64,
    /// Whether memory is over its bound, so that received records are applied slowly.
    pub(super) stalled: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// Settings of links as they are now.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) port: u16,
    pub(super) announce_host: String,
    pub(super) announce_port: u16,
    pub(super) masterauth: Vec<u8>,
    /// What a receiver may give; empty: nothing is asked for.
    pub(super) passwords: Vec<Vec<u8>>,
    pub(super) silence: Duration,
    pub(super) window_records: u64,
    pub(super) window_bytes: u64,
    pub(super) throttle: u64,
    pub(super) sync_always: bool,
    pub(super) absence: Duration,
}

/// How often each side asks for a sign of life.
pub(super) const PING_PERIOD: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn new(instance: Arc<Instance>) -> Self {
        let fulls = instance.config.read().max_rsync_parallel_num.max(1) as usize;
        Self {
            instance,
            run: random_u64(),
            runtime: tokio::runtime::Handle::current(),
            waker: Waker::default(),
            views: Mutex::default(),
            horizons: Mutex::default(),
            receivers: Mutex::default(),
            dials: Mutex::default(),
            pulling: Mutex::default(),
            acks: watch::Sender::new(0),
            fulls: Arc::new(Semaphore::new(fulls)),
            served_full: AtomicU64::new(0),
            served_partial: AtomicU64::new(0),
            lost_places: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
        }
    }

    pub(super) fn settings(&self) -> Settings {
        let config = self.instance.config.read();
        let bytes = |secret: &Secret| secret.expose().as_bytes().to_vec();
        Settings {
            port: config.port,
            announce_host: config.replica_announce_ip.clone().unwrap_or_default(),
            announce_port: config.replica_announce_port.unwrap_or(config.port),
            masterauth: config.masterauth.as_ref().map(bytes).unwrap_or_default(),
            passwords: config.passwords().map(bytes).collect(),
            silence: config.repl_timeout.max(Duration::from_millis(500)),
            window_records: u64::from(config.sync_window_size.max(1)),
            window_bytes: config.sync_window_bytes.max(1),
            throttle: config.throttle_bytes_per_second,
            sync_always: config.appendfsync == AppendFsync::Always,
            absence: config.member_absence_bound,
        }
    }

    /// The view of one instance's holdings in one database.
    pub(super) fn view(&self, instance_id: &str, database: u32) -> SharedView {
        let mut views = self.views.lock();
        Arc::clone(views.entry((instance_id.to_owned(), database)).or_default())
    }

    /// The life this instance writes under now.
    pub(super) fn own(&self) -> Option<Origin> {
        let meta = self.instance.meta();
        self.instance.is_writable().then_some(Origin {
            server_id: meta.server_id,
            epoch: meta.writer_epoch,
            incarnation: meta.incarnation,
        })
    }

    /// A receiver has told how far it is.
    pub(super) fn acknowledged(&self) {
        self.acks.send_modify(|count| *count += 1);
    }

    /// Runs `change` on one database's horizon.
    pub(super) fn horizon<R>(&self, database: u32, change: impl FnOnce(&mut Horizon) -> R) -> R {
        change(self.horizons.lock().entry(database).or_default())
    }

    /// Stops writing for good: this volume, or the other one, is a clone.
    pub(super) fn stop_cloned(&self, reason: &str) {
        tracing::error!(
            reason,
            "own life was written elsewhere: this volume was cloned, writing stops; remove one of \
             the two volumes and start with an empty one"
        );
        if let Err(error) = self
            .instance
            .stop_writing(|meta| meta.role = crate::meta::StoredRole::Waiting)
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "role not persisted"
            );
        }
    }
}

/// Counts one up.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
