//! What all sessions share: identity, data, clients, counters, settings of the hot path.

use crate::clients::Clients;
use crate::config::AppendFsync;
use crate::failover::Failover;
use crate::instance::{Instance, RoleError, wall_ms};
use crate::io::{Durability, Inbox, Post, Ticket};
use crate::links::Links;
use crate::meta::{Peer, StoredRole};
use crate::slowlog::Slowlog;
use crate::stats::Stats;
use crate::tasks::{Syncer, Upkeep};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tandem_proto::status::{LinkState, LinkStatus};
use tandem_store::disk::{Disk, RealDisk};

/// What all sessions share.
#[derive(Debug)]
pub struct Server {
    /// Identity and data.
    pub instance: Arc<Instance>,
    /// Who is connected.
    pub clients: Clients,
    /// Counters.
    pub stats: Stats,
    /// The fsync thread.
    pub syncer: Syncer,
    /// The upkeep thread.
    pub upkeep: Upkeep,
    /// Commands that took long.
    pub slowlog: Slowlog,
    /// The handover of the role of primary.
    pub failover: Failover,
    /// Whether expired keys are swept (DEBUG SET-ACTIVE-EXPIRE).
    pub sweeping: AtomicBool,
    links: std::sync::OnceLock<Arc<Links>>,
    runtime: tokio::runtime::Handle,
    inboxes: Vec<Arc<Inbox>>,
    tuning: Tuning,
    stop: tokio::sync::Notify,
}

/// Settings that the hot path reads, as atomics: CONFIG SET refreshes them.
#[derive(Debug, Default)]
struct Tuning {
    always: AtomicBool,
    never: AtomicBool,
    password: AtomicBool,
    clients_max: AtomicUsize,
    output_limit: AtomicUsize,
    bulk_bytes_max: AtomicUsize,
    idle_timeout_s: AtomicU64,
    slow_us: AtomicI64,
    /// Replicas in time without which no write is taken; 0: none is needed.
    replicas_needed: AtomicUsize,
    /// Replicas in time when they were last counted.
    replicas_good: AtomicUsize,
    /// The primary is away, and stale data may not be served.
    is_stale: AtomicBool,
}

impl Server {
    /// A server over its instance; commands that wait are carried out on `runtime`.
    pub fn new(
        instance: Arc<Instance>,
        runtime: tokio::runtime::Handle,
        inboxes: Vec<Arc<Inbox>>,
    ) -> Arc<Self> {
        let server = Arc::new(Self {
            instance,
            clients: Clients::default(),
            stats: Stats::default(),
            syncer: Syncer::default(),
            upkeep: Upkeep::default(),
            slowlog: Slowlog::default(),
            failover: Failover::default(),
            sweeping: AtomicBool::new(true),
            links: std::sync::OnceLock::new(),
            runtime,
            inboxes,
            tuning: Tuning::default(),
            stop: tokio::sync::Notify::new(),
        });
        let now = server.wall_ms() / 1000;
        server.stats.last_save.store(now, Ordering::Relaxed);
        server.retune();
        server
    }

    /// Unix milliseconds.
    pub fn wall_ms(&self) -> u64 {
        wall_ms()
    }

    /// When replies to writes may leave.
    #[inline]
    pub fn durability(&self) -> Durability {
        if self.tuning.always.load(Ordering::Relaxed) {
            Durability::Durable
        } else {
            Durability::Written
        }
    }

    /// Whether clients must authenticate.
    pub fn needs_password(&self) -> bool {
        self.tuning.password.load(Ordering::Relaxed)
    }

    /// Most clients at once.
    pub fn clients_max(&self) -> usize {
        self.tuning.clients_max.load(Ordering::Relaxed)
    }

    /// Unsent bytes at which a client is dropped; 0 never.
    pub fn output_limit(&self) -> usize {
        self.tuning.output_limit.load(Ordering::Relaxed)
    }

