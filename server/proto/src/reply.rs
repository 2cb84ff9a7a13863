//! Replies: values straight into a connection's output buffer, in the protocol it speaks.
//!
//! RESP3 shapes are written for RESP2 as Redis writes them: map → flat array, set and push →
//! array, double and big number → bulk, boolean → 1 or 0, null → `$-1`.

use std::fmt;

use crate::number;

/// The version of RESP that a connection speaks (`HELLO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Where every connection starts.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Writes reply values at the end of an output buffer. Aggregates write their head only; their
/// elements are the values written next.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Binds an output buffer to a protocol.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// Writes in another protocol from here on: HELLO answers in the one it has chosen.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Gives the protocol it writes.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Gives the bytes of the buffer so far, those of earlier replies included.
    #[inline]
    pub fn written(&self) -> &[u8] {
        self.out
    }

    /// Takes back what was written beyond the first `length` bytes of the buffer.
    pub fn rewind(&mut self, length: usize) {
        self.out.truncate(length);
    }

    /// Appends bytes that are whole replies already.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// Writes `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// Writes `+text`. An end of line inside becomes a blank.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.line(text.as_bytes());
    }

    /// Writes `-text`; `text` begins with the error's code (`ERR`, `WRONGTYPE`, ...). An end of line
    /// inside becomes a blank.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        self.line(text.as_bytes());
    }

    /// Writes an error from format arguments, without a string in between. An end of line inside
    /// becomes a blank.
    pub fn error_display(&mut self, text: impl fmt::Display) {
        use std::io::Write as _;
        self.out.push(b'-');
        let start = self.out.len();
        write!(self.out, "{text}").expect("writing into a Vec cannot fail");
        blank_line_ends(&mut self.out[start..]);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes an integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.head(b':', value);
    }

    /// Writes a byte string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.head(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes an integer as a byte string, as the value of a counter is read.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Writes a float as a byte string, as `INCRBYFLOAT` answers.
    pub fn bulk_float(&mut self, value: f64) {
        let mut text = number::FloatText::new();
        self.bulk(text.stored(value));
    }

    /// Writes the absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Writes the absence of an array, as `EXEC` answers after a touched `WATCH`.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Begins an array of `count` values.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.head(b'*', count as i64);
    }

    /// Begins a map of `count` pairs: twice as many values follow.
    #[inline]
    pub fn map(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.head(b'*', count as i64 * 2),
            Protocol::Resp3 => self.head(b'%', count as i64),
        }
    }

    /// Begins a set of `count` values.
    pub fn set(&mut self, count: usize) {
        self.resp3_or_array(b'~', count);
    }

    /// Begins an out-of-band message of `count` values.
    pub fn push(&mut self, count: usize) {
        self.resp3_or_array(b'>', count);
    }

    /// Writes a float, by its shortest digits.
    pub fn double(&mut self, value: f64) {
        let mut text = number::FloatText::new();
        let text = text.exact(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Writes a truth value.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// Writes an integer of any size, given by its decimal digits.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.line(digits.as_bytes());
            }
        }
    }

    /// Writes text meant for a person, as `INFO` does. `format` is its kind: `txt` or `mkd`.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.head(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(&format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn resp3_or_array(&mut self, kind: u8, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.head(b'*', count as i64),
            Protocol::Resp3 => self.head(kind, count as i64),
        }
    }

    #[inline]
    fn head(&mut self, kind: u8, number: i64) {
        if let 0..=9 = number {
            self.out
                .extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
            return;
        }
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        self.out.push(kind);
        self.out.extend_from_slice(digits.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, text: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(text);
        blank_line_ends(&mut self.out[start..]);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// A line cannot hold the end of a line; Redis writes blanks there too.
fn blank_line_ends(text: &mut [u8]) {
    for byte in text {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Reply<'_>)) -> (String, String) {
        let one = |protocol| {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, protocol));
            String::from_utf8(out).unwrap()
        };
        (one(Protocol::Resp2), one(Protocol::Resp3))
    }

    #[track_caller]
    fn assert_both(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
        assert_eq!(both(write), (resp2.to_owned(), resp3.to_owned()));
    }

    #[test]
    fn shapes_that_both_protocols_share() {
        let same = |write: &dyn Fn(&mut Reply<'_>), bytes: &str| assert_both(write, bytes, bytes);
        same(&|r| r.ok(), "+OK\r\n");
        same(&|r| r.simple("QUEUED"), "+QUEUED\r\n");
        same(&|r| r.error("ERR a\r\nb"), "-ERR a  b\r\n");
        same(
            &|r| r.error_display(format_args!("ERR {}\n{}", 1, 2)),
            "-ERR 1 2\r\n",
        );
        same(&|r| r.integer(0), ":0\r\n");
        same(&|r| r.integer(9), ":9\r\n");
        same(&|r| r.integer(10), ":10\r\n");
        same(&|r| r.integer(-1), ":-1\r\n");
        same(&|r| r.integer(i64::MIN), ":-9223372036854775808\r\n");
        same(&|r| r.bulk(b""), "$0\r\n\r\n");
        same(&|r| r.bulk(b"hello\r\nworld"), "$12\r\nhello\r\nworld\r\n");
        same(&|r| r.bulk_integer(-12), "$3\r\n-12\r\n");
        same(&|r| r.bulk_float(0.1 + 0.2), "$3\r\n0.3\r\n");
        same(&|r| r.array(0), "*0\r\n");
        same(&|r| r.array(1000), "*1000\r\n");
    }

    #[test]
    fn resp3_shapes_degrade_as_redis_writes_them() {
        let nulls = |r: &mut Reply<'_>| {
            r.null();
            r.null_array();
        };
        assert_both(nulls, "$-1\r\n*-1\r\n", "_\r\n_\r\n");
        assert_both(|r| r.map(3), "*6\r\n", "%3\r\n");
        assert_both(|r| r.set(2), "*2\r\n", "~2\r\n");
        assert_both(|r| r.push(3), "*3\r\n", ">3\r\n");
        assert_both(|r| r.double(3.1), "$3\r\n3.1\r\n", ",3.1\r\n");
        assert_both(|r| r.double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
        assert_both(|r| r.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
        assert_both(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        assert_both(|r| r.boolean(false), ":0\r\n", "#f\r\n");
        assert_both(|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
        assert_both(
            |r| r.verbatim(*b"txt", b"a\nb"),
            "$3\r\na\nb\r\n",
            "=7\r\ntxt:a\nb\r\n",
        );
    }

    #[test]
    fn a_rewound_reply_leaves_the_earlier_ones() {
        let mut out = b"+OK\r\n".to_vec();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let before = reply.written().len();
        reply.array(3);
        reply.rewind(before);
        reply.null();
        assert_eq!(out, b"+OK\r\n$-1\r\n");
    }
}
