//! Appending: entries are framed in memory under the commit lock, given to the kernel once per I/O
//! turn, and synced by whoever asks, segment by segment in their order.
//!
//! ```text
//!  flush:  frame ─ writer ─▶ newest file        no fsync, not even where a segment ends
//!  sync:   ended files in order, newest file ─▶ durable moves; then the next file is created ahead
//! ```
//!
//! What power loss leaves of several segments that were not synced, recovery cuts as one torn tail.

use super::format::{BLOCK_BYTES, Class, MARK_BYTES, append_entry};
use super::recover::Recovered;
use super::segment::{Position, SegmentHead, SegmentInfo, path_of};
use super::timing::Timing;
use crate::disk::{Disk, DiskFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};
use tandem_merge::{Origins, VersionVector};

/// Sizes of a log.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// A segment is closed at the first entry beyond this size, in bytes (`binlog-file-size`).
    pub segment_bytes: u64,
}

/// Why the log does not take more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk is full; reads go on, writes come back by themselves once there is space.
    #[error("no space left for the log")]
    Full,
    /// A write or fsync failed: what the kernel holds is unknown, so nothing is accepted until a
    /// restart has read the log again.
    #[error("failed to persist the log; restart to recover")]
    Poisoned,
    /// The same, for want of space.
    #[error("failed to persist the log for want of space; free space on its device, then restart")]
    Starved,
}

impl LogError {
    /// Whether nothing is accepted until a restart.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Poisoned | Self::Starved)
    }
}

/// Whether there is no space, or none that may be used.
pub fn is_want_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The in-memory end of the log: framing happens here, under the commit lock.
#[derive(Debug)]
pub struct Frame {
    pending: Vec<u8>,
    /// Places in `pending` where a new segment begins, with its number and base.
    rolls: Vec<(usize, SegmentInfo)>,
    segment: u64,
    base: u64,
    offset: u64,
    segment_bytes: u64,
    /// Offset from which on the next record begins a new segment.
    roll_from: u64,
    announced: usize,
    marked: u64,
}

/// Bytes taken from a [`Frame`] for writing.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    rolls: Vec<(usize, SegmentInfo)>,
    end: u64,
}

impl Frame {
    /// Goes on behind what recovery found. Behind damage the first record begins a new segment, so
    /// that it is found again and no number of an origin is given twice.
    pub fn resume(recovered: &Recovered, options: LogOptions) -> Self {
        Self {
            pending: Vec::new(),
            rolls: Vec::new(),
            segment: recovered.position.segment,
            base: recovered.base,
            offset: recovered.position.offset,
            segment_bytes: options.segment_bytes,
            roll_from: if recovered.is_spoilt {
                0
            } else {
                options.segment_bytes
            },
            announced: recovered.announced.len(),
            marked: 0,
        }
    }

    /// Lsn behind everything appended.
    #[inline]
    pub fn head(&self) -> u64 {
        self.base + self.offset
    }

