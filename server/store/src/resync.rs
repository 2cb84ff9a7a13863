//! Full resync while serving: a source scans its objects, a receiver builds a side tree of them and
//! switches to it (DESIGN.md section 4).
//!
//! ```text
//! source    begin: history H0, lsn L0 ─▶ chunks in order of the hash, each as of one moment ─▶ log from L0
//! receiver  floor = join(own history O0, H0)
//!           chunk ∪ own objects of the same range ─▶ one sorted run of a new tree          (old data serve)
//!           source's log from L0, own log from O0 ─▶ side cells over that tree
//!           side dirty ─▶ tree, manifest names it ─▶ pause, last own records, swap
//! ```
//!
//! A chunk is newer than the floor (a fuzzy cut). That is harmless: every record behind the floor is
//! applied once more, in causal order, and effects are absolute (rule 2). A crash at any point
//! leaves the manifest's tree, old or new, with the log that belongs to it.

mod image;
mod ingest;
mod intake;
mod packed;
mod room;
mod side;
mod source;
mod switch;
#[cfg(test)]
mod tests;

pub use intake::Intake;
pub use packed::{KeyState, PackedObjects, pack_object};
pub use source::{Chunk, Source};

/// What becomes of the receiver's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is merged with the source's (rule 6).
    Merge,
    /// It is given up for the source's.
    Replace,
}
