//! One group's failover: who is its primary, and what brings the rest of it behind that one.
//!
//! ```text
//!                 no claim                     claimed, not open
//!   Assembling ────────────▶ Opening ◀───────────────────────────┐
//!       ▲                       │ promoted                       │ claim epoch + 1
//!       │ restarted, no role    ▼          silence     vote      │
//!       └─────────────────── Serving ─────▶ Suspect ───────▶ dead, a candidate
//!                               ▲              │             dead, nobody (yet): Lost ─▶ restart
//!                               └──────────────┘ heard again
//! ```
//!
//! Invariants, each with its why:
//! - a promotion is planned only under a claim of exactly its epoch and instance, which is on record
//!   or made by the same plan: two planners, or a crash in between, cannot make two of one epoch;
//! - an epoch is above any that an instance or a record of the group was seen to carry;
//! - one disruptive step at a time: its effect is observed before the next is chosen;
//! - an instance without whole data is never chosen.

mod decide;
mod decision;
mod explain;
mod fill;
mod handover;
mod serve;

pub use decide::decide;
pub use decision::{Blocked, Clock, Decision, Group};
pub(crate) use explain::explain;
pub use handover::{Handover, hand_over};
