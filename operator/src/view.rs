//! What a person sees: event lines, and on a terminal a table that is redrawn in place below them.

mod table;

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tandem_api::condition::rfc3339;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_plan::events::{Event, Severity};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::unix_ms;

pub use table::render;

/// Lines that wait to be printed; more are dropped and counted by nobody: they are in the log.
const LINES_MAX: usize = 1024;
/// The table is drawn at most this often.
const DRAW_PAUSE: Duration = Duration::from_millis(250);
const WIDTH_DEFAULT: usize = 160;

/// The mouth of the runtime: one line for people, also logged.
#[derive(Debug, Clone)]
pub struct Announcer {
    lines: mpsc::Sender<Announcement>,
}

/// Something that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// One word that is stable; empty for a mere remark.
    pub reason: String,
    /// How loud.
    pub severity: Severity,
    /// For people.
    pub message: String,
}

impl std::fmt::Display for Announcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = rfc3339(self.at_ms);
        let clock = time.get(11..23).unwrap_or_default();
        write!(f, "{clock} {}", self.message)
    }
}

impl Announcer {
    /// An announcer and where its lines come out.
    pub fn channel() -> (Self, mpsc::Receiver<Announcement>) {
        let (lines, out) = mpsc::channel(LINES_MAX);
        (Self { lines }, out)
    }

    /// Says a line.
    pub fn say(&self, line: impl Into<String>) {
        self.note("", line);
    }

    /// Says a line of which `reason` says what kind it is.
    pub fn note(&self, reason: &str, line: impl Into<String>) {
        self.send(reason.into(), Severity::Normal, line.into());
    }

    /// Says a line that is bad news.
    pub fn warn(&self, reason: &str, line: impl Into<String>) {
        self.send(reason.into(), Severity::Warning, line.into());
    }

    /// Says an event of a plan.
    pub fn event(&self, event: &Event) {
        let reason = format!("{:?}", event.reason);
        self.send(reason, event.reason.severity(), event.message.clone());
    }

    fn send(&self, reason: String, severity: Severity, message: String) {
        tracing::info!(reason, event = %message, "event");
        let said = Announcement {
            at_ms: unix_ms(),
            reason,
            severity,
            message,
        };
        if self.lines.try_send(said).is_err() {
            tracing::warn!("nobody reads the event lines");
        }
    }
}

/// Shows events, and on a terminal the table, until both sources end.
pub async fn show(
    mut lines: mpsc::Receiver<Announcement>,
    mut status: watch::Receiver<DoubleMasterStatus>,
) {
    let mut screen = Screen::new();
    let mut ticks = interval(DRAW_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(said) => screen.line(&said.to_string()),
                None => return,
            },
            _ = ticks.tick(), if screen.is_terminal => {
                if status.has_changed().is_ok() {
                    let latest = status.borrow_and_update().clone();
                    screen.table(&latest);
                }
            }
        }
    }
}

/// Standard output, with the lines of the table that stand on it.
struct Screen {
    is_terminal: bool,
    drawn: Vec<String>,
}

impl Screen {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            drawn: Vec::new(),
        }
    }

    fn line(&mut self, line: &str) {
        let drawn = std::mem::take(&mut self.drawn);
        let mut text = erase(drawn.len());
        text.push_str(line);
        text.push('\n');
        for row in &drawn {
            text.push_str(row);
            text.push('\n');
        }
        self.drawn = drawn;
        put(&text);
    }

    fn table(&mut self, status: &DoubleMasterStatus) {
        if status.members.is_empty() {
            return;
        }
        let width = width();
        let rows: Vec<String> = render(status)
            .lines()
            .map(|line| line.chars().take(width.saturating_sub(1)).collect())
            .collect();
        if rows == self.drawn {
            return;
        }
        let mut text = erase(self.drawn.len());
        for row in &rows {
            text.push_str(row);
            text.push('\n');
        }
        self.drawn = rows;
        put(&text);
    }
}

/// Moves up over the table and clears what is below.
fn erase(rows: usize) -> String {
    if rows == 0 {
        String::new()
    } else {
        format!("\x1b[{rows}A\x1b[J")
    }
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|width| *width > 0)
        .unwrap_or(WIDTH_DEFAULT)
}

/// Writes to standard output. A reader that went away ends the output, not the runtime.
pub fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        tracing::debug!("standard output is closed");
    }
}
