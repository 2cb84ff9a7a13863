//! The process: everything that sessions share, and its start and stop.

use crate::clients::Clients;
use crate::config::{AppendFsync, BindAddress, Config};
use crate::instance::{Instance, wall_ms};
use crate::io::{Acceptor, Durability, Inbox, Post, Ticket, Worker, mailbox};
use crate::links::Links;
use crate::meta::{Peer, StoredRole, Target};
use crate::slowlog::Slowlog;
use crate::stats::Stats;
use crate::tasks::{Syncer, Upkeep};
use anyhow::Context as _;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tandem_store::disk::{Disk, RealDisk};
use tandem_store::tree::Engine;
use tandem_store::{Options, Store};

/// A command that is carried out outside of the workers; gives the encoded reply.
pub type Job = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

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
}

impl Server {
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
    pub fn accepts_writes(&self) -> Result<(), String> {
        if self.instance.is_writable() {
            return Ok(());
        }
        Err(match self.instance.meta().role {
            StoredRole::Replica => "READONLY You can't write against a read only replica.".to_owned(),
            _ => "READONLY this instance waits for its role; write to the primary, or promote it with SLAVEOF NO ONE".to_owned(),
        })
    }

    /// Puts changed settings in force.
    pub fn reconfigured(&self, effect: &crate::config::Effect) {
        self.retune();
        if effect.has("double-master-") {
            let peer = self.instance.config.read().double_master();
            let peer = peer.map(|peer| Peer {
                target: Target {
                    host: peer.address.host,
                    port: peer.address.port,
                },
                server_id: peer.server_id,
            });
            if let Err(error) = self.instance.set_peer(peer) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "peer not persisted"
                );
            }
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

    /// The links, once they are up.
    pub fn links(&self) -> Option<&Arc<Links>> {
        self.links.get()
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
        if self.upkeep.stall.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Carries out a command elsewhere and posts its reply.
    pub fn run_elsewhere(&self, job: Job, ticket: Ticket, inbox: Arc<Inbox>) {
        self.runtime.spawn(async move {
            let reply = job.await;
            inbox.post(Post::Reply(ticket, reply));
        });
    }

    /// Ends the process in order: no more clients, logs synced.
    pub fn shut_down(&self) {
        self.stop.notify_one();
    }

    /// Wakes all workers, after a sync.
    fn wake_workers(&self) {
        for inbox in &self.inboxes {
            inbox.wake();
        }
    }

    /// Bytes that objects in memory may take.
    fn memory_budget(&self) -> u64 {
        let configured = self.instance.config.read().maxmemory;
        let total = if configured == 0 {
            machine_memory() / 2
        } else {
            configured
        };
        total - cache_bytes(total)
    }
}

/// Part of the memory that the block cache takes.
fn cache_bytes(total: u64) -> u64 {
    (total / 8).clamp(8 << 20, 1 << 30)
}

/// Memory of the machine in bytes.
fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(4 << 30, |kib| kib << 10)
}

/// Runs a server until it is told to stop.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let config = Config::load(args)?;
    for warning in &config.warnings {
        tracing::warn!(warning = warning.as_str(), "configuration");
    }
    let directory = config.dir.clone();
    std::fs::create_dir_all(&directory).with_context(|| {
        format!(
            "failed to create the data directory `{}`",
            directory.display()
        )
    })?;
    let _lock = lock_directory(&directory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tandem-links")
        .enable_all()
        .build()?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let memory = if config.maxmemory == 0 {
        machine_memory() / 2
    } else {
        config.maxmemory
    };
    let options = Options {
        segment_bytes: config.binlog_file_size,
        skew_max_ms: config.max_clock_skew.as_millis() as u64,
        checkpoint_log_bytes: (memory / 4).clamp(64 << 20, 1 << 30),
    };
    let engine = Engine::new(cache_bytes(memory), 512);
    let store = Store::open(
        &directory,
        config.databases,
        Arc::clone(&disk),
        engine,
        options,
        |database, report| {
            tracing::info!(
                database,
                replayed = report.replayed,
                torn_bytes = report.torn_bytes,
                "database recovered"
            );
            for corruption in report.corruptions {
                tracing::error!(
                    database,
                    segment = corruption.position.segment,
                    offset = corruption.position.offset,
                    bytes = corruption.bytes,
                    damage = %corruption.damage,
                    "log corrupted: its records are a hole until a member's state has filled it"
                );
            }
        },
    )?;
    let instance = Instance::new(store, config, disk, &directory)?;
    serve(&runtime, instance)
}