    /// The same as a position.
    pub fn position(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.offset,
        }
    }

    /// Appends one record and returns the lsn behind it. Announces new origins and begins a new
    /// segment first when it has to; `origins` and `vv` are those from before this record.
    #[inline]
    pub fn append(&mut self, parts: [&[u8]; 2], origins: &Origins, vv: &VersionVector) -> u64 {
        if self.offset >= self.roll_from {
            self.roll(origins, vv);
        }
        if self.announced < origins.len() {
            self.announce(origins);
        }
        self.offset = append_entry(&mut self.pending, self.offset, Class::Record, parts);
        self.head()
    }

    #[cold]
    fn announce(&mut self, origins: &Origins) {
        for (_, origin) in origins.iter().skip(self.announced) {
            let mut bytes = Vec::new();
            origin.encode(&mut bytes);
            self.offset =
                append_entry(&mut self.pending, self.offset, Class::Origin, [&bytes, &[]]);
        }
        self.announced = origins.len();
    }

    /// Begins a new segment.
    #[cold]
    pub fn roll(&mut self, origins: &Origins, vv: &VersionVector) {
        self.base = self.head();
        self.segment += 1;
        self.offset = 0;
        self.roll_from = self.segment_bytes;
        let head = SegmentHead {
            number: self.segment,
            base: self.base,
            origins: origins.clone(),
            vv: vv.clone(),
        };
        let info = SegmentInfo {
            number: head.number,
            base: head.base,
            vv: head.vv.clone(),
        };
        self.rolls.push((self.pending.len(), info));
        self.offset = append_entry(&mut self.pending, 0, Class::Head, [&head.encode(), &[]]);
        self.announced = origins.len();
    }

    /// Takes what waits. A mark of what is durable goes along when that has moved and it fits into
    /// the block: recovery looks for whole ones.
    pub fn take(&mut self, durable: u64, batch: &mut Batch) {
        let room = BLOCK_BYTES - (self.offset as usize % BLOCK_BYTES);
        if durable > self.marked && !self.pending.is_empty() && room >= MARK_BYTES {
            self.mark(durable);
        }
        batch.bytes.clear();
        std::mem::swap(&mut batch.bytes, &mut self.pending);
        batch.rolls = std::mem::take(&mut self.rolls);
        batch.end = self.head();
    }

    fn mark(&mut self, durable: u64) {
        self.marked = durable;
        let mark = durable.to_le_bytes();
        self.offset = append_entry(&mut self.pending, self.offset, Class::Mark, [&mark, &[]]);
    }

    /// Appends a mark of what is durable although no record follows: the last entry of a process
    /// that stops in order, so that damage found later is told from a torn tail. A segment that is
    /// about to end, or a block without room for a whole mark, goes without.
    pub fn seal(&mut self, durable: u64) {
        let room = BLOCK_BYTES - (self.offset as usize % BLOCK_BYTES);
        let is_marked = self.marked + MARK_BYTES as u64 >= self.head();
        if durable > self.marked && !is_marked && room >= MARK_BYTES && self.offset < self.roll_from
        {
            self.mark(durable);
        }
    }
}

/// Something with a [`Frame`] inside: the commit state of a database.
pub trait Tail {
    /// The frame.
    fn frame(&mut self) -> &mut Frame;
}

struct Writer {
    file: Arc<dyn DiskFile>,
    offset: u64,
    /// Files that ended and are not durable yet, oldest first.
    ended: Vec<Arc<dyn DiskFile>>,
    batch: Batch,
    /// Bytes of `batch` that a full disk has kept from being written.
    stuck: bool,
}

/// Ended files that may wait for a sync; beyond it, writers wait for the disk.
const ENDED_MAX: usize = 8;

/// A segment's number and its file.
type Numbered = (u64, Arc<dyn DiskFile>);

