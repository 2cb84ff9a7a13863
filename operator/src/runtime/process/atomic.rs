//! Whole files or none: written beside, then renamed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::error::Error;

/// Replaces `path` by `bytes`; a reader sees the old or the new content. With `durable`, the new one
/// survives a power loss when this returns.
pub fn write_atomically(path: &Path, bytes: &[u8], durable: Durable) -> Result<(), Error> {
    let beside = path.with_extension(format!("tmp{}", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        if durable == Durable::Yes {
            file.sync_all()
        } else {
            Ok(())
        }
    });
    written.map_err(Error::write(&beside))?;
    fs::rename(&beside, path).map_err(Error::write(path))?;
    if durable == Durable::Yes
        && let Some(directory) = path.parent()
    {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::write(directory))?;
    }
    Ok(())
}

/// Whether a file has to survive a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It does.
    Yes,
    /// It can be made anew.
    No,
}
