//! What a record's writer had seen: the context that decides which dots an effect takes away.

use crate::origin::{Dot, OriginIndex};
use crate::vv::VersionVector;

/// What a record's writer had seen.
#[derive(Debug, Clone, Copy)]
pub enum Context<'a> {
    /// Covers every dot there is: a local write, or a receiver whose whole version vector the
    /// context covers. The blind, fast case.
    Everything,
    /// The context vector, with the origin's own past implicit.
    Of {
        /// Rows of all origins but the writer's own.
        vector: &'a VersionVector,
        /// The writer.
        origin: OriginIndex,
        /// The record's sequence: the writer had seen its own writes below it.
        before: u64,
    },
}

impl Context<'_> {
    /// Whether the writer had seen this write.
    #[inline]
    pub fn covers(&self, dot: Dot) -> bool {
        match self {
            Self::Everything => true,
            Self::Of {
                vector,
                origin,
                before,
            } => {
                if dot.origin == *origin {
                    dot.sequence < *before
                } else {
                    vector.covers(dot)
                }
            }
        }
    }
}
