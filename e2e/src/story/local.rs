//! A `tandem local` in a directory of its own, and its instances.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::instance::Instance;
use super::{binary, ports};
use crate::client::wait_for;
use crate::process::{ScratchDirectory, ServerProcess};

/// How long forming or healing may take.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// A member as `tandem status -o json` shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name.
    pub name: String,
    /// `a` or `b`.
    pub slot: String,
    /// `double_master`, `replica`, ...
    pub role: String,
    /// `host:port`.
    pub address: String,
    /// Epoch it has seen.
    pub epoch: u64,
    /// Whether it takes writes.
    pub writable: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// Links it dials.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// A link of a member.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// `peer`, `replica` or `handover`.
    pub kind: String,
    /// Name of the instance it pulls from.
    pub source: String,
    /// `streaming` when all is well.
    pub state: String,
    /// Full resyncs so far.
    pub full_resyncs: u64,
}

impl Member {
    /// The door to it.
    pub fn instance(&self) -> Result<Instance> {
        let port = self.address.rsplit_once(':').context("no port")?.1;
        Ok(Instance::at(port.parse()?))
    }

    /// Whether it is a master that takes writes.
    pub fn is_master(&self) -> bool {
        self.writable && self.role == "double_master"
    }
}

/// What `tandem status -o json` says, as far as stories look at it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether the runtime runs.
    pub running: bool,
    /// Its process.
    pub runtime_pid: Option<u32>,
    /// All members.
    pub members: Vec<Member>,
    /// Conditions by type.
    pub conditions: Vec<Condition>,
    /// The whole report of the latest failover.
    pub last_failover_report: Option<serde_json::Value>,
}

/// A condition.
#[derive(Debug, Clone, Deserialize)]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why.
    pub reason: String,
}

impl Report {
    /// Whether a condition is `True`.
    pub fn is(&self, kind: &str) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.kind == kind && condition.status == "True")
    }

    /// The member of that name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .with_context(|| format!("no member `{name}`"))
    }

    /// The member that is the master of a slot.
    pub fn master(&self, slot: &str) -> Result<&Member> {
        self.members
            .iter()
            .find(|member| member.slot == slot && member.is_master())
            .with_context(|| format!("slot {slot} has no master: {:?}", self.members))
    }

    /// The first member that is a replica.
    pub fn replica(&self) -> Result<&Member> {
        self.members
            .iter()
            .find(|member| member.role == "replica")
            .with_context(|| format!("nobody is a replica: {:?}", self.members))
    }
}

/// A running `tandem local`.
#[derive(Debug)]
pub struct Local {
    manifest: PathBuf,
    base_port: u16,
    patience: u64,
    runtime: Option<ServerProcess>,
    // Last: the instances' files go when nobody writes to them any more.
    directory: ScratchDirectory,
}

