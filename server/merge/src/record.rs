//! The record: one command or transaction of one writer in one database, as it stands in the log
//! and on the wire (DESIGN.md section 2, rules 2 and 3).
//!
//! ```text
//! flags u8 | origin varint | sequence varint | stamp u64 LE | [gains] | [closes] | effects ...
//! ```
//!
//! Origin numbers are those of the segment's or link's table. Effects name origins in full, so that
//! they are copied unread when a receiver writes the record to its own log.

use crate::codec::{DecodeError, Reader, put_varint};
use crate::origin::{Origin, OriginIndex};
use crate::stamp::Stamp;
use crate::vv::{ORIGINS_MAX, Row, decode_row, encode_row};

/// Most bytes of a record's effects; a larger write is refused. A frame of a link holds it with its header.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

const SETTLED: u8 = 1;
const CLOSES: u8 = 2;
const GAINS: u8 = 4;
const WHOLE: u8 = 8;

/// What stands before the effects, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Who wrote it.
    pub origin: OriginIndex,
    /// Its place among that origin's records; from 1 without gaps.
    pub sequence: u64,
    /// When, by the writer's hybrid clock.
    pub stamp: Stamp,
    /// Rows the writer's context gained since its last record (its own row never among them).
    pub gains: Vec<(OriginIndex, Row)>,
    /// Whether `gains` is the whole context: so in an incarnation's first record.
    pub whole: bool,
    /// Whether the writer held all that any instance of its group holds (rule 10).
    pub settled: bool,
    /// Earlier lives of the writer's group that end here.
    pub closes: Vec<Origin>,
}

impl RecordHeader {
    /// A header without gains, as nearly all are.
    pub fn plain(origin: OriginIndex, sequence: u64, stamp: Stamp) -> Self {
        Self {
            origin,
            sequence,
            stamp,
            gains: Vec::new(),
            whole: false,
            settled: false,
            closes: Vec::new(),
        }
    }

    /// Appends the encoded header; the effects follow it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        if self.settled {
            flags |= SETTLED;
        }
        if !self.closes.is_empty() {
            flags |= CLOSES;
        }
        if !self.gains.is_empty() || self.whole {
            flags |= GAINS;
        }
        if self.whole {
            flags |= WHOLE;
        }
        encode_start(flags, self.origin, self.sequence, self.stamp, out);
        if flags & GAINS != 0 {
            put_varint(out, self.gains.len() as u64);
            for (origin, row) in &self.gains {
                put_varint(out, u64::from(origin.0));
                encode_row(row, out);
            }
        }
        if flags & CLOSES != 0 {
            put_varint(out, self.closes.len() as u64);
            for origin in &self.closes {
                origin.encode(out);
            }
        }
    }

    /// Reads a header and returns it with the encoded effects behind it.
    pub fn decode(record: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut reader = Reader::new(record);
        let flags = reader.byte("record flags")?;
        if flags & !(SETTLED | CLOSES | GAINS | WHOLE) != 0 {
            return Err(reader.error("record flags"));
        }
        let origin = origin_index(&mut reader)?;
        let sequence = reader.varint("sequence")?;
        if sequence == 0 {
            return Err(reader.error("sequence above zero"));
        }
        let stamp = reader.fixed64("stamp")?;
        let mut header = Self::plain(origin, sequence, stamp);
        header.settled = flags & SETTLED != 0;
        header.whole = flags & WHOLE != 0;
        if flags & GAINS != 0 {
            for _ in 0..reader.varint("gain count")? {
                let gained = origin_index(&mut reader)?;
                header.gains.push((gained, decode_row(&mut reader)?));
            }
        }
        if flags & CLOSES != 0 {
            for _ in 0..reader.varint("close count")? {
                header.closes.push(Origin::decode(&mut reader)?);
            }
        }
        Ok((header, reader.rest()))
    }
}

/// Appends the header of a record without gains and closes: the hot path of a local write.
#[inline]
pub fn encode_plain(origin: OriginIndex, sequence: u64, stamp: Stamp, out: &mut Vec<u8>) {
    encode_start(0, origin, sequence, stamp, out);
}

#[inline]
fn encode_start(flags: u8, origin: OriginIndex, sequence: u64, stamp: Stamp, out: &mut Vec<u8>) {
    out.push(flags);
    put_varint(out, u64::from(origin.0));
    put_varint(out, sequence);
    out.extend_from_slice(&stamp.to_le_bytes());
}

/// Reads origin and sequence only: what a sender needs to decide whether a receiver holds it.
#[inline]
pub fn peek(record: &[u8]) -> Result<(OriginIndex, u64), DecodeError> {
    let mut reader = Reader::new(record);
    reader.byte("record flags")?;
    let origin = origin_index(&mut reader)?;
    Ok((origin, reader.varint("sequence")?))
}

fn origin_index(reader: &mut Reader<'_>) -> Result<OriginIndex, DecodeError> {
    let index = reader.varint32("origin index")?;
    if index > ORIGINS_MAX {
        return Err(reader.error("origin index within bounds"));
    }
    Ok(OriginIndex(index))
}
