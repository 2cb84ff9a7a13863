//! Walking over the bytes of a segment: entries in order, damage, and the next place to go on.

use super::format::{
    BLOCK_BYTES, Class, Damage, FRAGMENT_HEADER, MARK_BYTES, Part, block_padding, read_fragment,
    read_mark,
};
use std::ops::Range;

/// A segment's bytes and how far they have been read.
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    /// Offset of the next entry.
    pub(super) offset: u64,
    whole: Vec<u8>,
}

/// An entry under the cursor: class, offset of its first byte, and where its payload stands (empty:
/// it was put together from fragments).
pub(super) type Found = (Class, u64, Range<usize>);

impl<'b> Cursor<'b> {
    /// At the beginning of a segment.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            whole: Vec::new(),
        }
    }

    /// The payload of the entry that [`next`](Self::next) gave last.
    pub(super) fn payload(&self, range: &Range<usize>) -> &[u8] {
        if range.is_empty() {
            &self.whole
        } else {
            self.bytes.get(range.clone()).unwrap_or_default()
        }
    }

    /// Offset behind the last byte.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Damage> {
        let start = self.offset;
        self.whole.clear();
        let mut class: Option<Class> = None;
        let mut offset = self.offset;
        if offset as usize >= self.bytes.len() {
            return Ok(None);
        }
        loop {
            let padding = block_padding(offset);
            let at = offset as usize + padding;
            if at >= self.bytes.len() {
                return if class.is_none() && at == self.bytes.len() {
                    self.offset = at as u64;
                    Ok(None)
                } else {
                    Err(Damage::Short)
                };
            }
            offset += padding as u64;
            let fragment = read_fragment(&self.bytes[at..], offset)?;
            let opens = matches!(fragment.part, Part::Full | Part::First);
            if opens != class.is_none() || class.is_some_and(|begun| begun != fragment.class) {
                return Err(Damage::Order);
            }
            class = Some(fragment.class);
            offset += fragment.advance as u64;
            let end = at + fragment.advance;
            let range = end - fragment.payload.len()..end;
            match fragment.part {
                Part::Full => {
                    self.offset = offset;
                    self.whole.clear();
                    return Ok(Some((fragment.class, start, range)));
                }
                Part::Last => {
                    self.whole.extend_from_slice(fragment.payload);
                    self.offset = offset;
                    return Ok(Some((fragment.class, start, 0..0)));
                }
                Part::First | Part::Middle => self.whole.extend_from_slice(fragment.payload),
            }
        }
    }

    /// Goes to the next entry behind the damage; false at the end. A damaged fragment's length is
    /// believed when a whole fragment stands behind it; else the next block is the place to go on.
    /// Nothing in between is looked at: a value may hold bytes that look like an entry.
    pub(super) fn resync(&mut self) -> bool {
        let mut offset = self.offset;
        loop {
            offset += block_padding(offset) as u64;
            let Some(bytes) = self.bytes.get(offset as usize..).filter(|b| !b.is_empty()) else {
                return false;
            };
            if let Ok(fragment) = read_fragment(bytes, offset) {
                let opens = matches!(fragment.part, Part::Full | Part::First);
                if opens && offset > self.offset {
                    self.offset = offset;
                    return true;
                }
                offset += fragment.advance as u64;
            } else {
                let next_block = (offset / BLOCK_BYTES as u64 + 1) * BLOCK_BYTES as u64;
                offset = self.behind(offset).unwrap_or(next_block);
            }
        }
    }

    /// Where a damaged fragment ends by its own word, if a whole one begins there.
    fn behind(&self, offset: u64) -> Option<u64> {
        let head = self.bytes.get(offset as usize..)?;
        let (head, _) = head.split_first_chunk::<FRAGMENT_HEADER>()?;
        let length = u64::from(u16::from_le_bytes([head[4], head[5]]));
        let end = offset + FRAGMENT_HEADER as u64 + length;
        let is_inside = end / BLOCK_BYTES as u64 == offset / BLOCK_BYTES as u64;
        let bytes = self.bytes.get(end as usize..)?;
        (is_inside && read_fragment(bytes, end).is_ok()).then_some(end)
    }
}

/// Whether a mark in `bytes` behind `offset` says that something above `lsn` was durable. Looks at
/// every byte, since the damage may hide where entries begin; a value that looks like such a mark
/// turns a torn tail into a reported one, which loses nothing more.
pub(super) fn was_durable(bytes: &[u8], offset: u64, base: u64, lsn: u64) -> bool {
    let from = offset as usize + 1;
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(MARK_BYTES).enumerate().any(|(at, window)| {
        read_mark(window).is_some_and(|mark| mark > lsn && mark <= base + (from + at) as u64)
    })
}
