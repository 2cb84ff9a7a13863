//! The shell of the operator: input and output only.
//!
//! ```text
//! watch event ─▶ observe ─▶ plan ─▶ claim ─▶ act ─▶ status
//!                I/O        PURE    CAS      I/O    one write
//! ```
//!
//! Decisions are made in `tandem-plan`; what differs between machines stands behind [`runtime::Runtime`].

pub mod act;
pub mod clock;
pub mod crds;
pub mod error;
pub mod instance_client;
pub mod journal;
pub mod local;
pub mod manifest;
pub mod observe;
pub mod operator;
pub mod plugin;
pub mod reconcile;
pub mod runtime;
mod signals;
pub mod status;
pub mod telemetry;
pub mod view;
