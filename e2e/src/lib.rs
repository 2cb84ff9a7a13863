//! Stories, benchmarks and external checks.
//!
//! ```text
//! process   child processes and scratch directories that never outlive the program
//! client    a blocking client, for control commands and checks
//! bench     Redis and Tandem side by side, and one table of ratios
//! tidy      the house rules, checked over the workspace's sources
//! ```

pub mod bench;
pub mod client;
pub mod process;
pub mod tidy;
