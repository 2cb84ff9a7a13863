//! Varints and length-prefixed bytes, shared by records, effects and object encodings.
//!
//! Reading never panics: every shortage or overlong number is [`DecodeError`].

/// Bytes that do not decode: truncated, overlong or of an unknown tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed to decode {what} at byte {offset} from the end")]
pub struct DecodeError {
    /// What was being read.
    pub what: &'static str,
    /// Bytes that were left when it failed.
    pub offset: usize,
}

/// A cursor over encoded bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The error for a failure at this place.
    pub fn error(&self, what: &'static str) -> DecodeError {
        DecodeError {
            what,
            offset: self.rest.len(),
        }
    }

    /// Reads `count` bytes.
    #[inline]
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(count) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(self.error(what)),
        }
    }

    /// Reads one byte.
    #[inline]
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        match self.rest.split_first() {
            Some((first, tail)) => {
                self.rest = tail;
                Ok(*first)
            }
            None => Err(self.error(what)),
        }
    }

    /// Reads eight little-endian bytes.
    #[inline]
    pub fn fixed64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        match self.rest.split_first_chunk::<8>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(u64::from_le_bytes(*head))
            }
            None => Err(self.error(what)),
        }
    }

    /// Reads a LEB128 number of at most ten bytes.
    #[inline]
    pub fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        match self.rest.split_first() {
            Some((first, tail)) if *first < 0x80 => {
                self.rest = tail;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(what),
        }
    }

    fn long_varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            if shift == 63 && byte > 1 {
                return Err(self.error(what));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(what))
    }

    /// Reads a LEB128 number that must fit 32 bits.
    #[inline]
    pub fn varint32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let value = self.varint(what)?;
        u32::try_from(value).map_err(|_| self.error(what))
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub fn prefixed(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.varint(what)?;
        let count = usize::try_from(count).map_err(|_| self.error(what))?;
        self.bytes(count, what)
    }
}

/// Appends a LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length and the bytes.
#[inline]
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps a signed number to an unsigned one that is small when the magnitude is.
#[inline]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The reverse of [`zigzag`].
#[inline]
pub fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
