//! One instance's process, started by this runtime or found running: its life, its end, its signals.
//!
//! ```text
//! Absent ── start ──▶ Running ── ends ──▶ Exited ── start ──▶ Running ...
//!                        └────── stop ──▶ Absent
//! ```

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tandem_api::InstanceName;
use tandem_plan::Process;
use tokio::sync::{Notify, oneshot};

use super::proc_table::{ProcessId, SESSION_VARIABLE};
use crate::error::Error;

/// An end sooner than this after the start counts as a quick one.
const QUICK_EXIT: Duration = Duration::from_secs(2);

/// How much of the output's end is looked at for the reason of an exit, and how much of that is told.
const TAIL_BYTES: u64 = 4096;
const WORDS_MAX: usize = 300;

/// The running program, wherever its file is by now: see `proc_pid_exe(5)`.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// One instance's process.
#[derive(Debug)]
pub(super) struct Child {
    name: InstanceName,
    inner: Mutex<Inner>,
    ended: Notify,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    life: u64,
    quick_exits: u32,
    stops: bool,
}

#[derive(Debug)]
enum Phase {
    Absent,
    Running {
        id: ProcessId,
        since: Instant,
        handle: Arc<OwnedFd>,
    },
    Exited {
        at: Instant,
        how: String,
    },
}

impl Child {
    /// An instance that was never started. `changed` is woken by each change.
    pub(super) fn new(name: InstanceName, changed: Arc<Notify>) -> Self {
        let inner = Inner {
            phase: Phase::Absent,
            life: 0,
            quick_exits: 0,
            stops: false,
        };
        Self {
            name,
            inner: Mutex::new(inner),
            ended: Notify::new(),
            changed,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its process as a plan sees it, and the number of its life.
    pub(super) fn process(&self) -> (Process, u64) {
        let inner = self.lock();
        let millis = |at: &Instant| at.elapsed().as_millis() as u64;
        let process = match &inner.phase {
            Phase::Absent => Process::Absent,
            Phase::Running { since, .. } => Process::Running {
                age_ms: millis(since),
            },
            Phase::Exited { at, how } => Process::Exited {
                age_ms: millis(at),
                quick_exits: inner.quick_exits,
                how: how.clone(),
            },
        };
        (process, inner.life)
    }

    /// The process that runs.
    pub(super) fn running(&self) -> Option<ProcessId> {
        match &self.lock().phase {
            Phase::Running { id, .. } => Some(*id),
            Phase::Absent | Phase::Exited { .. } => None,
        }
    }

    /// Starts `tandem ARGUMENTS`, in a session of its own, its output appended to `log`.
    pub(super) fn start(self: &Arc<Self>, arguments: &[String], log: &Path) -> Result<(), Error> {
        if self.running().is_some() {
            return Ok(());
        }
        let failed = |source| Error::Spawn {
            instance: self.name.to_string(),
            source,
        };
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        // A program whose file was replaced goes on with what it is, not with what lies there now.
        let file = if program.exists() {
            program.as_path()
        } else {
            Path::new(OWN_PROGRAM)
        };
        let mut child = tokio::process::Command::new(file)
            .arg0(&program)
            .args(arguments)
            .env(SESSION_VARIABLE, "1")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(false)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().unwrap_or_default();
        let handle = open_handle(pid)?;
        let id = ProcessId::of(pid).unwrap_or(ProcessId {
            pid,
            started_ticks: 0,
        });
        let life = self.begin(id, handle);
        let this = Arc::clone(self);
        let log = log.to_owned();
        tokio::spawn(async move {
            let how = match child.wait().await {
                Ok(status) => describe(status, &log),
                Err(error) => format!("cannot be waited for: {error}"),
            };
            this.end(life, how);
        });
        Ok(())
    }

    /// Takes over a process that an earlier runtime started.
    pub(super) fn adopt(self: &Arc<Self>, id: ProcessId) -> Result<(), Error> {
        let handle = open_handle(id.pid)?;
        if !id.is_alive() {
            return Ok(());
        }
        let ended = watch_end(&handle, id.pid)?;
        let life = self.begin(id, handle);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let how = match ended.await {
                Ok(()) => "ended".to_string(),
                Err(_) => "cannot be watched any more".to_string(),
            };
            this.end(life, how);
        });
        Ok(())
    }

    fn begin(&self, id: ProcessId, handle: OwnedFd) -> u64 {
        let mut inner = self.lock();
        inner.life += 1;
        inner.stops = false;
        inner.phase = Phase::Running {
            id,
            since: Instant::now(),
            handle: Arc::new(handle),
        };
        let life = inner.life;
        drop(inner);
        self.changed.notify_one();
        life
    }

