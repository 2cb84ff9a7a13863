//! House rules as an ordinary test: reads the workspace's sources and says what breaks a rule. It
//! never writes; `cargo fmt` and `tandem crds` do.
//!
//! ```text
//! source (text ─▶ code without comments, strings and tests)
//!    ├─ shape      head, width, length, no mod.rs, no orphan
//!    ├─ words      banned names, open ends without an issue
//!    ├─ calls      pure crates touch no system; the store's files have one door
//!    ├─ modules ─▶ cycles     imports between the files of a crate
//!    ├─ borders    which crate may use which, and what pure crates may depend on
//!    └─ links      documents name files that exist
//! exceptions      what is let off, why, and so that the list can only shrink
//! ```

pub mod borders;
pub mod calls;
pub mod cycles;
pub mod exceptions;
mod lexer;
pub mod links;
pub mod modules;
pub mod shape;
pub mod source;
pub mod words;

pub use cycles::Upward;
pub use exceptions::{Exception, settle};
pub use source::{Finding, Source};
