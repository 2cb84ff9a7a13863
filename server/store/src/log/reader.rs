//! Reading a log while it grows: what links ship, and what recovery replays.
//!
//! The page cache is the ring: what was just written is read from memory by the kernel, and a
//! receiver that is far behind reads the same way from the disk.

use super::format::{BLOCK_BYTES, Class, Damage, Entry, Part, block_padding, read_fragment};
use super::segment::Position;
use super::writer::Log;
use crate::disk::DiskFile;
use std::io;
use std::ops::Range;
use std::sync::Arc;

const CHUNK_BYTES: usize = 8 * BLOCK_BYTES;

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment was purged under the reader: the receiver needs a full resync.
    #[error("log position {position:?} was purged")]
    Purged {
        /// The place wanted.
        position: Position,
    },
    /// The bytes are damaged.
    #[error("log damaged at segment {} offset {}: {damage}", position.segment, position.offset)]
    Damaged {
        /// Where.
        position: Position,
        /// How.
        damage: Damage,
    },
    /// The operating system refused.
    #[error("failed to read log segment {segment}")]
    Io {
        /// Which.
        segment: u64,
        /// Why.
        source: io::Error,
    },
}

/// Reads entries in order, from a segment's start or an entry's start.
pub struct LogReader {
    log: Arc<Log>,
    file: Arc<dyn DiskFile>,
    segment: u64,
    base: u64,
    offset: u64,
    chunk: Vec<u8>,
    chunk_at: u64,
    whole: Vec<u8>,
    /// The segment behind this one, once it exists: number and base.
    next: Option<(u64, u64)>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl LogReader {
    /// Begins at `lsn`, which must be the start of an entry or of a segment.
    pub fn open(log: Arc<Log>, lsn: u64) -> Result<Self, ReadError> {
        let info = log
            .segments()
            .into_iter()
            .rev()
            .find(|info| info.base <= lsn);
        let Some(info) = info else {
            return Err(ReadError::Purged {
                position: Position::default(),
            });
        };
        let begin = Position {
            segment: info.number,
            offset: 0,
        };
        let file = open_segment(&log, begin)?;
        Ok(Self {
            log,
            file,
            segment: info.number,
            base: info.base,
            offset: lsn - info.base,
            chunk: Vec::new(),
            chunk_at: 0,
            whole: Vec::new(),
            next: None,
        })
    }

    /// Lsn of the next entry.
    pub fn lsn(&self) -> u64 {
        self.base + self.offset
    }

    /// The place of the next entry.
    pub fn position(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.offset,
        }
    }

    /// The next entry that ends at or below `limit` (an lsn up to which the log is whole); `None`
    /// when the reader has caught up with it. An error leaves the reader where it was.
    pub fn next(&mut self, limit: u64) -> Result<Option<Entry<'_>>, ReadError> {
        loop {
            if self.lsn() >= limit {
                return Ok(None);
            }
            if !self.advance_segment()? {
                break;
            }
        }
        let begun = self.offset;
        let (class, range) = match self.entry() {
            Ok(found) => found,
            Err(error) => {
                self.offset = begun;
                return Err(error);
            }
        };
        let payload = match range {
            Some(range) => &self.chunk[range],
            None => &self.whole,
        };
        Ok(Some(Entry {
            class,
            start: self.base + begun,
            end: self.base + self.offset,
            payload,
        }))
    }

    /// Goes past the entry at `offset`; `None`: its payload was put together in `whole`.
    fn entry(&mut self) -> Result<(Class, Option<Range<usize>>), ReadError> {
        self.whole.clear();
        let mut class = None;
        loop {
            self.offset += block_padding(self.offset) as u64;
            self.fill()?;
            let at = (self.offset - self.chunk_at) as usize;
            let offset = self.offset;
            let position = self.position();
            let damaged = |damage| ReadError::Damaged { position, damage };
            let fragment = read_fragment(&self.chunk[at..], offset).map_err(damaged)?;
            let (advance, part, length) = (fragment.advance, fragment.part, fragment.payload.len());
            let in_order = class.is_none() == matches!(part, Part::Full | Part::First)
                && class.is_none_or(|begun| begun == fragment.class);
            if !in_order {
                return Err(damaged(Damage::Order));
            }
            let begun = fragment.class;
            class = Some(begun);
            self.offset += advance as u64;
            let range = at + advance - length..at + advance;
            if part == Part::Full {
                return Ok((begun, Some(range)));
            }
            self.whole.extend_from_slice(&self.chunk[range]);
            if part == Part::Last {
                return Ok((begun, None));
            }
        }
    }

    /// Goes on to the next segment when this one has ended. False: it has not.
    fn advance_segment(&mut self) -> Result<bool, ReadError> {
        if self.next.is_none() && self.log.newest() > self.segment {
            self.next = self.log.segment_after(self.segment);
        }
        let Some((number, base)) = self.next else {
            return Ok(false);
        };
        let purged = Err(ReadError::Purged {
            position: self.position(),
        });
        if number != self.segment + 1 {
            // Where this one ended is told by its length alone.
            let segment = self.segment;
            let length = self.file.len();
            let length = length.map_err(|source| ReadError::Io { segment, source })?;
            return if self.offset < length {
                Ok(false)
            } else {
                purged
            };
        }
        if base > self.lsn() {
            return Ok(false);
        }
        let begin = Position {
            segment: number,
            offset: 0,
        };
        self.file = open_segment(&self.log, begin)?;
        self.segment = number;
        self.base = base;
        self.offset = 0;
        self.chunk.clear();
        self.chunk_at = 0;
        self.next = None;
        Ok(true)
    }

    /// Makes sure that the block at `offset` is in the chunk as far as the file goes.
    fn fill(&mut self) -> Result<(), ReadError> {
        let block = self.offset / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        let held_to = self.chunk_at + self.chunk.len() as u64;
        let whole_block = held_to >= block + BLOCK_BYTES as u64;
        if self.offset >= self.chunk_at
            && self.offset < held_to
            && (whole_block || self.holds_entry())
        {
            return Ok(());
        }
        self.chunk.resize(CHUNK_BYTES, 0);
        let count = self
            .file
            .read_at(block, &mut self.chunk)
            .map_err(|source| ReadError::Io {
                segment: self.segment,
                source,
            })?;
        self.chunk.truncate(count);
        self.chunk_at = block;
        if self.offset > block + count as u64 {
            return Err(ReadError::Damaged {
                position: self.position(),
                damage: Damage::Short,
            });
        }
        Ok(())
    }

    /// Whether the fragment at `offset` lies whole in the chunk.
    fn holds_entry(&self) -> bool {
        let at = (self.offset - self.chunk_at) as usize;
        let bytes = &self.chunk[at..];
        bytes.len() >= super::format::FRAGMENT_HEADER
            && bytes.len()
                >= super::format::FRAGMENT_HEADER
                    + usize::from(u16::from_le_bytes([bytes[4], bytes[5]]))
    }
}

fn open_segment(log: &Log, position: Position) -> Result<Arc<dyn DiskFile>, ReadError> {
    let segment = position.segment;
    log.open_segment(segment).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            ReadError::Purged { position }
        } else {
            ReadError::Io { segment, source }
        }
    })
}
