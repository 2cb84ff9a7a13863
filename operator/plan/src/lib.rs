//! What should be done: pure planning for every kind.
//!
//! ```text
//! spec ── validate ──▶ Validated ┐
//!                     Observed  ─┼─▶ plan ─▶ Plan { claims, steps, services, status, events, waits_for }
//!                         now   ─┘
//! ```
//!
//! No client, no clock, no files, no async: everything that was seen comes in as plain values, with
//! ages instead of instants, and everything to be done goes out as plain values. The same input gives
//! the same plan. `group` is the one failover module, used by every kind.

pub mod claim;
pub mod detection;
pub mod double_master;
pub mod election;
pub mod events;
pub mod explanation;
pub mod failover_start;
pub mod group;
pub mod lifecycle;
pub mod observed;
pub mod outcome;
pub mod placement;
pub mod report;
pub mod request;
pub mod state;
pub mod step;
pub mod suffix;
pub mod timing;

pub use claim::Claim;
pub use observed::{Address, Answer, Attempt, InstanceObservation, Observed, Process, Retained};
pub use outcome::Plan;
pub use placement::Placement;
pub use request::{Reply, Request, RequestKind};
pub use step::{Resync, Step};
pub use timing::Timing;
