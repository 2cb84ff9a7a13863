//! The reply decoder. It keeps nothing between calls; an unfinished reply is measured, not built,
//! so that a call with too few bytes allocates nothing.

use super::Value;
use crate::error::ProtocolError;
use crate::number::{parse_f64, parse_i64};

/// Deepest nesting that is followed.
pub const DEPTH_MAX: usize = 64;
/// Longest byte string, inclusive.
const BULK_BYTES_MAX: usize = 1 << 30;
/// Most elements of one aggregate, inclusive; a pair of a map counts as two.
const ELEMENTS_MAX: usize = 64 << 20;
/// Longest line, inclusive: heads, simple strings, errors.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Decodes the reply at the start of `bytes`; gives it with the bytes it took, or `None` if it goes
/// on beyond them. Attributes are skipped.
pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
    let Some(length) = measure(bytes)? else {
        return Ok(None);
    };
    let mut cursor = Cursor {
        bytes: &bytes[..length],
        at: 0,
    };
    Ok(cursor.value(0)?.map(|value| (value, length)))
}

/// Gives the length of the reply at the start of `bytes` if all of it is there.
fn measure(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let mut cursor = Cursor { bytes, at: 0 };
    // Values still to come, per level.
    let mut open: Vec<usize> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let Some(head) = cursor.head()? else {
            return Ok(None);
        };
        let (inside, after) = match head {
            Head::Bulk { length, .. } => {
                if cursor.take_bulk(length).is_none() {
                    return Ok(None);
                }
                (0, 0)
            }
            Head::Aggregate { kind: b'|', values } => (values, 1),
            Head::Aggregate { values, .. } => (values, 0),
            Head::Null | Head::Line { .. } => (0, 0),
        };
        *left += after;
        if inside > 0 {
            open.push(inside);
            if open.len() > DEPTH_MAX + 1 {
                return Err(ProtocolError::ReplyTooDeep {
                    depth_max: DEPTH_MAX,
                });
            }
        }
    }
    Ok(Some(cursor.at))
}

