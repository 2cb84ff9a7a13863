//! The server process: listeners, sessions, links, INFO.

pub mod boot;
mod caller;
pub mod clients;
pub mod config;
pub mod dispatch;
pub mod failover;
pub mod handover;
pub mod info;
pub mod instance;
pub mod io;
mod keeper;
pub mod links;
mod memory;
pub mod meta;
mod monitor;
pub mod report;
pub mod server;
pub mod session;
pub mod slowlog;
pub mod start;
pub mod stats;
pub mod tasks;

/// Runs `tandem server` with the words behind that; returns when the server has stopped.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    start::run(args)
}
