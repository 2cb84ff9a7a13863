//! The server, started in this process and asked over its sockets.

mod basics;
mod commands;
mod failover;
mod info;
mod pair;
mod replicas;
mod restart;
mod support;
mod upkeep;
