//! What can be wrong with bytes that claim to be RESP.

use thiserror::Error;

/// Bytes that break the protocol. The connection they came from cannot be read any further: where
/// the next request or reply begins is unknown.
///
/// The words of the request errors are Redis' own (`networking.c`), since client libraries and
/// people search for them; as a reply they stand behind the code `ERR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The count after `*` is no number, or beyond [`Limits::args_max`](crate::Limits::args_max).
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than a client may send before it has said who it is.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// An argument does not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*got))]
    ExpectedDollar {
        /// The byte that stands there.
        got: u8,
    },
    /// The length after `$` is no number, or beyond
    /// [`Limits::bulk_bytes_max`](crate::Limits::bulk_bytes_max).
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A longer argument than a client may send before it has said who it is.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An inline command without an end within
    /// [`Limits::inline_bytes_max`](crate::Limits::inline_bytes_max).
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// An inline command with a quote that is not closed, or closed in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// One request of 4 GiB or more, which argument ranges cannot describe.
    #[error("Protocol error: too big request")]
    RequestTooBig,
    /// A reply that begins with a byte no RESP type has.
    #[error("Protocol error: unknown reply type '{}'", char::from(*got))]
    UnknownReplyType {
        /// The byte that stands there.
        got: u8,
    },
    /// A reply whose length, count, number or mark cannot be read.
    #[error("Protocol error: malformed reply of type '{}'", char::from(*kind))]
    MalformedReply {
        /// The type byte of the reply at fault.
        kind: u8,
    },
    /// A reply nested deeper than the decoder follows.
    #[error("Protocol error: reply nested deeper than {depth_max} levels")]
    ReplyTooDeep {
        /// The bound.
        depth_max: usize,
    },
    /// A reply part longer than the decoder takes.
    #[error("Protocol error: reply part larger than {size_max}")]
    ReplyTooBig {
        /// The bound that was passed: bytes of a string or a line, or elements.
        size_max: usize,
    },
}
