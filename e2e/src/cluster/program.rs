//! Runs the programs of `e2e/cluster`, each with a deadline.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// Pause between two looks at a running program.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Gives where a program lies.
fn path(program: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/cluster")).join(program)
}

/// Runs a program and gives what it printed; its errors go where ours go. It is ended, by its
/// process id, at the deadline.
pub(super) fn run(program: &str, words: &[&str], limit: Duration) -> Result<String> {
    let line = format!("e2e/cluster/{program} {}", words.join(" "));
    run_command(Command::new(path(program)).args(words), &line, limit)
}

/// As [`run`], any program; `line` names it in errors.
pub(super) fn run_command(command: &mut Command, line: &str, limit: Duration) -> Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `{line}`"))?;
    let printed = read_all(&mut child)?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill().ok();
            child.wait().ok();
            bail!("`{line}` did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    let text = printed
        .join()
        .map_err(|_| anyhow!("the reader of `{line}` panicked"))?
        .with_context(|| format!("failed to read what `{line}` printed"))?;
    if status.success() {
        Ok(text)
    } else {
        Err(anyhow!("`{line}` failed ({status}): {}", text.trim_end()))
    }
}

/// Reads beside the waiting, so that a full pipe stops nobody.
fn read_all(child: &mut Child) -> Result<JoinHandle<std::io::Result<String>>> {
    let mut output = child.stdout.take().context("the output is not piped")?;
    Ok(std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        Ok(text)
    }))
}
