//! The local runtime: instances are child processes on this host, claims are files, services are TCP
//! fronts on loopback.

mod adopt;
mod args;
mod atomic;
mod child;
mod claims;
mod directory;
mod front;
mod layout;
mod listen;
mod machine;
mod ports;
mod proc_table;
mod secret;
mod state;

pub use atomic::{Durable, write_atomically};
pub use claims::ClaimFiles;
pub use layout::Layout;
pub use machine::{Opened, Options, ProcessRuntime};
pub use ports::Ports;
pub use proc_table::{ProcessId, SESSION_VARIABLE, enter_own_session};
pub use secret::{random_password, read_password};
pub use state::{PublishedStatus, State};
