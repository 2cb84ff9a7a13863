//! A disk in memory: what was synced survives a crash, what was not survives in part or not at all.
//!
//! ```text
//! file = durable bytes ─ then writes since the last sync, each (offset, bytes)
//!         survive          a crash keeps none, all, a beginning, or single sectors of these
//! ```
//!
//! A full disk takes the beginning of a write and refuses the rest. A failed sync drops what it
//! should have saved, as a kernel does that marks failed pages clean. Names made by `create` and
//! `replace` are durable at once; a removal becomes so with the next of these, or when the directory
//! is synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tandem_store::disk::{Disk, DiskFile};

/// What a crash keeps or loses as one piece.
const SECTOR_BYTES: usize = 512;

/// How a crash treats what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process died, the kernel lives: everything written is there.
    Process,
    /// Power was lost: any of the unsynced sectors may be gone.
    Power,
}

#[derive(Debug, Default)]
struct Body {
    /// What a reader sees.
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Body>>>,
    /// Removed, but not durably yet.
    removed: BTreeMap<PathBuf, Arc<Mutex<Body>>>,
    /// Bytes that all files together may take; `None`: no bound.
    capacity_bytes: Option<usize>,
    failing_syncs: u32,
    /// Whether failing syncs say that the disk is full.
    full_at_sync: bool,
    /// Whether syncs say that they have, and have not.
    lies: bool,
    /// Whether anything was refused since somebody asked.
    failed: bool,
    syncs: u64,
    creates: u64,
}

impl State {
    fn used(&self) -> usize {
        self.files
            .values()
            .map(|body| lock(body).cached.len())
            .sum()
    }

    fn room(&self) -> usize {
        self.capacity_bytes
            .map_or(usize::MAX, |bytes| bytes.saturating_sub(self.used()))
    }
}

/// The disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    body: Arc<Mutex<Body>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("no file {}", path.display()),
    )
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    fn body(&self, path: &Path) -> Option<Arc<Mutex<Body>>> {
        self.state().files.get(path).cloned()
    }

    /// Bounds what all files together may take; `None` lifts the bound.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity_bytes = bytes;
    }

    /// Bytes that all files take.
    pub fn used_bytes(&self) -> usize {
        self.state().used()
    }

    /// Lets the next so many syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        let mut state = self.state();
        (state.failing_syncs, state.full_at_sync) = (count, false);
    }

    /// Lets the next so many syncs fail for want of space, as with delayed allocation.
    pub fn fill_at_sync(&self, count: u32) {
        let mut state = self.state();
        (state.failing_syncs, state.full_at_sync) = (count, true);
    }

    /// Lets syncs do nothing and say that they did.
    pub fn lie(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// Whether a write or sync was refused since this was last asked.
    pub fn has_failed(&self) -> bool {
        std::mem::take(&mut self.state().failed)
    }

    /// The files right inside a directory.
    pub fn files_in(&self, directory: &Path) -> Vec<PathBuf> {
        let state = self.state();
        let inside = state.files.keys();
        inside
            .filter(|path| path.parent() == Some(directory))
            .cloned()
            .collect()
    }

    /// Syncs that succeeded so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Files created so far.
    pub fn creates(&self) -> u64 {
        self.state().creates
    }

    /// The bytes of a file as readers see them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        Some(lock(&*self.body(path)?).cached.clone())
    }

    /// Puts these bytes in place of a file's, durable: damage, or a copy.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let body = Body {
            durable: bytes.clone(),
            cached: bytes,
            unsynced: Vec::new(),
        };
        self.state()
            .files
            .insert(path.to_path_buf(), Arc::new(Mutex::new(body)));
    }

    /// A copy that shares nothing with this disk; what was written is durable there.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        for (path, body) in &self.state().files {
            copy.put(path, lock(body).cached.clone());
        }
        copy
    }

    /// Ends all that was not durable. `below` draws a number from 0 up to its argument, exclusive.
    pub fn crash(&self, how: Crash, below: &mut dyn FnMut(usize) -> usize) {
        let mut state = self.state();
        if how == Crash::Process {
            return;
        }
        for (path, body) in std::mem::take(&mut state.removed) {
            if below(2) == 0 {
                state.files.entry(path).or_insert(body);
            }
        }
        for body in state.files.values() {
            let mut body = lock(body);
            let unsynced = std::mem::take(&mut body.unsynced);
            let mut left = std::mem::take(&mut body.durable);
            lose(&mut left, unsynced, below);
            body.cached.clone_from(&left);
            body.durable = left;
        }
    }
}

/// Keeps some of what was written since the last sync.
fn lose(
    left: &mut Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    below: &mut dyn FnMut(usize) -> usize,
) {
    let total: usize = unsynced.iter().map(|(_, bytes)| bytes.len()).sum();
    match below(4) {
        0 => {}
        // A beginning, to the byte.
        1 | 2 => {
            let mut budget = below(total + 1);
            for (offset, bytes) in unsynced {
                let kept = bytes.len().min(budget);
                budget -= kept;
                if kept > 0 {
                    write(left, offset, &bytes[..kept]);
                }
            }
        }
        // Single sectors, in whatever order the device liked.
        _ => {
            for (offset, bytes) in unsynced {
                let mut at = 0;
                while at < bytes.len() {
                    let end = (at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(bytes.len());
                    if below(2) == 0 {
                        write(left, offset + at, &bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

impl DiskFile for SimFile {
    fn append(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let offset = offset as usize;
        let length = lock(&self.body).cached.len();
        assert!(
            offset <= length,
            "a write behind the end of the file leaves a gap"
        );
        let growth = (offset + bytes.len()).saturating_sub(length);
        let room = state.room();
        let kept = bytes.len() - growth.saturating_sub(room);
        let mut body = lock(&self.body);
        write(&mut body.cached, offset, &bytes[..kept]);
        body.unsynced.push((offset, bytes[..kept].to_vec()));
        if kept < bytes.len() {
            state.failed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let mut body = lock(&self.body);
        if state.lies {
            return Ok(());
        }
        let unsynced = std::mem::take(&mut body.unsynced);
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            state.failed = true;
            return Err(if state.full_at_sync {
                io::ErrorKind::StorageFull.into()
            } else {
                io::Error::other("simulated failure of a sync")
            });
        }
        state.syncs += 1;
        for (offset, bytes) in unsynced {
            write(&mut body.durable, offset, &bytes);
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let body = lock(&self.body);
        let rest = body.cached.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.body).cached.len() as u64)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut body = lock(&self.body);
        body.cached.truncate(length as usize);
        body.unsynced.clear();
        let cached = body.cached.clone();
        body.durable = cached;
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.room() == 0 {
            state.failed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.removed.clear();
        state.creates += 1;
        let body = Arc::new(Mutex::new(Body::default()));
        state.files.insert(path.to_path_buf(), Arc::clone(&body));
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            body,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let body = self.body(path).ok_or_else(|| missing(path))?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            body,
        }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let inside = state.files.keys().filter_map(|path| {
            let first = path.strip_prefix(directory).ok()?.components().next()?;
            Some(directory.join(first))
        });
        let inside: BTreeSet<PathBuf> = inside.collect();
        Ok(inside.into_iter().collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let body = state.files.remove(path).ok_or_else(|| missing(path))?;
        state.removed.insert(path.to_path_buf(), body);
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        state
            .removed
            .retain(|path, _| path.parent() != Some(directory));
        Ok(())
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.bytes(path))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        {
            let mut state = self.state();
            if state.room() < bytes.len() {
                state.failed = true;
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.removed.clear();
        }
        self.put(path, bytes.to_vec());
        Ok(())
    }
}
