//! A Redis or a Tandem on loopback with a data directory of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tandem_proto::Value;

use super::cores::{self, Side};
use super::request::Random;
use super::settings::Settings;
use crate::client::{Client, wait_for};
use crate::process::{ScratchDirectory, ServerProcess};

/// What Tandem's links add to the client port.
const LINK_PORT_OFFSET: u16 = 2000;
/// How long a start may take, recovery included.
const START_TIMEOUT: Duration = Duration::from_mins(5);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The system's Redis.
    Redis,
    /// Ours.
    Tandem,
}

/// The order within a pair of measurements.
pub const KINDS: [Kind; 2] = [Kind::Redis, Kind::Tandem];

/// When the log is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Once a second.
    Everysec,
    /// Before each reply.
    Always,
}

impl Fsync {
    /// Gives the value of `appendfsync`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Everysec => "everysec",
            Self::Always => "always",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    port: u16,
    command: Vec<String>,
    is_pinned: bool,
    // Before the directory: what runs ends before what it writes to goes.
    process: ServerProcess,
    directory: ScratchDirectory,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(settings: &Settings, kind: Kind, fsync: Fsync) -> Result<Self> {
        Self::start_on(settings, kind, fsync, free_port()?, &[])
    }

    /// As [`Self::start`], on a given port and with more arguments.
    pub fn start_on(
        settings: &Settings,
        kind: Kind,
        fsync: Fsync,
        port: u16,
        more: &[String],
    ) -> Result<Self> {
        let directory = ScratchDirectory::new(settings.dir.as_deref())?;
        let data = directory.path().join("data");
        std::fs::create_dir(&data).context("failed to make a data directory")?;
        let port_text = port.to_string();
        let mut command: Vec<String> = match kind {
            Kind::Redis => vec![settings.redis.display().to_string()],
            Kind::Tandem => {
                vec![
                    settings.tandem_path()?.display().to_string(),
                    "server".into(),
                ]
            }
        };
        let data_text = data.display().to_string();
        let mut add = |pair: [&str; 2]| command.extend(pair.map(str::to_owned));
        add(["--port", &port_text]);
        add(["--dir", &data_text]);
        add(["--appendfsync", fsync.word()]);
        if kind == Kind::Redis {
            add(["--bind", "127.0.0.1"]);
            add(["--appendonly", "yes"]);
            add(["--save", ""]);
            // No rewrite in the middle of a cell, and no wait for more replicas: both are to
            // Redis' advantage.
            add(["--auto-aof-rewrite-percentage", "0"]);
            add(["--repl-diskless-sync-delay", "0"]);
        } else {
            command.extend(settings.tandem_arg.iter().cloned());
        }
        command.extend(more.iter().cloned());
        let is_pinned = !settings.no_pin;
        let process = spawn(&command, directory.path(), is_pinned)?;
        let mut server = Self {
            kind,
            port,
            command,
            is_pinned,
            process,
            directory,
        };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a killed server on the same data, without waiting for it.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.command, self.directory.path(), self.is_pinned)?;
        Ok(())
    }

    /// Waits until PING is answered with PONG, or the process has ended.
    pub fn wait_until_it_answers(&mut self) -> Result<()> {
        let address = self.address();
        let what = format!("the first PONG of {:?}", self.kind);
        let process = &mut self.process;
        let ended = wait_for(&what, START_TIMEOUT, || {
            if let Some(status) = process.ended() {
                return Ok(Some(Some(status)));
            }
            match Client::connect(address)?.ask(["PING"])? {
                Value::Simple(text) if text == "PONG" => Ok(Some(None)),
                other => bail!("PING was answered with {other:?}"),
            }
        })?;
        if let Some(status) = ended {
            let output = self.process.last_output();
            bail!("{:?} ended with {status}: {output}", self.kind);
        }
        Ok(())
    }

    /// Gives which of the two it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Gives its name, for errors.
    pub fn name(&self) -> String {
        format!("{:?}", self.kind)
    }

    /// Gives the client port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives the client address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Gives the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Connects a client.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.address())
    }

    /// Gives the bytes in the log's files: Redis' append-only files, Tandem's `log` directories.
    pub fn log_bytes(&self) -> Result<u64> {
        let name = match self.kind {
            Kind::Redis => "appendonlydir",
            Kind::Tandem => "log",
        };
        let data = self.directory.path().join("data");
        directory_bytes(&data, &|path| path.iter().any(|part| part == name))
    }

    /// Gives the bytes in all files of the data directory.
    pub fn data_bytes(&self) -> Result<u64> {
        directory_bytes(&self.directory.path().join("data"), &|_| true)
    }
}

fn spawn(command: &[String], directory: &Path, is_pinned: bool) -> Result<ServerProcess> {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).current_dir(directory);
    let output = directory.join("output");
    if !is_pinned {
        return ServerProcess::spawn(&mut process, &output);
    }
    cores::keep_to(Side::Server)?;
    let process = ServerProcess::spawn(&mut process, &output);
    cores::keep_to(Side::Load)?;
    process
}

/// Finds a client port whose link port is free, too; below the range the kernel hands out itself.
pub fn free_port() -> Result<u16> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let mut random = Random::new(clock.as_nanos() as u64 ^ u64::from(std::process::id()));
    for _ in 0..1000 {
        let port = 10_000 + random.below(18_000) as u16;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && is_free(port + LINK_PORT_OFFSET) {
            return Ok(port);
        }
    }
    bail!("no free port between 10000 and 30000 on loopback")
}

fn directory_bytes(directory: &Path, counts: &dyn Fn(&Path) -> bool) -> Result<u64> {
    let mut bytes = 0;
    let mut open: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let listed = std::fs::read_dir(&directory)
            .with_context(|| format!("failed to list `{}`", directory.display()))?;
        for entry in listed {
            let path = entry?.path();
            // A file may go while we look.
            match std::fs::symlink_metadata(&path) {
                Ok(met) if met.is_dir() => open.push(path),
                Ok(met) if counts(&path) => bytes += met.len(),
                _ => {}
            }
        }
    }
    Ok(bytes)
}
