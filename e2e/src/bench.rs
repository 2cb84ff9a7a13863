//! Redis and Tandem side by side on one machine, and one table of ratios. It measures and never
//! asserts a time; a reply that is an error ends the section with the error's text.
//!
//! ```text
//! server (start, kill, memory)   request (bytes) ─▶ load (epoll loop) ◀─ scan (replies)
//!      └───────────── throughput · memory · lag · resync · restart ─────────────┘
//!                                       └▶ table
//! ```

pub mod check;
pub mod cores;
pub mod host;
pub mod lag;
pub mod load;
pub mod memory;
pub mod reference;
pub mod request;
pub mod restart;
pub mod resync;
pub mod scan;
pub mod server;
pub mod settings;
pub mod table;
pub mod throughput;
pub mod usage;

pub use settings::{Section, Settings};
