//! What a run can find wrong.

use tandem_store::StoreError;
use tandem_store::log::{LogError, ReadError};

/// A broken promise: its class, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {text}")]
pub struct Failure {
    /// Which promise.
    pub class: &'static str,
    /// Who, where, how.
    pub text: String,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: &'static str, text: impl Into<String>) -> Self {
        Self {
            class,
            text: text.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new("store", error.to_string())
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::new("log", error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new("read", error.to_string())
    }
}
