//! The text of values, as `CONFIG GET` shows them and as they are read again.

use super::super::{Address, BindAddress, OutputBufferLimit, OutputBufferLimits, Secret};
use std::path::PathBuf;
use std::time::Duration;

/// Shows the bounds in the words that tools look for.
pub(super) fn output_limits(limits: &OutputBufferLimits) -> String {
    let OutputBufferLimits {
        normal,
        replica,
        pubsub,
    } = limits;
    [("normal", normal), ("slave", replica), ("pubsub", pubsub)]
        .map(|(class, limit)| {
            let OutputBufferLimit {
                hard_bytes,
                soft_bytes,
                soft_duration,
            } = limit;
            format!(
                "{class} {hard_bytes} {soft_bytes} {}",
                soft_duration.as_secs()
            )
        })
        .join(" ")
}

pub(super) fn address(address: Option<&Address>) -> String {
    address
        .map(|Address { host, port }| format!("{host} {port}"))
        .unwrap_or_default()
}

pub(super) fn join(addresses: &[BindAddress]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn exposed(secret: Option<&Secret>) -> String {
    secret
        .map(|secret| secret.expose().to_owned())
        .unwrap_or_default()
}

pub(super) fn path(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string())
        .unwrap_or_default()
}

pub(super) fn seconds(duration: Duration) -> String {
    duration.as_secs().to_string()
}

pub(super) fn seconds_or_never(duration: Option<Duration>) -> String {
    seconds(duration.unwrap_or_default())
}

pub(super) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

pub(super) fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> String {
    let word = words
        .iter()
        .find(|(_, listed)| *listed == value)
        .map(|(word, _)| *word);
    word.unwrap_or_default().to_owned()
}
