//! What background threads do: fsync, and upkeep (checkpoints, purging, eviction, sweeping, marks).

pub mod marks;
mod sweep;
mod sync;
pub mod upkeep;

pub use sweep::{Sweeper, Swept};
pub use sync::Syncer;
pub use upkeep::Upkeep;
