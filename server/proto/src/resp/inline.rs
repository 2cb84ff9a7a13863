//! Inline commands: what a person types into a bare TCP connection, a line of words.

use super::{Args, Limits, Parsed};
use crate::error::ProtocolError;
use crate::words;

pub(super) fn parse(buf: &[u8], limits: &Limits, args: &mut Args) -> Result<Parsed, ProtocolError> {
    // The line, its \r, its \n: no more than that is looked at.
    let seen = &buf[..buf.len().min(limits.inline_bytes_max.saturating_add(2))];
    let Some(newline) = seen.iter().position(|&byte| byte == b'\n') else {
        if seen.len() > limits.inline_bytes_max {
            return Err(ProtocolError::InlineTooBig);
        }
        return Ok(Parsed::Incomplete { need: 0 });
    };
    let line = &buf[..newline];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > limits.inline_bytes_max {
        return Err(ProtocolError::InlineTooBig);
    }
    args.is_inline = true;
    words::split(line, |word| {
        let start = args.side.len();
        args.side.extend_from_slice(word);
        args.ranges.push((start as u32, word.len() as u32));
    })?;
    if args.len() > limits.args_max {
        return Err(if limits.unauthenticated {
            ProtocolError::UnauthenticatedMultibulkLength
        } else {
            ProtocolError::InvalidMultibulkLength
        });
    }
    Ok(Parsed::Complete {
        consumed: newline + 1,
    })
}
