//! Links between instances: replica, peer (double master), handover. Whoever needs data dials the
//! source's client port + 2000.
//!
//! ```text
//! dial ─▶ receive ─▶ apply ─ acks ─▶                (this instance pulls)
//!      accept ─▶ ship ─ feed ─▶ log, less the view  (others pull from here)
//! ```
//!
//! Decisions are `tandem_replicate`'s; here is the I/O around them.

mod accept;
mod acks;
mod apply;
mod collect;
mod command;
mod dial;
mod dialling;
mod feed;
mod hello;
mod queue;
mod receive;
mod receiver;
mod scanning;
mod shared;
mod ship;
mod take_over;
mod taking;
mod waker;
mod wire;

pub use collect::Collected;
pub use command::CommandError;

use crate::instance::{Instance, wall_ms};
use crate::meta::Target;
use receiver::Receiver;
use shared::Shared;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tandem_merge::Dot;
use tandem_proto::status::{LinkKind, LinkStatus, ReceiverStatus};
use tandem_store::Database;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

/// The links of an instance.
#[derive(Debug)]
pub struct Links {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl Drop for Links {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for dial in self.shared.dials.lock().drain(..) {
            dial.stop();
        }
        for receiver in self.shared.receivers.lock().iter() {
            receiver.close("the instance stops");
        }
    }
}

