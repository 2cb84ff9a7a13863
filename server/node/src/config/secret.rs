//! A text that is never printed.

use super::error::ConfigError;
use std::fmt;
use std::path::Path;

/// A password. It has no `Display`, and `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a password; an empty one is none.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Gives the password itself, to be sent or written to the configuration file only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the password; how long that takes tells nothing about where they differ.
    pub fn is_matched_by(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = (0..given.len()).fold(0u8, |seen, at| {
            seen | (given[at] ^ own.get(at).copied().unwrap_or(0))
        });
        own.len() == given.len() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads a file that holds a password on its first line.
pub(super) fn read(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::ReadSecret {
        key,
        path: path.to_owned(),
        source,
    })?;
    if text.lines().next().is_none_or(str::is_empty) {
        return Err(ConfigError::EmptySecret {
            key,
            path: path.to_owned(),
        });
    }
    Ok(text)
}
