//! The reply scanner of the load generator: counts RESP2 replies of one level (lines, integers,
//! byte strings) without building them. One per connection; it keeps what is unfinished.

/// Longest line that is waited for: an error's text.
const LINE_BYTES_MAX: usize = 4 << 10;

/// What was seen of one connection's replies.
#[derive(Debug, Default)]
pub struct ReplyScanner {
    /// Bytes of a byte string, with its end of line, that are still to come.
    skip: usize,
    /// Start of a line whose end has not come.
    line: Vec<u8>,
    /// Null replies seen.
    pub nulls: u64,
}

/// A reply that no load expects.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScanError {
    /// The server answered with an error.
    #[error("the server answered `{text}`")]
    ErrorReply {
        /// The error's text.
        text: String,
    },
    /// The bytes are no reply of one level.
    #[error("unexpected reply line `{line}`")]
    UnexpectedReply {
        /// The line, up to its end.
        line: String,
    },
}

impl ReplyScanner {
    /// Takes in the next bytes; gives the number of replies that ended in them.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<u64, ScanError> {
        let mut replies = 0;
        loop {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                if self.skip > 0 {
                    return Ok(replies);
                }
                replies += 1;
            }
            while self.line.is_empty() && bytes.starts_with(b"+OK\r\n") {
                bytes = &bytes[5..];
                replies += 1;
            }
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                if self.line.len() > LINE_BYTES_MAX {
                    return Err(unexpected(&self.line));
                }
                return Ok(replies);
            };
            let (line, rest) = bytes.split_at(end + 1);
            bytes = rest;
            replies += if self.line.is_empty() {
                self.take_line(line)?
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole)?
            };
        }
    }

    /// Takes one whole line; gives 1 if it is a reply by itself.
    fn take_line(&mut self, line: &[u8]) -> Result<u64, ScanError> {
        match *line {
            [b'+' | b':', .., b'\r', b'\n'] => Ok(1),
            [b'$', b'-', b'1', b'\r', b'\n'] => {
                self.nulls += 1;
                Ok(1)
            }
            [b'$', ref digits @ .., b'\r', b'\n'] => {
                let length = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let length: usize = length.ok_or_else(|| unexpected(line))?;
                self.skip = length + 2;
                Ok(0)
            }
            [b'-', ref text @ ..] => Err(ScanError::ErrorReply {
                text: String::from_utf8_lossy(text).trim_end().to_owned(),
            }),
            _ => Err(unexpected(line)),
        }
    }
}

fn unexpected(line: &[u8]) -> ScanError {
    ScanError::UnexpectedReply {
        line: String::from_utf8_lossy(line).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"+OK\r\n:12\r\n$3\r\na\nb\r\n$-1\r\n$0\r\n\r\n+PONG\r\n+OK\r\n";

    #[test]
    fn replies_are_counted_wherever_the_stream_is_cut() {
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let mut scanner = ReplyScanner::default();
                let parts = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                let counts = parts.map(|part| scanner.feed(part).unwrap());
                assert_eq!(counts.iter().sum::<u64>(), 7, "cut at {first} and {second}");
                assert_eq!(scanner.nulls, 1);
            }
        }
    }

    #[test]
    fn error_reply_is_told_with_its_text() {
        let mut scanner = ReplyScanner::default();
        assert_eq!(scanner.feed(b"+OK\r\n-READONLY You"), Ok(1));
        let told = scanner.feed(b" can't\r\n").unwrap_err();
        let text = "READONLY You can't".to_owned();
        assert_eq!(told, ScanError::ErrorReply { text });
    }

    #[test]
    fn aggregate_is_refused() {
        assert!(ReplyScanner::default().feed(b"*1\r\n").is_err());
    }
}
