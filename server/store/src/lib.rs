//! Log, shards, trees, recovery and resync of the databases of one instance.

pub mod background;
pub mod cells;
pub mod counts;
pub mod database;
pub mod disk;
pub mod error;
pub mod hash;
pub mod log;
pub mod manifest;
pub mod prefetch;
pub mod resync;
pub mod shard;
mod span;
pub mod store;
pub mod tree;

pub use database::{Database, Locked, LockedKey, Options, Receipt};
pub use error::StoreError;
pub use store::Store;
