//! Passwords as files that only their owner reads; made when absent, never on a command line.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::layout::Layout;
use crate::error::Error;

const RANDOM_BYTES: usize = 24;

/// Reads a secret, and makes it with a random password when there is none.
pub(super) fn read_or_create(layout: &Layout, name: &str) -> Result<String, Error> {
    if let Some(password) = read_password(layout, name)? {
        return Ok(password);
    }
    let path = layout.secret(name);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(Error::write(directory))?;
    }
    let password = random_password().map_err(Error::write(&path))?;
    write_private(&path, format!("{password}\n").as_bytes())?;
    Ok(password)
}

/// A password that nobody guesses.
pub fn random_password() -> std::io::Result<String> {
    let mut random = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut password = String::with_capacity(2 * RANDOM_BYTES);
    for byte in random {
        let _ = write!(password, "{byte:02x}");
    }
    Ok(password)
}

/// Reads a secret; `None` when there is none.
pub fn read_password(layout: &Layout, name: &str) -> Result<Option<String>, Error> {
    let path = layout.secret(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\n', '\r']).to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::read(&path)(error)),
    }
}

/// Writes a file that only its owner reads.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(Error::write(path))
}
