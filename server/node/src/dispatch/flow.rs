//! What a connection does after a command.

use std::pin::Pin;

/// A command that is carried out outside of the workers; gives the encoded reply.
pub type Job = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

/// What the connection does next.
pub enum Flow {
    /// Goes on.
    Next,
    /// Sends what there is and closes.
    Close,
    /// Waits for a job's reply.
    Elsewhere(Job),
    /// Nothing was done: the same command is run again once writes go on.
    Later,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Next => "Next",
            Self::Close => "Close",
            Self::Elsewhere(_) => "Elsewhere",
            Self::Later => "Later",
        })
    }
}