/// The files of one log. Locks are taken in this order: `syncing`, `writer`, `ahead`.
pub struct Log {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    writer: Mutex<Writer>,
    /// Held during a sync: one at a time, so that a failure is never taken for the success of
    /// another one, and nobody calls durable what an earlier one is still saving.
    syncing: Mutex<()>,
    /// The file of the segment behind the newest, created and empty. Held while a segment's file is
    /// created: `newest` moves under it.
    ahead: Mutex<Option<Numbered>>,
    written: AtomicU64,
    durable: AtomicU64,
    poisoned: AtomicBool,
    /// What poisoned it was want of space.
    starved: AtomicBool,
    full: AtomicBool,
    syncs: AtomicU64,
    timing: Timing,
    newest: AtomicU64,
    segments: Mutex<BTreeMap<u64, SegmentInfo>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Takes over what recovery found; all of it is durable already.
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, recovered: Recovered) -> Self {
        let head = recovered.base + recovered.position.offset;
        Self {
            disk,
            directory,
            writer: Mutex::new(Writer {
                file: recovered.file,
                offset: recovered.position.offset,
                ended: Vec::new(),
                batch: Batch::default(),
                stuck: false,
            }),
            syncing: Mutex::new(()),
            ahead: Mutex::new(None),
            written: AtomicU64::new(head),
            durable: AtomicU64::new(head),
            poisoned: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            full: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            timing: Timing::default(),
            newest: AtomicU64::new(recovered.position.segment),
            segments: Mutex::new(recovered.segments),
        }
    }

    /// Lsn up to which the kernel holds everything.
    #[inline]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Lsn up to which the disk holds everything.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Whether a failed write or sync stopped this log for good.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Whether the last write found the disk full.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Syncs done since start.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// How long the syncs took.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// What poisoned the log.
    fn poison(&self) -> LogError {
        if self.starved.load(Ordering::Acquire) {
            LogError::Starved
        } else {
            LogError::Poisoned
        }
    }

    /// Whether writes may be accepted.
    pub fn check(&self) -> Result<(), LogError> {
        if self.is_poisoned() {
            Err(self.poison())
        } else if self.is_full() {
            Err(LogError::Full)
        } else {
            Ok(())
        }
    }

    /// Gives everything appended up to `upto` (an lsn) to the kernel. One caller writes for all.
    pub fn flush<T: Tail>(&self, upto: u64, tail: &Mutex<T>) -> Result<(), LogError> {
        if self.written() >= upto {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        if self.written() >= upto {
            return Ok(());
        }
        if self.is_poisoned() {
            return Err(self.poison());
        }
        let writer = &mut *writer;
        if !writer.stuck {
            tail.lock().frame().take(self.durable(), &mut writer.batch);
        }
        self.write_batch(writer)?;
        if self.written() >= upto {
            Ok(())
        } else {
            self.flush_again(writer, tail)
        }
    }

    /// After a stuck batch went through there may be more behind it.
    fn flush_again<T: Tail>(&self, writer: &mut Writer, tail: &Mutex<T>) -> Result<(), LogError> {
        tail.lock().frame().take(self.durable(), &mut writer.batch);
        self.write_batch(writer)
    }

    fn write_batch(&self, writer: &mut Writer) -> Result<(), LogError> {
        match self.write_parts(writer) {
            // A sync that found no space has lost what it should have saved: that is no full disk.
            _ if self.is_poisoned() => Err(self.poison()),
            Ok(()) => {
                writer.stuck = false;
                self.full.store(false, Ordering::Release);
                self.written.store(writer.batch.end, Ordering::Release);
                if writer.batch.bytes.capacity() > 4 << 20 {
                    writer.batch.bytes = Vec::new();
                }
                Ok(())
            }
            Err(error) if is_want_of_space(&error) => {
                writer.stuck = true;
                if !self.full.swap(true, Ordering::AcqRel) {
                    tracing::error!(
                        directory = %self.directory.display(),
                        "no space left for the log, refusing writes until there is some"
                    );
                }
                Err(LogError::Full)
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    directory = %self.directory.display(),
                    "log write failed, refusing writes until restart"
                );
                self.poisoned.store(true, Ordering::Release);
                Err(self.poison())
            }
        }
    }

    /// Writes the batch; on an error what was written is taken off the batch, so that a retry after
    /// a full disk goes on where it stopped (a partial write is overwritten in place).
    fn write_parts(&self, writer: &mut Writer) -> io::Result<()> {
        while let Some((at, _)) = writer.batch.rolls.first() {
            let at = *at;
            write_at(writer, at)?;
            for later in &mut writer.batch.rolls {
                later.0 -= at;
            }
            let waits = writer.ended.len() < ENDED_MAX;
            if !waits {
                self.sync_file(&*writer.file).map_err(io::Error::other)?;
            }
            let Some((_, info)) = writer.batch.rolls.first() else {
                break;
            };
            let file = self.begin_segment(info)?;
            let ended = std::mem::replace(&mut writer.file, file);
            if waits {
                writer.ended.push(ended);
            }
            writer.offset = 0;
            writer.batch.rolls.remove(0);
        }
        let rest = writer.batch.bytes.len();
        write_at(writer, rest)
    }

    /// The file of a new segment: the one that was created ahead, or one that is created now.
    fn begin_segment(&self, info: &SegmentInfo) -> io::Result<Arc<dyn DiskFile>> {
        let mut ahead = self.ahead.lock();
        let file = match ahead.take() {
            Some((number, file)) if number == info.number => file,
            _ => self.disk.create(&path_of(&self.directory, info.number))?,
        };
        self.segments.lock().insert(info.number, info.clone());
        self.newest.store(info.number, Ordering::Release);
        Ok(file)
    }

    /// Makes everything written so far durable and returns the lsn. A failure poisons the log: the
    /// kernel may have dropped the pages, so trying again would lie (fsyncgate).
    pub fn sync(&self) -> Result<u64, LogError> {
        let _one_at_a_time = self.syncing.lock();
        if self.is_poisoned() {
            return Err(self.poison());
        }
        let (ended, file, upto) = {
            let mut writer = self.writer.lock();
            let upto = self.written();
            if upto <= self.durable() {
                return Ok(self.durable());
            }
            let ended = std::mem::take(&mut writer.ended);
            (ended, Arc::clone(&writer.file), upto)
        };
        for file in ended.iter().chain([&file]) {
            self.sync_file(&**file)?;
        }
        if self.is_poisoned() {
            return Err(self.poison());
        }
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.durable.fetch_max(upto, Ordering::AcqRel);
        self.create_ahead();
        Ok(self.durable())
    }

    /// Creates the next segment's file, so that no writer has to. What goes wrong here shows when the
    /// segment begins.
    fn create_ahead(&self) {
        let mut ahead = self.ahead.lock();
        if ahead.is_none() {
            let number = self.newest() + 1;
            let file = self.disk.create(&path_of(&self.directory, number));
            *ahead = file.ok().map(|file| (number, file));
        }
    }

    /// Whether a segment has ended that is not durable.
    pub fn has_ended(&self) -> bool {
        !self.writer.lock().ended.is_empty()
    }

    fn sync_file(&self, file: &dyn DiskFile) -> Result<(), LogError> {
        let begun = Instant::now();
        let done = file.sync();
        self.timing.note(begun.elapsed());
        done.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                directory = %self.directory.display(),
                "fsync failed, refusing writes until restart"
            );
            self.starved
                .store(is_want_of_space(&error), Ordering::Release);
            self.poisoned.store(true, Ordering::Release);
            self.poison()
        })
    }

    /// The segments on disk, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.segments.lock().values().cloned().collect()
    }

    /// Number of the newest segment on disk.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Number and base of the segment behind this one.
    pub fn segment_after(&self, number: u64) -> Option<(u64, u64)> {
        self.segments
            .lock()
            .range(number + 1..)
            .next()
            .map(|(n, info)| (*n, info.base))
    }

    /// Opens a segment for reading.
    pub fn open_segment(&self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&path_of(&self.directory, number))
    }

    /// When a segment was last written to; `None` when the disk does not tell.
    pub fn modified(&self, number: u64) -> io::Result<Option<SystemTime>> {
        self.disk.modified(&path_of(&self.directory, number))
    }

    /// Removes the segment, which must be the oldest and not the newest.
    pub fn remove_oldest(&self, number: u64) -> io::Result<()> {
        let mut segments = self.segments.lock();
        let oldest = segments.keys().next().copied();
        assert!(
            oldest == Some(number) && segments.len() > 1,
            "only the oldest segment is purged"
        );
        self.disk.remove(&path_of(&self.directory, number))?;
        segments.remove(&number);
        Ok(())
    }
}

fn write_at(writer: &mut Writer, count: usize) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    writer
        .file
        .append(writer.offset, &writer.batch.bytes[..count])?;
    writer.offset += count as u64;
    if count == writer.batch.bytes.len() {
        writer.batch.bytes.clear();
    } else {
        writer.batch.bytes.drain(..count);
    }
    Ok(())
}
