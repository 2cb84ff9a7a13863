//! A runtime's directory as a whole: whose it is, who works in it, and how it is emptied.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use super::layout::Layout;
use super::state::State;
use crate::error::Error;

/// Refuses a directory in which lies what no runtime puts there.
pub(super) fn check_ours(layout: &Layout) -> Result<(), Error> {
    let root = layout.root();
    let entries = std::fs::read_dir(root)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(Error::read(root))?;
    if layout.state().exists() || entries.iter().all(|entry| layout.is_ours(&entry.path())) {
        Ok(())
    } else {
        Err(Error::NotOurs { path: root.into() })
    }
}

/// Takes the directory's lock, or says who has it.
pub(super) fn lock(layout: &Layout) -> Result<File, Error> {
    let path = layout.lock();
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::write(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let holder = if known {
                format!(" (pid {})", pid.trim())
            } else {
                String::new()
            };
            return Err(Error::Locked {
                path: layout.root().into(),
                holder,
            });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(Error::write(&path)(error)),
    }
    let noted = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()));
    noted.map_err(Error::write(&path))?;
    Ok(file)
}

/// Ends every server that an earlier runtime left on the directory.
pub(super) async fn end_all(layout: &Layout, state: Option<&State>) -> Result<(), Error> {
    for name in state.iter().flat_map(|state| state.processes.keys()) {
        for id in super::proc_table::servers_on(&layout.data(name)) {
            if !super::child::terminate(id, Duration::ZERO).await? {
                return Err(Error::WillNotEnd {
                    instance: name.to_string(),
                    pid: id.pid,
                });
            }
        }
    }
    Ok(())
}

/// Removes everything in a directory of ours but the lock.
pub(super) fn reset(layout: &Layout) -> Result<(), Error> {
    let root = layout.root();
    let entries: Vec<_> = std::fs::read_dir(root)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(Error::read(root))?
        .into_iter()
        .filter(|entry| entry.path() != layout.lock())
        .collect();
    for entry in entries {
        let path = entry.path();
        let is_directory = entry.file_type().map_err(Error::read(&path))?.is_dir();
        let removed = if is_directory {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(Error::write(&path))?;
    }
    Ok(())
}