    fn end(&self, life: u64, how: String) {
        let mut inner = self.lock();
        if inner.life != life {
            return;
        }
        if let Phase::Running { since, .. } = &inner.phase {
            inner.quick_exits = if since.elapsed() < QUICK_EXIT {
                inner.quick_exits + 1
            } else {
                0
            };
        }
        inner.phase = if inner.stops {
            Phase::Absent
        } else {
            Phase::Exited {
                at: Instant::now(),
                how,
            }
        };
        drop(inner);
        self.ended.notify_waiters();
        self.changed.notify_one();
    }

    /// Ends the process: asks, waits up to `patience`, then kills. Its end is no exit but a stop.
    pub(super) async fn stop(&self, patience: Duration) -> Result<(), Error> {
        let handle = {
            let mut inner = self.lock();
            inner.stops = true;
            match &inner.phase {
                Phase::Running { handle, id, .. } => (Arc::clone(handle), id.pid),
                Phase::Exited { .. } | Phase::Absent => {
                    inner.phase = Phase::Absent;
                    return Ok(());
                }
            }
        };
        if !patience.is_zero() {
            signal(&handle, Signal::TERM, "terminate")?;
            // A stopped process hears nothing before it goes on.
            signal(&handle, Signal::CONT, "continue")?;
            if self.wait_for_end(patience).await {
                return Ok(());
            }
            tracing::warn!(instance = %self.name, "does not end when asked, is killed");
        }
        signal(&handle, Signal::KILL, "kill")?;
        self.wait_for_end(Duration::from_secs(10)).await;
        Ok(())
    }

    async fn wait_for_end(&self, patience: Duration) -> bool {
        let wait = async {
            loop {
                let ended = self.ended.notified();
                if self.running().is_none() {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }
}

fn open_handle(pid: u32) -> Result<OwnedFd, Error> {
    let failed = |source| Error::Signal {
        verb: "open",
        pid,
        source,
    };
    let number = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| {
            failed(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "no such process",
            ))
        })?;
    pidfd_open(number, PidfdFlags::empty()).map_err(|errno| failed(errno.into()))
}

/// Tells when a process that is not our child ends: its handle becomes readable then, see `pidfd_open(2)`.
/// A thread waits for that, since a handle that is only polled needs no reactor.
fn watch_end(handle: &OwnedFd, pid: u32) -> Result<oneshot::Receiver<()>, Error> {
    let failed = |source| Error::Signal {
        verb: "watch",
        pid,
        source,
    };
    let watched = handle.try_clone().map_err(failed)?;
    let (tell, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("watch-{pid}"))
        .spawn(move || {
            let mut polled = [PollFd::new(&watched, PollFlags::IN)];
            while matches!(poll(&mut polled, None), Err(rustix::io::Errno::INTR)) {}
            if tell.send(()).is_err() {
                tracing::trace!(pid, "nobody waits for its end");
            }
        })
        .map_err(failed)?;
    Ok(ended)
}

fn signal(
    (handle, pid): &(Arc<OwnedFd>, u32),
    signal: Signal,
    verb: &'static str,
) -> Result<(), Error> {
    match pidfd_send_signal(handle, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::Signal {
            verb,
            pid: *pid,
            source: errno.into(),
        }),
    }
}

fn describe(status: ExitStatus, log: &Path) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(0), _) => "exit status 0".into(),
        (Some(code), _) => match last_words(log) {
            Some(words) => format!("exit status {code}, {words}"),
            None => format!("exit status {code}"),
        },
        (None, Some(9)) => "killed (signal 9)".into(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".into(),
    }
}

/// The error that a server ended with, by the last line of its output.
fn last_words(log: &Path) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let last = tail.lines().rfind(|line| !line.trim().is_empty())?;
    let words = last.strip_prefix("tandem: ")?;
    Some(words.chars().take(WORDS_MAX).collect())
}

/// Ends a process that is not adopted: asks, waits, kills.
pub(super) async fn terminate(id: ProcessId, patience: Duration) -> Result<bool, Error> {
    let Ok(handle) = open_handle(id.pid) else {
        return Ok(true);
    };
    if !id.is_alive() {
        return Ok(true);
    }
    let handle = (Arc::new(handle), id.pid);
    for (name, verb, wait) in [
        (Signal::TERM, "terminate", patience),
        (Signal::KILL, "kill", Duration::from_secs(10)),
    ] {
        signal(&handle, name, verb)?;
        signal(&handle, Signal::CONT, "continue")?;
        let ended = watch_end(&handle.0, id.pid)?;
        if tokio::time::timeout(wait, ended).await.is_ok() {
            return Ok(true);
        }
    }
    Ok(!id.is_alive())
}