impl Local {
    /// Starts the runtime on an example file and waits until all members are in place. `patience`
    /// multiplies the detection intervals.
    pub fn start(example: &str, patience: u64) -> Result<Self> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        Self::start_file(&examples.join(example), patience)
    }

    /// As [`Self::start`], on any manifest.
    pub fn start_file(manifest: &Path, patience: u64) -> Result<Self> {
        let mut local = Self {
            manifest: manifest.to_owned(),
            base_port: ports::free_base()?,
            patience,
            runtime: None,
            directory: ScratchDirectory::new(None)?,
        };
        local.start_runtime(true)?;
        local.wait_until_ready()?;
        Ok(local)
    }

    /// Starts the runtime, without waiting for more than its process.
    pub fn start_runtime(&mut self, reset: bool) -> Result<()> {
        ensure!(self.runtime.is_none(), "the runtime runs");
        let mut command = Command::new(binary::path()?);
        command
            .arg("local")
            .arg(&self.manifest)
            .arg("--dir")
            .arg(self.data())
            .args(["--base-port", &self.base_port.to_string()])
            .args(["--patience", &self.patience.to_string()])
            .current_dir(self.directory.path());
        if reset {
            command.arg("--reset");
        }
        let output = self.directory.path().join("output");
        self.runtime = Some(ServerProcess::spawn(&mut command, &output)?);
        Ok(())
    }

    /// Where it keeps its data.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("tandem")
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks `tandem status -o json`.
    pub fn report(&self) -> Result<Report> {
        let output = Command::new(binary::path()?)
            .args(["status", "-o", "json", "--dir"])
            .arg(self.data())
            .output()
            .context("failed to run `tandem status`")?;
        ensure!(
            output.status.success(),
            "`tandem status` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("failed to decode the status")
    }

    /// Waits until the report satisfies `is_so`; `what` says of what.
    pub fn wait_until(
        &self,
        what: &str,
        timeout: Duration,
        is_so: impl Fn(&Report) -> bool,
    ) -> Result<Report> {
        wait_for(what, timeout, || {
            let report = self.report()?;
            if is_so(&report) {
                return Ok(Some(report));
            }
            bail!("the report is {report:?}; printed was: {}", self.output())
        })
    }

    /// Waits until two masters and all replicas are in place and all links stream.
    pub fn wait_until_ready(&self) -> Result<Report> {
        self.wait_until("a ready pair", READY_TIMEOUT, |report| {
            let streams = |member: &Member| member.links.iter().all(|l| l.state == "streaming");
            report.running
                && report.is("Ready")
                && report.members.iter().filter(|m| m.is_master()).count() == 2
                && report.members.iter().all(streams)
        })
    }

    /// The door of a service: `rw`, `ro`, `a` or `b`.
    pub fn service(&self, suffix: &str) -> Result<Instance> {
        let offset = ["rw", "ro", "a", "b"]
            .iter()
            .position(|known| *known == suffix)
            .with_context(|| format!("no service `{suffix}`"))?;
        Ok(Instance::at(self.base_port + offset as u16))
    }

    /// The doors to all members.
    pub fn instances(&self) -> Result<Vec<Instance>> {
        self.report()?
            .members
            .iter()
            .map(Member::instance)
            .collect()
    }

    /// Sends a signal to the process of a member.
    pub fn signal(&self, member: &str, signal: Signal) -> Result<()> {
        let report = self.report()?;
        let pid = report.member(member)?.pid.context("it does not run")?;
        send(pid, signal)
    }

    /// Ends the runtime's own process with SIGKILL; the instances go on.
    pub fn kill_runtime(&mut self) {
        if let Some(mut runtime) = self.runtime.take() {
            runtime.kill();
        }
    }

    /// Ends the runtime as Ctrl-C does, and with it the instances.
    pub fn stop(&mut self) -> Result<()> {
        if self.runtime.is_none() {
            return Ok(());
        }
        let status = self.stop_by(Signal::INT)?;
        ensure!(status.success(), "ended with {status}: {}", self.output());
        Ok(())
    }

    /// Ends the runtime, and with it the instances, by a signal that it can hear; gives its exit status.
    pub fn stop_by(&mut self, signal: Signal) -> Result<ExitStatus> {
        let mut runtime = self.runtime.take().context("the runtime does not run")?;
        runtime.signal(signal)?;
        wait_for(
            "the end of the runtime",
            END_TIMEOUT,
            || Ok(runtime.ended()),
        )
    }

    /// Processes that are servers below this directory, found by their arguments.
    pub fn server_processes(&self) -> Vec<u32> {
        let below = self.data().display().to_string();
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| {
                let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let words: Vec<_> = words.split(|byte| *byte == 0).collect();
                words.get(1).is_some_and(|word| *word == b"server")
                    && words.iter().any(|word| word.starts_with(below.as_bytes()))
            })
            .collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = format!("the runtime said:\n{}\n", self.output());
            std::io::stderr().write_all(told.as_bytes()).ok();
        }
        self.kill_runtime();
        for pid in self.server_processes() {
            // It may end by itself meanwhile.
            send(pid, Signal::KILL).ok();
        }
        wait_for("the end of the instances", END_TIMEOUT, || {
            Ok(self.server_processes().is_empty().then_some(()))
        })
        .ok();
    }
}

/// Sends a signal to a process by its id.
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.try_into()?).context("0 is no process")?;
    kill_process(pid, signal).with_context(|| format!("failed to signal process {pid:?}"))
}
