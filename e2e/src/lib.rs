//! Stories, benchmarks and external checks.
//!
//! ```text
//! process   child processes and scratch directories that never outlive the program
//! client    a blocking client, for control commands and checks
//! story     what acceptance stories are made of: instances, local runtimes, proxies, a ledger
//! cluster   a Kubernetes for stories, and what can be broken in it
//! scale     many resources at once, whose instances are played
//! bench     Redis and Tandem side by side, and one table of ratios
//! tidy      the house rules, checked over the workspace's sources
//! ```

pub mod bench;
pub mod client;
pub mod cluster;
pub mod process;
pub mod scale;
pub mod story;
pub mod tidy;
