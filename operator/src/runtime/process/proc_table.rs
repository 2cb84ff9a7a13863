//! The process table: who runs, since when, with which arguments. Linux' `/proc`.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Set for a child that shall put itself into a session of its own, so that neither Ctrl-C nor the
/// end of the terminal of `tandem local` reaches it.
pub const SESSION_VARIABLE: &str = "TANDEM_OWN_SESSION";

/// A process, told from a later one with the same number by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub started_ticks: u64,
}

impl ProcessId {
    /// The process that has this number now; `None` when there is none, or only its remains.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        parse_stat(&stat).map(|started_ticks| Self { pid, started_ticks })
    }

    /// This process.
    pub fn own() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self {
            pid,
            started_ticks: 0,
        })
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Start time of a process that is not a zombie; proc(5), fields 3 and 22. The command, field 2, may
/// hold anything, so fields are counted behind its closing parenthesis.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Arguments of a process, without the program.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .skip(1)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .filter(|argument| !argument.is_empty())
        .collect()
}

/// Whether a process runs the same program file as this one.
pub(super) fn runs_this_program(pid: u32) -> bool {
    let own = std::fs::read_link("/proc/self/exe");
    let other = std::fs::read_link(format!("/proc/{pid}/exe"));
    matches!((own, other), (Ok(own), Ok(other)) if own == other)
}

/// Processes that are servers on this data directory.
pub(super) fn servers_on(data: &Path) -> Vec<ProcessId> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let data = data.to_string_lossy();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let arguments = arguments(*pid);
            arguments.first().is_some_and(|first| first == "server")
                && arguments
                    .windows(2)
                    .any(|pair| pair[0] == "--dir" && pair[1] == data.as_ref())
        })
        .filter_map(ProcessId::of)
        .collect()
}

/// Puts this process into a session of its own when its parent asked for it.
pub fn enter_own_session() {
    if std::env::var_os(SESSION_VARIABLE).is_some()
        && let Err(error) = rustix::process::setsid()
    {
        tracing::warn!(%error, "no session of its own");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "77 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 99";
        assert_eq!(parse_stat(stat), Some(4242));
        assert_eq!(
            parse_stat("77 (x) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242"),
            None
        );
    }

    #[test]
    fn this_process_is_alive_and_another_start_is_not_it() {
        let own = ProcessId::own();
        assert!(own.is_alive());
        assert!(
            !ProcessId {
                started_ticks: own.started_ticks + 1,
                ..own
            }
            .is_alive()
        );
        assert!(runs_this_program(own.pid));
    }
}
