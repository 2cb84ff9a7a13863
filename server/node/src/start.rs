//! The process: from a configuration to a server that listens, and its end in order.

use crate::boot;
use crate::config::{BindAddress, Config, LINK_PORT_OFFSET};
use crate::instance::Instance;
use crate::io::{Acceptor, Inbox, Post, Worker, mailbox};
use crate::keeper;
use crate::links::Links;
use crate::memory;
use crate::monitor::Monitor;
use crate::server::Server;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tandem_store::database::OpenReport;
use tandem_store::disk::{Disk, RealDisk};
use tandem_store::tree::Engine;
use tandem_store::{Options, Store};

/// How long link tasks may take to end.
const LINKS_END: Duration = Duration::from_secs(2);
/// How long a former process of the data directory may take to end: kubelets kill it after two seconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_LOOK: Duration = Duration::from_millis(20);

/// Runs a server until it is told to stop.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let config = Config::load(args)?;
    for warning in &config.warnings {
        tracing::warn!(warning = warning.as_str(), "configuration");
    }
    let running = Running::start(config)?;
    running.wait()?;
    running.stop();
    Ok(())
}

/// A server that listens, with its threads.
pub struct Running {
    server: Arc<Server>,
    runtime: tokio::runtime::Runtime,
    inboxes: Vec<Arc<Inbox>>,
    stop_accepting: Box<dyn Fn() + Send>,
    serving: Vec<JoinHandle<()>>,
    syncing: JoinHandle<()>,
    keeping: JoinHandle<()>,
    monitor: Option<Monitor>,
    _lock: std::fs::File,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    /// Opens the data directory and begins to listen.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        let directory = config.dir.clone();
        std::fs::create_dir_all(&directory).with_context(|| {
            format!(
                "failed to create the data directory `{}`",
                directory.display()
            )
        })?;
        let lock = lock_directory(&directory, LOCK_PATIENCE)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tandem-links")
            .enable_all()
            .build()?;
        // Before the log is recovered, which may take its time.
        let monitor = Monitor::start(&config)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let store = open_store(&config, &disk)?;
        let instance = Instance::new(store, config, disk, &directory)?;
        serve(runtime, &instance, lock, monitor)
    }

    /// What the sessions share.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Returns when the process is told to stop, by a signal or by SHUTDOWN.
    pub fn wait(&self) -> anyhow::Result<()> {
        self.runtime.block_on(wait_for_stop(&self.server))
    }

    /// Ends in order: no more clients, then logs on disk.
    pub fn stop(self) {
        tracing::info!("stopping");
        (self.stop_accepting)();
        for inbox in &self.inboxes {
            inbox.post(Post::Stop);
        }
        for thread in self.serving {
            drop(thread.join());
        }
        self.server.upkeep.stop();
        drop(self.keeping.join());
        self.runtime.shutdown_timeout(LINKS_END);
        self.server.syncer.stop();
        drop(self.syncing.join());
        for database in self.server.instance.store.opened() {
            if let Err(error) = database.seal() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    database = database.number,
                    "log may not be whole on disk"
                );
            }
        }
        if let Some(monitor) = self.monitor {
            monitor.stop();
        }
        tracing::info!("stopped");
    }
}

fn open_store(config: &Config, disk: &Arc<dyn Disk>) -> anyhow::Result<Store> {
    let total = memory::total_bytes(config.maxmemory);
    let options = Options {
        segment_bytes: config.binlog_file_size,
        skew_max_ms: config.max_clock_skew.as_millis() as u64,
        checkpoint_log_bytes: (total / 4).clamp(64 << 20, 1 << 30),
    };
    let engine = Engine::new(memory::cache_bytes(total), 512);
    Ok(Store::open(
        &config.dir,
        config.databases,
        Arc::clone(disk),
        engine,
        options,
        |database, report| tell_recovery(database, &report),
    )?)
}

fn tell_recovery(database: u32, report: &OpenReport) {
    tracing::info!(
        database,
        replayed = report.replayed,
        torn_bytes = report.torn_bytes,
        "database recovered"
    );
    for corruption in &report.corruptions {
        tracing::error!(
            database,
            segment = corruption.position.segment,
            offset = corruption.position.offset,
            bytes = corruption.bytes,
            damage = %corruption.damage,
            "log corrupted: its records are a hole until a member's state has filled it"
        );
    }
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

fn serve(
    runtime: tokio::runtime::Runtime,
    instance: &Arc<Instance>,
    lock: std::fs::File,
    monitor: Option<Monitor>,
) -> anyhow::Result<Running> {
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
    let server = Server::new(
        Arc::clone(instance),
        runtime.handle().clone(),
        inboxes.clone(),
    );
    let acceptor = Acceptor::bind(&binds, backlog, inboxes.clone())?;
    boot::take_role(&server, &runtime)?;
    let link_addresses: Vec<_> = binds
        .iter()
        .map(|(address, optional)| {
            let port = address.port() + LINK_PORT_OFFSET;
            (SocketAddr::new(address.ip(), port), *optional)
        })
        .collect();
    let links = runtime.block_on(Links::start(Arc::clone(instance), &link_addresses))?;
    server.set_links(links);
    let stop_accepting = Box::new(acceptor.stopper());
    let mut serving = Vec::new();
    for (poll, inbox) in mailboxes {
        let worker = Worker::new(poll, inbox, Arc::clone(&server));
        serving.push(spawn("tandem-io", move || worker.run())?);
    }
    let syncer = Arc::clone(&server);
    let syncing = spawn("tandem-sync", move || {
        syncer.syncer.run(
            &syncer.instance,
            || syncer.syncs_each_second(),
            || syncer.wake_workers(),
        );
    })?;
    let keeper = Arc::clone(&server);
    let keeping = spawn("tandem-upkeep", move || keeper::run(&keeper))?;
    serving.push(spawn("tandem-accept", move || acceptor.run())?);
    if let Some(monitor) = &monitor {
        monitor.recovered(&server);
    }
    tracing::info!(
        port = instance.config.read().port,
        "ready to accept connections"
    );
    Ok(Running {
        server,
        runtime,
        inboxes,
        stop_accepting,
        serving,
        syncing,
        keeping,
        monitor,
        _lock: lock,
    })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
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
        () = server.asked_to_stop() => {}
    }
    Ok(())
}

/// Takes the data directory for this process alone. One whose former process still ends, as in a pod that
/// was deleted without grace and made anew, is waited for.
fn lock_directory(directory: &Path, patience: Duration) -> anyhow::Result<std::fs::File> {
    let path = directory.join("LOCK");
    let file = std::fs::File::create(&path)
        .with_context(|| format!("failed to create `{}`", path.display()))?;
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < patience => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::info!(
                        "the data directory is in use, waiting for the end of its process"
                    );
                }
                std::thread::sleep(LOCK_LOOK);
            }
            Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
                "`{}` is in use by another server process; stop it or choose another `dir`",
                directory.display()
            ),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("failed to lock `{}`", path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_whose_process_ends_is_taken_over_and_another_ones_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock_directory(directory.path(), Duration::ZERO).unwrap();
        let refused = lock_directory(directory.path(), Duration::ZERO).unwrap_err();
        assert!(refused.to_string().contains("in use"), "{refused}");

        let path = directory.path().to_owned();
        let waiting = std::thread::spawn(move || lock_directory(&path, Duration::from_mins(1)));
        drop(held);
        waiting.join().unwrap().unwrap();
    }
}
