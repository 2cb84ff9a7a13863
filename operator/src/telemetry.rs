//! Where log lines go: stderr, or a file when the terminal shows the table.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::error::Error;

const DEFAULT_FILTER: &str = "info";

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER))
}

/// Logs to stderr; the filter comes from `RUST_LOG`. A second call changes nothing.
pub fn to_stderr() {
    let outcome = tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    if outcome.is_err() {
        tracing::debug!("log lines already have a subscriber");
    }
}

/// Logs to a file, appending.
pub fn to_file(path: &Path) -> Result<(), Error> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::write(path))?;
    let outcome = tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .try_init();
    if outcome.is_err() {
        tracing::debug!("log lines already have a subscriber");
    }
    Ok(())
}
