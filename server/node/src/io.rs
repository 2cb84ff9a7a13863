//! Client connections: I/O threads with an event loop each, run to completion.
//!
//! ```text
//! a turn:  poll ─▶ read ─▶ parse ─▶ dispatch … (every readable connection)
//!               ─▶ log.flush once for all writes of the turn ─▶ write replies
//! ```
//!
//! No command awaits anything. What takes time (WAIT, SLAVEOF, PROMOTE) runs elsewhere and posts its
//! reply to the worker, while the connection takes no further input.

mod acceptor;
mod batch;
mod connection;
mod inbox;
mod turn;
mod worker;

pub use acceptor::Acceptor;
pub use inbox::{Inbox, Post, Ticket};
pub use turn::{Durability, Turn};
pub use worker::{Worker, mailbox};
