//! Replies as a client sees them: bytes to [`Value`], and commands to bytes. For tools, links'
//! control commands and tests; the server's own hot path never builds a `Value`.

mod decode;

pub use decode::{DEPTH_MAX, decode};

/// A reply of RESP2 or RESP3.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+text`
    Simple(String),
    /// `-CODE text`, or the RESP3 form with a length.
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$5`: a byte string.
    Bulk(Vec<u8>),
    /// `_`, `$-1` or `*-1`.
    Null,
    /// `*2`
    Array(Vec<Value>),
    /// `%1`: pairs in the order sent.
    Map(Vec<(Value, Value)>),
    /// `~2`: elements in the order sent.
    Set(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `(123`: decimal digits, perhaps with a sign.
    BigNumber(String),
    /// `=7`: text with its kind.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
    /// `>2`: an out-of-band message.
    Push(Vec<Value>),
}

impl Value {
    /// Gives the bytes of any kind of string; `None` for what is none, errors too.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) | Self::BigNumber(text) => Some(text.as_bytes()),
            Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// Gives any kind of string as text.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// Gives an integer, also one sent as a string.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Boolean(value) => Some((*value).into()),
            other => crate::number::parse_i64(other.as_bytes()?),
        }
    }

    /// Gives the error's text.
    pub fn as_error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// Gives the elements of an array, set or message.
    pub fn as_elements(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => Some(elements),
            _ => None,
        }
    }
}

/// Encodes a command as clients send it: an array of byte strings.
#[must_use]
pub fn encode_command<A: AsRef<[u8]>>(args: impl AsRef<[A]>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_command_into(args, &mut out);
    out
}

/// Appends a command as clients send it.
pub fn encode_command_into<A: AsRef<[u8]>>(args: impl AsRef<[A]>, out: &mut Vec<u8>) {
    let args = args.as_ref();
    let mut reply = crate::reply::Reply::new(out, crate::reply::Protocol::Resp2);
    reply.array(args.len());
    for arg in args {
        reply.bulk(arg.as_ref());
    }
}

#[cfg(test)]
mod tests;
