//! One group's failover: who is its primary, and what brings the rest of it behind that one.
//!
//! ```text
//!                 no claim                     claimed, not open
//!   Assembling ────────────▶ Opening ◀───────────────────────────┐
//!       ▲                       │ promoted                       │ claim epoch + 1
//!       │                       │   └─ not in its time: claim epoch + 2, another instance ──▶ Opening
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
//! - an instance without whole data is never chosen;
//! - an instance that lost its claim is shown a higher epoch before another one is promoted, as long
//!   as it answers: so it never opens late; who does not answer is fenced when it comes back;
//! - one that did not open comes last in the next choice, and has longer each time: no ping-pong.

mod decide;
mod decision;
mod explain;
mod fill;
mod handover;
mod pass_on;
mod serve;
mod withdraw;

pub use decide::decide;
pub use decision::{Blocked, Clock, Decision, Group};
pub(crate) use explain::explain;
pub use handover::{Handover, hand_over};
