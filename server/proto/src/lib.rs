//! Redis protocol, command table and status types: bytes to values and back. Pure: no runtime, no
//! clock, no files.
//!
//! ```text
//! client bytes ─ resp ─▶ Args ─ command::lookup ─▶ CommandSpec ─ (execute) ─▶ reply ─▶ client bytes
//!                                                            reply bytes ─ value ─▶ Value   (tools, tests)
//! ```

pub mod command;
pub mod error;
pub mod glob;
pub mod number;
pub mod reply;
pub mod resp;
pub mod status;
pub mod value;
pub mod words;

pub use command::{CommandId, CommandSpec, Flags, Group};
pub use error::ProtocolError;
pub use reply::{Protocol, Reply};
pub use resp::{Args, ArgsView, Limits, Parsed, parse_command};
pub use value::Value;
