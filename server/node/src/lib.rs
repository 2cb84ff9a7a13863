//! The server process: listeners, sessions, links, INFO.

pub mod config;
pub mod instance;
pub mod meta;
