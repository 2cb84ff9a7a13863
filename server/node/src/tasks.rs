//! Background threads: fsync, and upkeep (checkpoints, purging, eviction, sweeping).

mod sync;
mod upkeep;

pub use sync::Syncer;
pub use upkeep::Upkeep;