    /// Longest argument.
    pub fn bulk_bytes_max(&self) -> usize {
        self.tuning.bulk_bytes_max.load(Ordering::Relaxed)
    }

    /// How long a client may be idle; zero for ever.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.tuning.idle_timeout_s.load(Ordering::Relaxed))
    }

    /// From which duration a command is slow; the longest there is when none is.
    pub fn slow_limit(&self) -> Duration {
        match u64::try_from(self.tuning.slow_us.load(Ordering::Relaxed)) {
            Ok(micros) => Duration::from_micros(micros),
            Err(_) => Duration::MAX,
        }
    }

    /// Whether a client's write is accepted now; else what the client is told.
    #[inline]
    pub fn accepts_writes(&self) -> Result<(), String> {
        if self.instance.is_writable() && self.tuning.replicas_needed.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.judge_writes()
    }

    #[cold]
    fn judge_writes(&self) -> Result<(), String> {
        if self.instance.is_writable() {
            let needed = self.tuning.replicas_needed.load(Ordering::Relaxed);
            if self.tuning.replicas_good.load(Ordering::Relaxed) >= needed {
                return Ok(());
            }
            return Err("NOREPLICAS Not enough good replicas to write.".to_owned());
        }
        Err(match self.instance.meta().role {
            StoredRole::Replica => "READONLY You can't write against a read only replica.",
            _ => {
                "READONLY this instance waits for its role; write to the primary, or promote it \
                 with SLAVEOF NO ONE"
            }
        }
        .to_owned())
    }

    /// Whether reads are refused because the primary is away.
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.tuning.is_stale.load(Ordering::Relaxed)
    }

    /// Replicas whose last ack is young enough for `min-replicas-to-write`.
    pub fn good_replicas(&self) -> usize {
        self.tuning.replicas_good.load(Ordering::Relaxed)
    }

    /// Looks at the links for what depends on them: replicas in time, stale data.
    pub fn judge_links(&self) {
        let (needed, lag, serves_stale) = {
            let config = self.instance.config.read();
            (
                config.min_replicas_to_write as usize,
                config.min_replicas_max_lag,
                config.replica_serve_stale_data,
            )
        };
        let tuning = &self.tuning;
        let mut stale = false;
        if let Some(links) = self.links() {
            if needed > 0 {
                let good = links.count_in_time(lag);
                tuning.replicas_good.store(good, Ordering::Relaxed);
            }
            stale = !serves_stale
                && self.instance.meta().role == StoredRole::Replica
                && !links.status().0.iter().any(is_up);
        }
        // NOTE: a lag of 0 switches the condition off, as in Redis.
        let needed = if lag.is_zero() { 0 } else { needed };
        tuning.replicas_needed.store(needed, Ordering::Relaxed);
        tuning.is_stale.store(stale, Ordering::Relaxed);
    }

    /// The password to give to other instances.
    pub fn password_for_others(&self) -> Option<String> {
        let config = self.instance.config.read();
        config
            .masterauth
            .as_ref()
            .map(|secret| secret.expose().to_owned())
    }

    /// Runs a task of the server's own.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Puts changed settings in force.
    pub fn reconfigured(&self, effect: &crate::config::Effect) {
        self.retune();
        self.judge_links();
        let (group, pair) = (effect.has("server-id"), effect.has("double-master-"));
        if group || pair {
            self.rejoin(group, pair);
        }
    }

    /// Takes server id and other master from the configuration.
    fn rejoin(&self, group_too: bool, pair_too: bool) {
        let (server_id, peer) = {
            let config = self.instance.config.read();
            (config.server_id, config.double_master())
        };
        let is_pair = peer.is_some();
        let peer = peer.map(Peer::from);
        let joined = if group_too && server_id != 0 {
            self.instance.join_group(server_id)
        } else {
            Ok(())
        };
        let paired = joined.and_then(|()| {
            if pair_too || is_pair {
                self.instance.pair(peer).map_err(RoleError::Persist)?;
            }
            Ok(())
        });
        if let Err(error) = paired {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "changed settings of the pair are not in force"
            );
        }
    }

    /// CONFIG REWRITE.
    pub fn rewrite_config(&self) -> std::io::Result<()> {
        let (path, text) = {
            let config = self.instance.config.read();
            let Some(path) = config.file.clone() else {
                return Err(std::io::Error::other(
                    "the server is running without a config file; start it with --config FILE",
                ));
            };
            let present = RealDisk.read(&path)?.unwrap_or_default();
            let text = config.rewrite(&String::from_utf8_lossy(&present));
            (path, text)
        };
        RealDisk.replace(&path, text.as_bytes())
    }

    /// Takes over what the configuration says now.
    pub fn retune(&self) {
        let config = self.instance.config.read();
        let tuning = &self.tuning;
        tuning
            .always
            .store(config.appendfsync == AppendFsync::Always, Ordering::Relaxed);
        tuning
            .never
            .store(config.appendfsync == AppendFsync::No, Ordering::Relaxed);
        tuning
            .password
            .store(config.requirepass.is_some(), Ordering::Relaxed);
        tuning
            .slow_us
            .store(config.slowlog_log_slower_than, Ordering::Relaxed);
        self.slowlog.set_max(config.slowlog_max_len as usize);
        let output = config.client_output_buffer_limit.normal.hard_bytes;
        tuning
            .output_limit
            .store(output as usize, Ordering::Relaxed);
        tuning
            .clients_max
            .store(config.maxclients as usize, Ordering::Relaxed);
        tuning
            .bulk_bytes_max
            .store(config.proto_max_bulk_len as usize, Ordering::Relaxed);
        tuning.idle_timeout_s.store(
            config.timeout.map_or(0, |timeout| timeout.as_secs()),
            Ordering::Relaxed,
        );
    }

    /// I/O threads.
    pub fn workers(&self) -> usize {
        self.inboxes.len()
    }

    /// The links, once they are up.
    pub fn links(&self) -> Option<&Arc<Links>> {
        self.links.get()
    }

    /// The links are up.
    pub(crate) fn set_links(&self, links: Arc<Links>) {
        // Set once, at start.
        drop(self.links.set(links));
    }

    /// Whether the second's fsync is wanted.
    pub(crate) fn syncs_each_second(&self) -> bool {
        !self.tuning.never.load(Ordering::Relaxed)
    }

    /// Resolves when somebody asked for an orderly end.
    pub(crate) async fn asked_to_stop(&self) {
        self.stop.notified().await;
    }

    /// A worker has written to a log: wakes whoever waits for that.
    #[inline]
    pub fn log_grew(&self) {
        if let Some(links) = self.links.get() {
            links.wake();
        }
        if self.tuning.always.load(Ordering::Relaxed) {
            self.syncer.request();
        }
        self.upkeep.brake();
    }

    /// Carries out a command elsewhere and posts its reply.
    pub fn run_elsewhere(
        &self,
        job: Pin<Box<dyn Future<Output = Vec<u8>> + Send>>,
        ticket: Ticket,
        inbox: Arc<Inbox>,
    ) {
        self.runtime.spawn(async move {
            let reply = job.await;
            inbox.post(Post::Reply(ticket, reply));
        });
    }

    /// Ends the process in order: no more clients, logs synced.
    pub fn shut_down(&self) {
        self.stop.notify_one();
    }

    /// Sends a letter to each worker.
    pub(crate) fn post_all(&self, letter: &dyn Fn() -> Post) {
        for inbox in &self.inboxes {
            inbox.post(letter());
        }
    }

    /// Wakes all workers, after a sync.
    pub(crate) fn wake_workers(&self) {
        for inbox in &self.inboxes {
            inbox.wake();
        }
    }
}

/// Whether records flow over a link.
fn is_up(link: &LinkStatus) -> bool {
    link.state == LinkState::Streaming
}
