//! Child processes and scratch directories that never outlive the program that made them: gone at
//! drop, and, where destructors do not run (a panic that aborts, a signal), by [`clean_up_on_exit`].
//! Processes are only ever ended by the id they were started with.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// What has to be ended and removed when the program ends early.
struct Live {
    processes: Vec<Pid>,
    directories: Vec<PathBuf>,
}

static LIVE: Mutex<Live> = Mutex::new(Live {
    processes: Vec::new(),
    directories: Vec::new(),
});

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a panic, SIGINT or SIGTERM end all processes and remove all directories of this module
/// before the program ends. For programs; a test that unwinds needs only the destructors.
pub fn clean_up_on_exit() -> Result<()> {
    if cfg!(panic = "abort") {
        let inner = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            inner(info);
            drop(clean_up());
        }));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime that waits for signals")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(until_told_to_end());
            // Held until the end, so that nothing new is started meanwhile.
            let _live = clean_up();
            #[expect(clippy::exit, reason = "the one place where a signal ends the program")]
            std::process::exit(130);
        })
        .context("failed to start the thread that waits for signals")?;
    Ok(())
}

async fn until_told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn clean_up() -> MutexGuard<'static, Live> {
    let mut live = live();
    for pid in live.processes.drain(..) {
        // It may have ended by itself, or its owner may be waiting for it: both are what we want.
        if kill_process(pid, Signal::KILL).is_ok() {
            waitpid(Some(pid), WaitOptions::empty()).ok();
        }
    }
    for directory in live.directories.drain(..) {
        std::fs::remove_dir_all(directory).ok();
    }
    live
}

/// A running child process; killed with SIGKILL and waited for at drop.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts `command` with its output appended to the file `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("failed to open the output file `{}`", log.display()))?;
        let errors = output
            .try_clone()
            .context("failed to share the output file")?;
        let mut live = live();
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("failed to start `{}`", command.get_program().display()))?;
        live.processes.push(Pid::from_child(&child));
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Gives the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives the exit status if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.child.try_wait().ok().flatten();
        if ended.is_some() {
            self.forget();
        }
        ended
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("failed to signal process {}", self.child.id()))
    }

    /// Ends the process with SIGKILL and waits for it; nothing to do if it has ended.
    pub fn kill(&mut self) {
        // An error means that it has ended already; waiting tells in either case.
        self.child.kill().ok();
        self.child.wait().ok();
        self.forget();
    }

    /// Waits until the process ends by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().context("failed to wait for a process")?;
        self.forget();
        Ok(status)
    }

    /// Gives the last lines of the process' output.
    pub fn last_output(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn forget(&self) {
        let pid = Pid::from_child(&self.child);
        live().processes.retain(|&other| other != pid);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A directory of our own, removed at drop with all that is in it.
#[derive(Debug)]
pub struct ScratchDirectory(PathBuf);

impl ScratchDirectory {
    /// Makes a new directory under `parent`, or under the system's temporary directory.
    pub fn new(parent: Option<&Path>) -> Result<Self> {
        let mut live = live();
        let mut builder = tempfile::Builder::new();
        builder.prefix("tandem-e2e-").disable_cleanup(true);
        let made = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let path = made.context("failed to make a scratch directory")?.keep();
        live.directories.push(path.clone());
        Ok(Self(path))
    }

    /// Gives its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
        live().directories.retain(|other| *other != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_process_is_gone_and_its_directory_too() {
        let directory = ScratchDirectory::new(None).unwrap();
        let path = directory.path().to_owned();
        let log = path.join("output");
        let process = ServerProcess::spawn(Command::new("sleep").arg("600"), &log).unwrap();
        let pid = process.id();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn ended_process_shows_its_last_output() {
        let directory = ScratchDirectory::new(None).unwrap();
        let log = directory.path().join("output");
        let mut command = Command::new("sh");
        command.args(["-c", "echo told; exit 3"]);
        let mut process = ServerProcess::spawn(&mut command, &log).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(3));
        assert_eq!(process.last_output(), "told");
    }
}
