//! What travels over a link, and its bytes.
//!
//! ```text
//! frame = length u32 LE | crc32c u32 LE | type u8 | body        (length and checksum: type and body)
//! ```
//!
//! Numbers of origins are the sender's own, per database; each side announces its table in the
//! handshake and goes on announcing with [`Message::Origins`] before the first use of a new number.

mod codec;
mod frame;
mod hello;
mod packed;

#[cfg(test)]
mod tests;

pub use frame::{FRAME_BYTES_MAX, FRAME_HEAD, FrameError, check_frame, frame_length};
pub use hello::{
    FullMode, Hello, HelloDatabase, Refusal, RefuseCode, Verdict, Welcome, WelcomeDatabase,
};
pub use packed::{PackedRecords, RecordsFrame};

use tandem_merge::{Origin, OriginIndex, VersionVector};

/// Version of the link protocol that this release speaks.
pub const FORMAT: u32 = 1;

/// Highest sequences of some origins, by the sender's numbers.
pub type Rows = Vec<(OriginIndex, u64)>;

/// How far a receiver has come in one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ack {
    /// Which database.
    pub database: u32,
    /// Rows of the receiver's vector that rose since its last ack.
    pub applied: Rows,
    /// Lsn of the source's log behind the last record that was applied or held.
    pub applied_lsn: u64,
    /// The same for what survives power loss at the receiver.
    pub durable_lsn: u64,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// First word of the side that dials.
    Hello(Box<Hello>),
    /// Answer to a hello that was accepted.
    Welcome(Box<Welcome>),
    /// Answer to a hello that was not; the connection ends.
    Refuse(Refusal),
    /// The sender's next origin numbers, from `first` on.
    Origins {
        /// Which database.
        database: u32,
        /// Number of the first one.
        first: u32,
        /// The origins.
        origins: Vec<Origin>,
    },
    /// Records of the source's log, in its order.
    Records {
        /// Which database.
        database: u32,
        /// Lsn of the source's log behind the last one.
        lsn: u64,
        /// [`PackedRecords`].
        packed: &'a [u8],
    },
    /// How far the source is: for lag, and so that skipped records are passed.
    Head {
        /// Which database.
        database: u32,
        /// Lsn up to which everything was sent or is held by the receiver.
        lsn: u64,
        /// Lsn behind the source's last record.
        head: u64,
        /// Rows of the source's vector that rose since the last head.
        rows: Rows,
    },
    /// How far the receiver is.
    Ack(Ack),
    /// Asks for a sign of life.
    Ping {
        /// The sender's clock, Unix milliseconds.
        clock_ms: u64,
    },
    /// The sign of life.
    Pong {
        /// The sender's clock.
        clock_ms: u64,
        /// The clock that the ping carried.
        asked_ms: u64,
    },
    /// A full resync of a database begins.
    FullBegin {
        /// Which database.
        database: u32,
        /// What becomes of the receiver's own state.
        mode: FullMode,
        /// Rough size of what comes.
        bytes: u64,
        /// The source's history at the start, encoded.
        history: &'a [u8],
    },
    /// The beginning of a slice that is too large for one frame; the rest follows.
    FullPart {
        /// Which database.
        database: u32,
        /// Bytes of the packed objects.
        packed: &'a [u8],
    },
    /// All objects with hashes in a range, as of one moment.
    FullSlice {
        /// Which database.
        database: u32,
        /// First hash.
        first: u64,
        /// Last hash, inclusive.
        last: u64,
        /// The source's vector at that moment.
        vv: VersionVector,
        /// Keys and states, one after the other, in the order of the hash; the store packs them.
        packed: &'a [u8],
    },
    /// The scan is complete; the log follows from the start on, until the vector is reached.
    FullEnd {
        /// Which database.
        database: u32,
        /// The source's vector when the scan ended: reached, the new state is whole.
        vv: VersionVector,
    },
    /// The receiver serves the new state.
    FullDone {
        /// Which database.
        database: u32,
        /// What it holds now, whole: by its own numbers.
        vv: VersionVector,
    },
    /// The sender ends the link.
    Bye {
        /// Why.
        reason: String,
    },
}

/// What can be wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Its bytes do not decode.
    #[error(transparent)]
    Decode(#[from] tandem_merge::DecodeError),
    /// It is of a type that this release does not know.
    #[error("unknown message type {0}; both sides must run releases that are at most one apart")]
    Type(u8),
}