impl Links {
    /// Listens on these addresses (the link port, with whether each may be left out) and dials whom
    /// the instance's role wants. To be called inside of a runtime with several threads, which runs
    /// the links.
    pub async fn start(
        instance: Arc<Instance>,
        addresses: &[(SocketAddr, bool)],
    ) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared::new(instance));
        let mut tasks = Vec::new();
        for (address, is_optional) in addresses {
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let task = accept::listen(Arc::clone(&shared), listener);
                    tasks.push(shared.runtime.spawn(task).abort_handle());
                }
                Err(_) if *is_optional => {}
                Err(error) => {
                    let text = format!("failed to listen on link address {address}: {error}");
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        let house = keep_house(Arc::clone(&shared));
        tasks.push(shared.runtime.spawn(house).abort_handle());
        let supervise = dialling::supervise(Arc::clone(&shared));
        tasks.push(shared.runtime.spawn(supervise).abort_handle());
        Ok(Arc::new(Self { shared, tasks }))
    }

    /// A log was written to: whoever waits for records is woken. Costs a fence and a load when
    /// nobody does.
    #[inline]
    pub fn wake(&self) {
        self.shared.waker.wake();
    }

    /// Whether received records are to be applied slowly, because memory is over its bound.
    pub fn set_stalled(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Links that this instance dials, and receivers that pull from it.
    pub fn status(&self) -> (Vec<LinkStatus>, Vec<ReceiverStatus>) {
        let links = self
            .shared
            .dials
            .lock()
            .iter()
            .map(|dial| dial.status())
            .collect();
        let receivers = self
            .shared
            .receivers
            .lock()
            .iter()
            .map(|receiver| receiver.status())
            .collect();
        (links, receivers)
    }

    /// Attached replicas and peers that have applied a record.
    pub fn count_applied(&self, database: u32, dot: Dot) -> usize {
        self.count(|receiver| receiver.holds(database, dot))
    }

    /// Attached replicas and peers that have made our log durable up to this lsn.
    pub fn count_durable(&self, database: u32, lsn: u64) -> usize {
        self.count(|receiver| receiver.durable_lsn(database) >= lsn)
    }

    /// Attached replicas whose last ack is at most this old: for `min-replicas-to-write`.
    pub fn count_in_time(&self, age_max: Duration) -> usize {
        let age_max = age_max.as_millis() as u64;
        self.count(|receiver| {
            receiver.kind == LinkKind::Replica && receiver.ack_age_ms() <= age_max
        })
    }

    fn count(&self, mut counts: impl FnMut(&Receiver) -> bool) -> usize {
        let receivers = self.shared.receivers.lock();
        receivers
            .iter()
            .filter(|one| one.kind != LinkKind::Handover && counts(one))
            .count()
    }

    /// Whether an attached replica has acknowledged that it holds all that is held here.
    pub fn replica_holds_all(&self, instance_id: &str) -> bool {
        self.is_so_of_replica(instance_id, Receiver::reaches)
    }

    /// Whether all that an attached replica is known to hold is held here.
    pub fn holds_all_of(&self, instance_id: &str) -> bool {
        self.is_so_of_replica(instance_id, Receiver::is_within)
    }

    /// False without such a replica.
    fn is_so_of_replica(
        &self,
        instance_id: &str,
        is_so: impl Fn(&Receiver, &Database) -> bool,
    ) -> bool {
        let receivers = self.shared.receivers.lock();
        let replica = receivers
            .iter()
            .find(|one| one.kind == LinkKind::Replica && one.instance_id == instance_id);
        replica.is_some_and(|one| {
            let mut opened = self.shared.instance.store.opened();
            opened.all(|database| is_so(one, database))
        })
    }

    /// Lsn in its source's log up to which a database was received over the dialled link.
    pub fn received_lsn(&self, database: u32) -> u64 {
        let dials = self.shared.dials.lock();
        let received = dials.iter().filter_map(|dial| {
            let received = dial.received.lock();
            received.get(&database).copied()
        });
        received.max().unwrap_or(0)
    }

    /// Changes at every ack of any receiver: look again at the counts then.
    pub fn acks(&self) -> watch::Receiver<u64> {
        self.shared.acks.subscribe()
    }

    /// Waits until `enough` says so of a count that is taken after every ack, or until `wait` is
    /// over (zero: for ever). Returns the last count.
    pub async fn wait_for(
        &self,
        enough: usize,
        wait: Duration,
        count: impl Fn(&Self) -> usize,
    ) -> usize {
        let mut acks = self.acks();
        let counting = async { while count(self) < enough && acks.changed().await.is_ok() {} };
        if wait.is_zero() {
            counting.await;
        } else {
            drop(tokio::time::timeout(wait, counting).await);
        }
        count(self)
    }

    /// The lsn that every known receiver of a database has durably passed; `None`: nobody is known.
    pub fn horizon(&self, database: u32) -> Option<u64> {
        self.shared.horizon(database, |horizon| horizon.lowest())
    }

    /// Pulls what these instances of the own group alone hold, until the deadline.
    pub async fn collect(&self, targets: Vec<Target>, deadline: Duration) -> Collected {
        collect::collect(&self.shared, targets, Instant::now() + deadline).await
    }

    /// Full resyncs and continuations that were granted to receivers since start.
    pub fn served(&self) -> (u64, u64) {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (
            load(&self.shared.served_full),
            load(&self.shared.served_partial),
        )
    }

    /// Receivers whose place in the log was lost, since start.
    pub fn refused_places(&self) -> u64 {
        self.shared.lost_places.load(Ordering::Relaxed)
    }

    /// Records that came over links and were held already.
    pub fn duplicates(&self) -> u64 {
        self.shared.duplicates.load(Ordering::Relaxed)
    }
}

/// How often absent receivers are looked at.
const HOUSE_PERIOD: Duration = Duration::from_secs(5);

/// Writes off receivers that are away for too long, so that they do not hold the log for ever.
async fn keep_house(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(HOUSE_PERIOD).await;
        let (now, absence) = (wall_ms(), shared.settings().absence);
        let present: Vec<String> = shared
            .receivers
            .lock()
            .iter()
            .map(|one| one.instance_id.clone())
            .collect();
        for (database, horizon) in shared.horizons.lock().iter_mut() {
            for instance in &present {
                horizon.raise(instance, 0, now);
            }
            for instance in horizon.write_off(absence.as_millis() as u64, now) {
                tracing::warn!(
                    instance,
                    database,
                    absence_s = absence.as_secs(),
                    "receiver away for too long, its place in the log is given up; it comes back by a full resync once the log is purged past it"
                );
            }
        }
    }
}
