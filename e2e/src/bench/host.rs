//! Where and with what was measured: the head of the report.

use std::path::Path;
use std::process::Command;

use super::settings::Settings;

/// Gives the head of the report; what cannot be found out is said to be unknown.
pub fn header(settings: &Settings) -> String {
    let tandem = settings.tandem_path().unwrap_or_default();
    let commit = output("git", &["rev-parse", "HEAD"]);
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    let changed = if changed.is_some() {
        " with uncommitted changes"
    } else {
        ""
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let unknown = || "unknown".to_owned();
    format!(
        "- commit: {}{changed}\n- processor: {}, {cores} cores; kernel {}\n- Redis: {}\n\
         - Tandem: `{}`, {}\n- load: {} random keys, one thread, 50 connections; up to {} ms a cell, \
         median of {} rounds, Redis and Tandem by turns; {}\n",
        commit.unwrap_or_else(unknown),
        cpu_model().unwrap_or_else(unknown),
        output("uname", &["-r"]).unwrap_or_else(unknown),
        version(&settings.redis).unwrap_or_else(unknown),
        tandem.file_name().unwrap_or_default().display(),
        version(&tandem).unwrap_or_else(|| "version unknown".into()),
        settings.key_count(),
        settings.cell_time().as_millis(),
        settings.rounds,
        if settings.no_pin {
            "cores shared"
        } else {
            "the load has one core, each server all others"
        },
    )
}

fn version(path: &Path) -> Option<String> {
    output(path.to_str()?, &["--version"])
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Gives the first line a program prints, if it prints one and succeeds.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