/// I/O threads: as configured, or one for each two cores, at most four.
fn io_threads(config: &Config) -> usize {
    match config.io_threads {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2).min(4)),
        count => count,
    }
}

fn addresses(config: &Config) -> Vec<(SocketAddr, bool)> {
    let socket = |bind: &BindAddress| SocketAddr::new(bind.ip, config.port);
    config
        .bind
        .iter()
        .map(|bind| (socket(bind), bind.is_optional))
        .collect()
}

fn serve(runtime: &tokio::runtime::Runtime, instance: Arc<Instance>) -> anyhow::Result<()> {
    let (threads, binds, backlog) = {
        let config = instance.config.read();
        (
            io_threads(&config),
            addresses(&config),
            config.tcp_backlog as i32,
        )
    };
    let mailboxes = (0..threads)
        .map(|_| mailbox())
        .collect::<std::io::Result<Vec<_>>>()?;
    let inboxes: Vec<_> = mailboxes
        .iter()
        .map(|(_, inbox)| Arc::clone(inbox))
        .collect();
    let server = Arc::new(Server {
        instance: Arc::clone(&instance),
        clients: Clients::default(),
        stats: Stats::default(),
        syncer: Syncer::default(),
        upkeep: Upkeep::default(),
        slowlog: Slowlog::default(),
        sweeping: AtomicBool::new(true),
        links: std::sync::OnceLock::new(),
        runtime: runtime.handle().clone(),
        inboxes: inboxes.clone(),
        tuning: Tuning::default(),
        stop: tokio::sync::Notify::new(),
    });
    server.retune();
    crate::boot::take_role(&server)?;
    let link_addresses: Vec<_> = binds
        .iter()
        .map(|(a, optional)| {
            let port = a.port() + crate::config::LINK_PORT_OFFSET;
            (SocketAddr::new(a.ip(), port), *optional)
        })
        .collect();
    let links = runtime.block_on(Links::start(Arc::clone(&instance), &link_addresses))?;
    let _ = server.links.set(links);
    let acceptor = Acceptor::bind(&binds, backlog, inboxes.clone())?;
    let stop_accepting = acceptor.stopper();
    let mut threads = Vec::new();
    for (poll, inbox) in mailboxes {
        let worker = Worker::new(poll, inbox, Arc::clone(&server));
        threads.push(spawn("tandem-io", move || worker.run())?);
    }
    let syncing = Arc::clone(&server);
    let sync_thread = spawn("tandem-sync", move || {
        syncing.syncer.run(
            &syncing.instance,
            || !syncing.tuning.never.load(Ordering::Relaxed),
            || syncing.wake_workers(),
        );
    })?;
    let keeping = Arc::clone(&server);
    let upkeep_thread = spawn("tandem-upkeep", move || {
        crate::boot::upkeep(&keeping, || keeping.memory_budget())
    })?;
    let accept_thread = spawn("tandem-accept", move || acceptor.run())?;
    tracing::info!(
        port = instance.config.read().port,
        "ready to accept connections"
    );
    runtime.block_on(wait_for_stop(&server))?;
    tracing::info!("stopping");
    stop_accepting();
    for inbox in &inboxes {
        inbox.post(Post::Stop);
    }
    for thread in threads.into_iter().chain([accept_thread]) {
        let _ = thread.join();
    }
    server.upkeep.stop();
    let _ = upkeep_thread.join();
    server.syncer.stop();
    let _ = sync_thread.join();
    tracing::info!("stopped, logs are on disk");
    Ok(())
}

fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

async fn wait_for_stop(server: &Server) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = server.stop.notified() => {}
    }
    Ok(())
}

/// Holds the directory so that no second process opens it.
fn lock_directory(directory: &Path) -> anyhow::Result<std::fs::File> {
    let path = directory.join("LOCK");
    let file = std::fs::File::create(&path)
        .with_context(|| format!("failed to create `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
            "`{}` is in use by another server process; stop it or choose another `dir`",
            directory.display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("failed to lock `{}`", path.display()))
        }
    }
}
