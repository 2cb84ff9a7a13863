//! What a person sees: event lines, and on a terminal a table that is redrawn in place below them.

mod table;

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tandem_api::condition::rfc3339;
use tandem_api::double_master::DoubleMasterStatus;
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
    lines: mpsc::Sender<String>,
}

impl Announcer {
    /// An announcer and where its lines come out.
    pub fn channel() -> (Self, mpsc::Receiver<String>) {
        let (lines, out) = mpsc::channel(LINES_MAX);
        (Self { lines }, out)
    }

    /// Says a line.
    pub fn say(&self, line: impl Into<String>) {
        let line = line.into();
        tracing::info!(event = %line, "event");
        let time = rfc3339(unix_ms());
        let clock = time.get(11..23).unwrap_or_default();
        if self.lines.try_send(format!("{clock} {line}")).is_err() {
            tracing::warn!("nobody reads the event lines");
        }
    }
}

/// Shows events, and on a terminal the table, until both sources end.
pub async fn show(
    mut lines: mpsc::Receiver<String>,
    mut status: watch::Receiver<DoubleMasterStatus>,
) {
    let mut screen = Screen::new();
    let mut ticks = interval(DRAW_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => screen.line(&line),
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
