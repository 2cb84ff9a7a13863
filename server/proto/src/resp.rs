//! Requests: RESP arrays of bulk strings and inline commands, from a connection's buffer to
//! argument ranges, without copying.
//!
//! The parser keeps nothing between calls: an unfinished request is parsed again from its first
//! byte. [`Parsed::Incomplete`] therefore names a lower bound of the bytes that are needed, so
//! that a caller who waits for them does linear work in all.

mod inline;

use crate::error::ProtocolError;

/// Shortest form of an argument on the wire: `$0\r\n\r\n`.
const ARGUMENT_BYTES_MIN: usize = 6;
/// Digits of a length or count that are looked at; the largest limit has fewer.
const HEADER_DIGITS_MAX: usize = 18;
/// Ranges reserved at once on the word of a header alone; more are added as the bytes come.
const RESERVE_MAX: usize = 1024;

/// Bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest argument in bytes, inclusive (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Most arguments, inclusive.
    pub args_max: usize,
    /// Longest inline command in bytes, without its end of line, inclusive.
    pub inline_bytes_max: usize,
    /// Whether the limits are those of a client that has yet to authenticate; picks the words of
    /// the errors.
    pub unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 << 20,
            args_max: 1 << 20,
            inline_bytes_max: 64 << 10,
            unauthenticated: false,
        }
    }
}

impl Limits {
    /// The limits of a client that has yet to authenticate: 10 arguments of 16 KiB, as in Redis.
    #[must_use]
    pub const fn unauthenticated() -> Self {
        Self {
            bulk_bytes_max: 16 << 10,
            args_max: 10,
            inline_bytes_max: 16 << 10,
            unauthenticated: true,
        }
    }
}

/// What a call of [`parse_command`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The request goes on beyond the buffer.
    Incomplete {
        /// Total bytes, from the start of the request, without which another call is useless; at
        /// most what the request will have. 0: unknown, try with any new byte.
        need: usize,
    },
    /// One request; the arguments are set. No arguments: an empty line or array, to be ignored.
    Complete {
        /// Bytes the request took.
        consumed: usize,
    },
}

/// The arguments of one request: ranges in the buffer it was parsed from. Made once and used
/// again, so that a warm one allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Args {
    /// (start, length) of each argument, in the buffer or in `side`.
    ranges: Vec<(u32, u32)>,
    /// Arguments of an inline command, unquoted.
    side: Vec<u8>,
    /// Whether the ranges speak of `side`.
    is_inline: bool,
}

impl Args {
    /// Makes an empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ranges: Vec::new(),
            side: Vec::new(),
            is_inline: false,
        }
    }

    /// Number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether the request was an empty line or array.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Gives argument `index`; 0 is the command's name. `buf` is the buffer that was parsed.
    ///
    /// # Panics
    /// If there is no such argument, or `buf` is another, shorter buffer.
    #[inline]
    pub fn get<'a>(&'a self, buf: &'a [u8], index: usize) -> &'a [u8] {
        self.view(buf).get(index)
    }

    /// Binds the ranges to the buffer that was parsed.
    #[inline]
    pub fn view<'a>(&'a self, buf: &'a [u8]) -> ArgsView<'a> {
        ArgsView {
            bytes: if self.is_inline { &self.side } else { buf },
            ranges: &self.ranges,
        }
    }

    /// Forgets the arguments; the memory stays.
    #[inline]
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.side.clear();
        self.is_inline = false;
    }

    /// Gives memory beyond `args_max` arguments and `side_bytes_max` bytes back, after an
    /// unusually large request.
    pub fn shrink(&mut self, args_max: usize, side_bytes_max: usize) {
        self.ranges.shrink_to(args_max);
        self.side.shrink_to(side_bytes_max);
    }
}

/// The arguments of one request, readable.
#[derive(Debug, Clone, Copy)]
pub struct ArgsView<'a> {
    bytes: &'a [u8],
    ranges: &'a [(u32, u32)],
}

impl<'a> ArgsView<'a> {
    /// Number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no argument.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Gives argument `index`; 0 is the command's name.
    ///
    /// # Panics
    /// If there is no such argument.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let (start, length) = self.ranges[index];
        &self.bytes[start as usize..start as usize + length as usize]
    }

    /// Gives all arguments in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let bytes = self.bytes;
        self.ranges
            .iter()
            .map(move |&(start, length)| &bytes[start as usize..start as usize + length as usize])
    }
}

/// Parses the request at the start of `buf` into `args`.
///
/// After an error `args` is of no use, and neither is the rest of the connection.
#[inline]
pub fn parse_command(
    buf: &[u8],
    limits: &Limits,
    args: &mut Args,
) -> Result<Parsed, ProtocolError> {
    args.clear();
    match buf.first() {
        None => Ok(Parsed::Incomplete { need: 1 }),
        Some(b'*') => parse_array(buf, limits, args),
        Some(_) => inline::parse(buf, limits, args),
    }
}

