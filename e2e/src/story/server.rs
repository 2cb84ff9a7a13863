//! A plain `tandem server` on loopback with a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::instance::Instance;
use super::{binary, ports};
use crate::client::wait_for;
use crate::process::{ScratchDirectory, ServerProcess};

/// How long a start may take, recovery included.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// A server; it may be stopped, killed and started again on its data.
#[derive(Debug)]
pub struct Server {
    instance: Instance,
    options: Vec<(String, String)>,
    wrapper: Vec<String>,
    // Before the directory: what runs ends before what it writes to goes.
    process: Option<ServerProcess>,
    directory: ScratchDirectory,
}

impl Server {
    /// Starts a server with these configuration keys, and waits until it answers.
    pub fn start(options: &[(&str, &str)]) -> Result<Self> {
        Self::start_on(ports::free()?, options)
    }

    /// As [`Self::start`], on a given port.
    pub fn start_on(port: u16, options: &[(&str, &str)]) -> Result<Self> {
        let mut server = Self::prepare(port, options)?;
        server.start_again()?;
        Ok(server)
    }

    /// A server that does not run yet.
    pub fn prepare(port: u16, options: &[(&str, &str)]) -> Result<Self> {
        Ok(Self {
            instance: Instance::at(port),
            options: options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            wrapper: Vec::new(),
            process: None,
            directory: ScratchDirectory::new(None)?,
        })
    }

    /// Two masters that know each other, started by hand as Pika's are; `a` dials `b_seen_at` and
    /// `b` dials `a_seen_at` (the own ports, or those of a proxy).
    pub fn pair(ports: [u16; 2], seen_at: [u16; 2], options: &[(&str, &str)]) -> Result<[Self; 2]> {
        let start = |own: usize, other: usize| {
            let peer_port = seen_at[other].to_string();
            let (id, peer_id) = ((own + 1).to_string(), (other + 1).to_string());
            let mut all = options.to_vec();
            all.extend([
                ("server-id", id.as_str()),
                ("double-master-ip", "127.0.0.1"),
                ("double-master-port", peer_port.as_str()),
                ("double-master-server-id", peer_id.as_str()),
            ]);
            Self::start_on(ports[own], &all)
        };
        Ok([start(0, 1)?, start(1, 0)?])
    }

    /// Runs the server under another program, from its next start on: `wrapper server --port ...`.
    pub fn run_under(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Sets a configuration key from the next start on.
    pub fn set_option(&mut self, key: &str, value: &str) {
        self.options.retain(|(other, _)| other != key);
        self.options.push((key.to_owned(), value.to_owned()));
    }

    /// Leaves out a configuration key from the next start on.
    pub fn drop_option(&mut self, key: &str) {
        self.options.retain(|(other, _)| other != key);
    }

    /// The door to it.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Its client port.
    pub fn port(&self) -> u16 {
        self.instance.port
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Its directory: data and output lie in it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Everything it has written to its output since it was made.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process id; 0 when it does not run.
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, ServerProcess::id)
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.id()))?;
        let pages: u64 = text
            .split_ascii_whitespace()
            .nth(1)
            .context("no resident pages in statm")?
            .parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// Starts it on its data without waiting for an answer.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the server runs");
        let binary = binary::path()?;
        let mut command = match self.wrapper.split_first() {
            None => Command::new(binary),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary);
                command
            }
        };
        command
            .arg("server")
            .args(["--port", &self.instance.port.to_string()])
            .args(["--dir", &self.data().display().to_string()])
            .current_dir(self.directory.path());
        for (key, value) in &self.options {
            command.arg(format!("--{key}")).arg(value);
        }
        let log = self.directory.path().join("output");
        self.process = Some(ServerProcess::spawn(&mut command, &log)?);
        Ok(())
    }

    /// Starts it on its data and waits until it answers.
    pub fn start_again(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_until_it_answers()
    }

    /// Waits until it answers, or has ended.
    pub fn wait_until_it_answers(&mut self) -> Result<()> {
        let instance = self.instance;
        let process = self.process.as_mut().context("the server does not run")?;
        let what = format!("the first answer of port {}", instance.port);
        let ended = wait_for(&what, START_TIMEOUT, || {
            if let Some(status) = process.ended() {
                return Ok(Some(Some(status)));
            }
            let pong: String = instance.ask(&["PING"])?;
            Ok((pong == "PONG").then_some(None))
        })?;
        if let Some(status) = ended {
            bail!("the server ended with {status}: {}", process.last_output());
        }
        Ok(())
    }

    /// Starts it where it must end by itself; gives its output.
    pub fn run_to_its_end(&mut self) -> Result<String> {
        self.spawn()?;
        let mut process = self.process.take().context("the server does not run")?;
        let status = wait_for("an end of the server", END_TIMEOUT, || Ok(process.ended()))?;
        ensure!(!status.success(), "the server ended without an error");
        Ok(self.output())
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it with SIGTERM and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.signal(Signal::TERM)?;
        let status = wait_for("the end of the server", END_TIMEOUT, || Ok(process.ended()))?;
        ensure!(
            status.success(),
            "ended with {status}: {}",
            process.last_output()
        );
        Ok(())
    }

    /// Stops its process with SIGSTOP: it neither answers nor ends. Waits until all its threads have
    /// stopped, since the signal reaches them a moment after it was sent.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let tasks = format!("/proc/{}/task", self.id());
        wait_for("a stop of all threads", END_TIMEOUT, || {
            for task in std::fs::read_dir(&tasks)? {
                let stat = std::fs::read_to_string(task?.path().join("stat"))?;
                let state = stat.rsplit(')').next().unwrap_or_default();
                if !state.trim_start().starts_with('T') {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Lets it go on with SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process
            .as_ref()
            .context("the server does not run")?
            .signal(signal)
    }
}