/// The first line of a value.
enum Head<'a> {
    /// The whole value.
    Line { kind: u8, text: &'a [u8] },
    /// So many bytes follow, and an end of line.
    Bulk { kind: u8, length: usize },
    /// So many values follow.
    Aggregate { kind: u8, values: usize },
    /// RESP2's `-1` in place of a length or count.
    Null,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn head(&mut self) -> Result<Option<Head<'a>>, ProtocolError> {
        let Some(&kind) = self.bytes.get(self.at) else {
            return Ok(None);
        };
        if !b"+-:$*_%~,#(=>!|".contains(&kind) {
            return Err(ProtocolError::UnknownReplyType { got: kind });
        }
        let rest = &self.bytes[self.at + 1..];
        let seen = &rest[..rest.len().min(LINE_BYTES_MAX + 2)];
        let Some(end) = seen.iter().position(|&byte| byte == b'\n') else {
            if seen.len() > LINE_BYTES_MAX + 1 {
                return Err(ProtocolError::ReplyTooBig {
                    size_max: LINE_BYTES_MAX,
                });
            }
            return Ok(None);
        };
        let malformed = ProtocolError::MalformedReply { kind };
        let text = rest[..end].strip_suffix(b"\r").ok_or(malformed)?;
        self.at += end + 2;
        let bounded = |number: i64, size_max: usize| match usize::try_from(number) {
            Ok(size) if size <= size_max => Ok(size),
            Ok(_) => Err(ProtocolError::ReplyTooBig { size_max }),
            Err(_) => Err(malformed),
        };
        Ok(Some(match kind {
            b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                let number = parse_i64(text).ok_or(malformed)?;
                match kind {
                    b'$' | b'*' if number == -1 => Head::Null,
                    b'$' | b'=' | b'!' => Head::Bulk {
                        kind,
                        length: bounded(number, BULK_BYTES_MAX)?,
                    },
                    b'%' | b'|' => Head::Aggregate {
                        kind,
                        values: bounded(number, ELEMENTS_MAX / 2)? * 2,
                    },
                    _ => Head::Aggregate {
                        kind,
                        values: bounded(number, ELEMENTS_MAX)?,
                    },
                }
            }
            _ => Head::Line { kind, text },
        }))
    }

    fn take_bulk(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at + length;
        if self.bytes.len() < end + 2 {
            return None;
        }
        let bulk = &self.bytes[self.at..end];
        self.at = end + 2;
        Some(bulk)
    }

    fn value(&mut self, depth: usize) -> Result<Option<Value>, ProtocolError> {
        if depth > DEPTH_MAX {
            return Err(ProtocolError::ReplyTooDeep {
                depth_max: DEPTH_MAX,
            });
        }
        loop {
            return match self.head()? {
                None => Ok(None),
                Some(Head::Null) => Ok(Some(Value::Null)),
                Some(Head::Line { kind, text }) => line_value(kind, text).map(Some),
                Some(Head::Bulk { kind, length }) => match self.take_bulk(length) {
                    None => Ok(None),
                    Some(bytes) => bulk_value(kind, bytes).map(Some),
                },
                Some(Head::Aggregate { kind, values }) => {
                    let Some(elements) = self.elements(values, depth + 1)? else {
                        return Ok(None);
                    };
                    match kind {
                        b'|' => continue,
                        b'%' => Ok(Some(Value::Map(pairs(elements)))),
                        b'~' => Ok(Some(Value::Set(elements))),
                        b'>' => Ok(Some(Value::Push(elements))),
                        _ => Ok(Some(Value::Array(elements))),
                    }
                }
            };
        }
    }

    fn elements(
        &mut self,
        count: usize,
        depth: usize,
    ) -> Result<Option<Vec<Value>>, ProtocolError> {
        // Measured before: so many values are really there, each of three bytes or more.
        let mut elements = Vec::with_capacity(count.min(self.bytes.len() / 3));
        for _ in 0..count {
            let Some(value) = self.value(depth)? else {
                return Ok(None);
            };
            elements.push(value);
        }
        Ok(Some(elements))
    }
}

fn line_value(kind: u8, text: &[u8]) -> Result<Value, ProtocolError> {
    let malformed = ProtocolError::MalformedReply { kind };
    let lossy = || String::from_utf8_lossy(text).into_owned();
    match (kind, text) {
        (b'+', _) => Ok(Value::Simple(lossy())),
        (b'-', _) => Ok(Value::Error(lossy())),
        (b':', _) => {
            let number = text.strip_prefix(b"+").unwrap_or(text);
            parse_i64(number).map(Value::Integer).ok_or(malformed)
        }
        (b'_', b"") => Ok(Value::Null),
        (b'#', b"t") => Ok(Value::Boolean(true)),
        (b'#', b"f") => Ok(Value::Boolean(false)),
        (b',', b"nan" | b"-nan") => Ok(Value::Double(f64::NAN)),
        (b',', _) => parse_f64(text).map(Value::Double).ok_or(malformed),
        (b'(', [b'0'..=b'9', digits @ ..] | [b'-' | b'+', b'0'..=b'9', digits @ ..])
            if digits.iter().all(u8::is_ascii_digit) =>
        {
            Ok(Value::BigNumber(lossy()))
        }
        _ => Err(malformed),
    }
}

fn bulk_value(kind: u8, bytes: &[u8]) -> Result<Value, ProtocolError> {
    match (kind, bytes) {
        (b'!', _) => Ok(Value::Error(String::from_utf8_lossy(bytes).into_owned())),
        (b'=', &[a, b, c, b':', ref text @ ..]) => Ok(Value::Verbatim {
            format: [a, b, c],
            text: text.to_vec(),
        }),
        (b'=', _) => Err(ProtocolError::MalformedReply { kind }),
        _ => Ok(Value::Bulk(bytes.to_vec())),
    }
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}
