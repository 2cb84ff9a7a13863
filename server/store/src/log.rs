//! One database's log: the only durable record of its writes.
//!
//! ```text
//! lsn (bytes since the log began):   purged │ kept ........................ head
//!   base of oldest segment ≤ checkpoint ≤ durable ≤ written ≤ appended (= head)
//! ```
//!
//! `appended` is in memory, `written` was given to the kernel (survives kill -9, may be shipped and
//! answered under everysec), `durable` survives power loss (answered under always).

mod cursor;
mod format;
mod heads;
mod reader;
mod recover;
mod segment;
mod timing;
mod writer;

pub use format::{BLOCK_BYTES, Class, Damage, Entry};
pub use reader::{LogReader, ReadError};
pub use recover::{Corruption, Recovered, scan};
pub use segment::{Position, SegmentHead, SegmentInfo};
pub use timing::{BOUNDS_US, GROUPS, Timing};
pub use writer::{Frame, Log, LogError, LogOptions, Tail, is_want_of_space};
