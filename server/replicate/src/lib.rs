//! Link decisions: handshake, window, view, horizon, back-off, keepalive; events in, actions out.
//! Pure: no runtime, no clock, no files; time and randomness are arguments.
//!
//! ```text
//! receiver (dials)                          source
//!   Hello: who, what is held ──────────────▶ handshake::decide
//!   ◀───────────────────────────── Welcome: per database partial, full or refused
//!   ◀── Origins, Records, Head ───────────── the log, less what `view` says is held, within `window`
//!   Ack: applied, durable ─────────────────▶ view, window, horizon
//! ```

pub mod backoff;
pub mod handshake;
pub mod horizon;
pub mod keepalive;
pub mod message;
pub mod throttle;
pub mod view;
pub mod window;

pub use backoff::Backoff;
pub use handshake::{Decision, Local, Verdict};
pub use horizon::Horizon;
pub use keepalive::Keepalive;
pub use message::{Ack, FullMode, Hello, HelloDatabase, Message, Refusal, RefuseCode, Welcome};
pub use throttle::Throttle;
pub use view::View;
pub use window::Window;
