//! One file of the log: its name, its head and what is known of it without opening it.

use std::path::{Path, PathBuf};
use tandem_merge::codec::{DecodeError, Reader, put_varint};
use tandem_merge::{Origins, VersionVector};

/// Version of the segment format that this release writes.
pub(super) const FORMAT: u64 = 1;
const MAGIC: &[u8; 8] = b"TNDMLOG\n";

/// First entry of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    /// Number of the segment, from 1.
    pub number: u64,
    /// Lsn of the segment's first byte.
    pub base: u64,
    /// Origins by their numbers in this segment; later ones are announced before their first use.
    pub origins: Origins,
    /// What the log's database held when the segment began: where a receiver can start.
    pub vv: VersionVector,
}

impl SegmentHead {
    /// What is kept in memory of the segment.
    pub fn info(&self) -> SegmentInfo {
        SegmentInfo {
            number: self.number,
            base: self.base,
            vv: self.vv.clone(),
        }
    }

    /// Encoded form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_varint(&mut out, FORMAT);
        put_varint(&mut out, self.number);
        put_varint(&mut out, self.base);
        self.origins.encode(&mut out);
        self.vv.encode(&mut out);
        out
    }

    /// Reads a head. An unknown format is an error that names it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.bytes(MAGIC.len(), "segment magic")? != MAGIC {
            return Err(reader.error("segment magic"));
        }
        if reader.varint("segment format")? != FORMAT {
            return Err(reader.error("segment format 1 (a newer release wrote this log)"));
        }
        Ok(Self {
            number: reader.varint("segment number")?,
            base: reader.varint("segment base")?,
            origins: Origins::decode(&mut reader)?,
            vv: VersionVector::decode(&mut reader)?,
        })
    }
}

/// A place in the log as INFO shows it: segment number and byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in bytes.
    pub offset: u64,
}

/// A segment that exists on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Number, from 1.
    pub number: u64,
    /// Lsn of its first byte.
    pub base: u64,
    /// What the database held when it began.
    pub vv: VersionVector,
}

/// Path of a segment in the log's directory.
pub(super) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log.{number:010}"))
}

/// Number of a segment file; `None` for other files.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_prefix("log.")?
        .parse()
        .ok()
}
