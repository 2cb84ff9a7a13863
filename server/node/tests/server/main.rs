//! The server, started in this process and asked over its sockets.

#![expect(clippy::panic, reason = "what cannot go on fails the test")]

mod basics;
mod commands;
mod failover;
mod info;
mod large;
mod monitor;
mod pair;
mod passwords;
mod replicas;
mod restart;
mod support;
mod upkeep;
