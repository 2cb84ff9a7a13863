//! Bytes of a segment: blocks of 32 KiB with fragments, as leveldb's log has them.
//!
//! ```text
//! fragment = crc32c u32 | length u16 | kind u8 | payload          (little endian)
//! kind     = class (high nibble) | 1 full, 2 first, 3 middle, 4 last
//! ```
//!
//! The checksum covers kind and payload. A block's rest shorter than a fragment header is zeros.
//! Nothing crosses a block, so a reader that lost its place finds it again at the next block.

/// Size of a block in bytes.
pub const BLOCK_BYTES: usize = 32 << 10;
/// Bytes in front of each fragment's payload.
pub(super) const FRAGMENT_HEADER: usize = 7;
/// Where the kind stands in it, with which the checksum begins.
const KIND_AT: usize = 6;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A record of the merge model.
    Record,
    /// Head of a segment; its first entry.
    Head,
    /// Gives the next origin number: the encoded origin.
    Origin,
    /// Everything below this lsn (u64 LE) was durable when the mark was written.
    Mark,
}

impl Class {
    fn bits(self) -> u8 {
        match self {
            Self::Record => 0x10,
            Self::Head => 0x20,
            Self::Origin => 0x30,
            Self::Mark => 0x40,
        }
    }

    fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0xf0 {
            0x10 => Some(Self::Record),
            0x20 => Some(Self::Head),
            0x30 => Some(Self::Origin),
            0x40 => Some(Self::Mark),
            _ => None,
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What it is.
    pub class: Class,
    /// Lsn of its first byte.
    pub start: u64,
    /// Lsn behind it.
    pub end: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Which part of an entry a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole entry.
    Full,
    /// Its beginning.
    First,
    /// Neither beginning nor end.
    Middle,
    /// Its end.
    Last,
}

impl Part {
    fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0x0f {
            1 => Some(Self::Full),
            2 => Some(Self::First),
            3 => Some(Self::Middle),
            4 => Some(Self::Last),
            _ => None,
        }
    }
}

/// What is wrong with bytes that should be a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends inside the fragment, or zeros stand where one should begin.
    #[error("it ends in the middle of an entry")]
    Short,
    /// The checksum does not match.
    #[error("checksum mismatch, stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// What the fragment says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// Kind or length cannot be.
    #[error("impossible fragment header")]
    Header,
    /// A middle or last part without a first one, or a first one inside another entry.
    #[error("fragments out of order")]
    Order,
    /// A segment, or the end of one, does not exist.
    #[error("bytes are missing")]
    Missing,
    /// A whole record names an origin whose announcement was swallowed by damage before it.
    #[error("its origin was announced in a damaged place")]
    Unannounced,
}

/// Bytes of a mark, its fragment header included.
pub(super) const MARK_BYTES: usize = FRAGMENT_HEADER + 8;

/// The lsn of a mark that stands in these bytes whole; `None` when none does.
pub(super) fn read_mark(bytes: &[u8]) -> Option<u64> {
    let (head, payload) = bytes.split_first_chunk::<FRAGMENT_HEADER>()?;
    if head[4..] != [8, 0, Class::Mark.bits() | 1] {
        return None;
    }
    let payload: [u8; 8] = payload.first_chunk().copied()?;
    let computed = crc32c::crc32c_append(crc32c::crc32c(&[head[6]]), &payload);
    (computed.to_le_bytes() == head[..4]).then(|| u64::from_le_bytes(payload))
}

/// A fragment that checked out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    /// Class of its entry.
    pub(super) class: Class,
    /// Which part it is.
    pub(super) part: Part,
    /// Its bytes.
    pub(super) payload: &'a [u8],
    /// Bytes to go on by, from where the fragment began.
    pub(super) advance: usize,
}

/// Appends one entry in fragments. `offset` is the segment offset at which `out` goes on; the parts
/// are concatenated to the payload. Returns the offset behind the entry.
pub(super) fn append_entry(out: &mut Vec<u8>, offset: u64, class: Class, parts: [&[u8]; 2]) -> u64 {
    let total = parts[0].len() + parts[1].len();
    let room = BLOCK_BYTES - (offset as usize % BLOCK_BYTES);
    if total + FRAGMENT_HEADER <= room {
        let start = out.len();
        out.reserve(FRAGMENT_HEADER + total);
        let [low, high] = (total as u16).to_le_bytes();
        out.extend_from_slice(&[0, 0, 0, 0, low, high, class.bits() | 1]);
        out.extend_from_slice(parts[0]);
        out.extend_from_slice(parts[1]);
        // Kind and payload lie behind each other: one run of the checksum.
        let crc = crc32c::crc32c(&out[start + KIND_AT..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        return offset + (FRAGMENT_HEADER + total) as u64;
    }
    append_in_fragments(out, offset, class, parts)
}

#[cold]
fn append_in_fragments(out: &mut Vec<u8>, offset: u64, class: Class, parts: [&[u8]; 2]) -> u64 {
    let payload = parts.concat();
    let mut rest = payload.as_slice();
    let mut offset = offset;
    let mut first = true;
    loop {
        let room = BLOCK_BYTES - (offset as usize % BLOCK_BYTES);
        if room <= FRAGMENT_HEADER {
            out.resize(out.len() + room, 0);
            offset += room as u64;
            continue;
        }
        let take = rest.len().min(room - FRAGMENT_HEADER);
        let (head, tail) = rest.split_at(take);
        let part = match (first, tail.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let kind = class.bits() | part;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), head);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&(take as u16).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(head);
        offset += (FRAGMENT_HEADER + take) as u64;
        rest = tail;
        first = false;
        if rest.is_empty() {
            return offset;
        }
    }
}

/// Bytes to skip from this offset because no fragment can begin in the rest of the block.
pub(super) fn block_padding(offset: u64) -> usize {
    let room = BLOCK_BYTES - (offset as usize % BLOCK_BYTES);
    if room <= FRAGMENT_HEADER { room } else { 0 }
}

/// Reads the fragment at the start of `bytes`, which stand at `offset` of the segment.
pub(super) fn read_fragment(bytes: &[u8], offset: u64) -> Result<Fragment<'_>, Damage> {
    let Some((head, rest)) = bytes.split_first_chunk::<FRAGMENT_HEADER>() else {
        return Err(Damage::Short);
    };
    let stored = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
    let kind = head[6];
    if stored == 0 && length == 0 && kind == 0 {
        return Err(Damage::Short);
    }
    let room = BLOCK_BYTES - (offset as usize % BLOCK_BYTES);
    let (Some(class), Some(part)) = (Class::from_bits(kind), Part::from_bits(kind)) else {
        return Err(Damage::Header);
    };
    if FRAGMENT_HEADER + length > room {
        return Err(Damage::Header);
    }
    let payload = rest.get(..length).ok_or(Damage::Short)?;
    let computed = crc32c::crc32c(&bytes[KIND_AT..FRAGMENT_HEADER + length]);
    if computed != stored {
        return Err(Damage::Checksum { stored, computed });
    }
    Ok(Fragment {
        class,
        part,
        payload,
        advance: FRAGMENT_HEADER + length,
    })
}
