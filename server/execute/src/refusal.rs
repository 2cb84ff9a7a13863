//! Why a command is refused, in Redis' words: client libraries and people search for them.

use tandem_merge::AddError;
use thiserror::Error;

/// What a command function gives: it has written its one reply, or says why it refuses. A refusal
/// comes before the first byte of reply and before the first effect.
pub(crate) type Done = Result<(), Refusal>;

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// Options that do not exist, or not together.
    #[error("ERR syntax error")]
    Syntax,
    /// A count of arguments that the table does not tell, such as a field without value.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// An argument, or a stored string, that has to be an integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An integer argument beyond its bounds.
    #[error("ERR value is out of range, value must between {least} and {most}")]
    OutOfBounds {
        /// The lowest value allowed.
        least: i64,
        /// The highest value allowed.
        most: i64,
    },
    /// An integer argument that is too large for what is asked.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// An argument, or a stored string, that has to be a float.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// A stored field that has to be an integer.
    #[error("ERR hash value is not an integer")]
    FieldNotInteger,
    /// A stored field that has to be a float.
    #[error("ERR hash value is not a float")]
    FieldNotFloat,
    /// A float increment that is no finite number.
    #[error("ERR value is NaN or Infinity")]
    IncrementNotFinite,
    /// An integer sum beyond 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// A decrement that cannot be turned round.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// A float sum that is no finite number.
    #[error("ERR increment would produce NaN or Infinity")]
    NanOrInfinity,
    /// A time that is not ahead, or too far ahead to be counted.
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    /// NX next to XX, GT or LT.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpireConditions,
    /// GT next to LT.
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpireOrders,
    /// A string that would be longer than a client may send.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
    /// A negative offset.
    #[error("ERR offset is out of range")]
    Offset,
    /// A cursor that is no number.
    #[error("ERR invalid cursor")]
    Cursor,
    /// A key that has to exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// COPY of a key onto itself.
    #[error("ERR source and destination objects are the same")]
    SameKey,
    /// OBJECT FREQ, which needs what is not kept.
    #[error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    NoFrequency,
}

impl Refusal {
    /// Why an addition to a string was refused.
    pub(crate) fn of_string(error: AddError) -> Self {
        match error {
            AddError::WrongType => Self::WrongType,
            AddError::NotInteger => Self::NotInteger,
            AddError::NotFloat => Self::NotFloat,
            AddError::Overflow => Self::Overflow,
            AddError::NanOrInfinity => Self::NanOrInfinity,
        }
    }

    /// Why an addition to a field was refused.
    pub(crate) fn of_field(error: AddError) -> Self {
        match error {
            AddError::NotInteger => Self::FieldNotInteger,
            AddError::NotFloat => Self::FieldNotFloat,
            other => Self::of_string(other),
        }
    }
}