fn parse_array(buf: &[u8], limits: &Limits, args: &mut Args) -> Result<Parsed, ProtocolError> {
    let (count, mut at) = match header(buf, 1) {
        Header::Value { value, next } if value <= limits.args_max => (value, next),
        Header::Negative { next } => return Ok(Parsed::Complete { consumed: next }),
        Header::Incomplete => {
            return Ok(Parsed::Incomplete {
                need: buf.len() + 1,
            });
        }
        Header::Value { .. } if limits.unauthenticated => {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        Header::Value { .. } | Header::Invalid => {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
    };
    args.ranges.reserve(count.min(RESERVE_MAX));
    for following in (0..count).rev() {
        match buf.get(at) {
            Some(b'$') => {}
            None => return incomplete(at + (following + 1) * ARGUMENT_BYTES_MIN),
            Some(&got) => return Err(ProtocolError::ExpectedDollar { got }),
        }
        let (length, start) = match header(buf, at + 1) {
            Header::Value { value, next } if value <= limits.bulk_bytes_max => (value, next),
            Header::Incomplete => {
                return incomplete((at + (following + 1) * ARGUMENT_BYTES_MIN).max(buf.len() + 1));
            }
            Header::Value { .. } if limits.unauthenticated => {
                return Err(ProtocolError::UnauthenticatedBulkLength);
            }
            Header::Value { .. } | Header::Negative { .. } | Header::Invalid => {
                return Err(ProtocolError::InvalidBulkLength);
            }
        };
        // NOTE: as in Redis, the two bytes behind an argument are skipped, not compared with \r\n.
        let end = start + length + 2;
        if end > buf.len() {
            return incomplete(end + following * ARGUMENT_BYTES_MIN);
        }
        if end > u32::MAX as usize {
            return Err(ProtocolError::RequestTooBig);
        }
        args.ranges.push((start as u32, length as u32));
        at = end;
    }
    Ok(Parsed::Complete { consumed: at })
}

#[cold]
fn incomplete(need: usize) -> Result<Parsed, ProtocolError> {
    if need > u32::MAX as usize {
        return Err(ProtocolError::RequestTooBig);
    }
    Ok(Parsed::Incomplete { need })
}

/// A count or length up to its end of line.
enum Header {
    Value { value: usize, next: usize },
    Negative { next: usize },
    Incomplete,
    Invalid,
}

/// Reads the number that starts at `at`, as strictly as Redis' `string2ll`: no plus, no blank, no
/// leading zero.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "two calls, both in the loop that every request runs"
)]
fn header(buf: &[u8], at: usize) -> Header {
    let mut value = 0usize;
    let mut next = at;
    loop {
        let Some(&byte) = buf.get(next) else {
            return Header::Incomplete;
        };
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value.wrapping_mul(10).wrapping_add(usize::from(digit));
            next += 1;
            if next - at > HEADER_DIGITS_MAX {
                return Header::Invalid;
            }
            continue;
        }
        if byte != b'\r' || next == at {
            return negative(buf, at);
        }
        if buf[at] == b'0' && next - at > 1 {
            return Header::Invalid;
        }
        return match buf.get(next + 1) {
            Some(b'\n') => Header::Value {
                value,
                next: next + 2,
            },
            None => Header::Incomplete,
            Some(_) => Header::Invalid,
        };
    }
}

#[cold]
fn negative(buf: &[u8], at: usize) -> Header {
    if buf.get(at) != Some(&b'-') {
        return Header::Invalid;
    }
    match buf.get(at + 1) {
        None => return Header::Incomplete,
        Some(b'1'..=b'9') => {}
        Some(_) => return Header::Invalid,
    }
    match header_digits(buf, at + 1) {
        Some(end) if end - at > HEADER_DIGITS_MAX => Header::Invalid,
        None => Header::Incomplete,
        Some(end) => match (buf[end], buf.get(end + 1)) {
            (b'\r', Some(b'\n')) => Header::Negative { next: end + 2 },
            (b'\r', None) => Header::Incomplete,
            _ => Header::Invalid,
        },
    }
}

/// Gives the place of the first byte from `at` that is no digit.
fn header_digits(buf: &[u8], at: usize) -> Option<usize> {
    let length = buf[at..]
        .iter()
        .take(HEADER_DIGITS_MAX + 1)
        .position(|b| !b.is_ascii_digit());
    match length {
        Some(length) => Some(at + length),
        None if buf.len() - at > HEADER_DIGITS_MAX => Some(at + HEADER_DIGITS_MAX),
        None => None,
    }
}

#[cfg(test)]
mod tests;
