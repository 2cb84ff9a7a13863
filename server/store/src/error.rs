//! What the store can fail with.

use crate::log::LogError;
use crate::tree::TreeError;
use tandem_merge::codec::DecodeError;
use tandem_merge::history::Refused;
use tandem_merge::record::RECORD_BYTES_MAX;

/// An error of a database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The tree failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The log takes nothing.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Stored or received bytes do not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The instance is no writer now.
    #[error("this instance does not write")]
    NotWriter,
    /// A record that is larger than any receiver takes. Nothing was written.
    #[error(
        "this write is a record of {bytes} bytes, at most {RECORD_BYTES_MAX} are possible; write it in \
         several smaller commands or transactions"
    )]
    TooLarge {
        /// Of its effects.
        bytes: usize,
    },
    /// A record must not be applied; the link stops.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The operating system failed.
    #[error("failed to {verb}")]
    Io {
        /// What was being done.
        verb: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A full resync was refused or could not go on.
    #[error("{0}")]
    Resync(String),
}

impl StoreError {
    /// Wraps an operating system error.
    pub fn io(verb: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { verb, source }
    }
}
