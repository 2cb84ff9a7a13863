//! Worlds in, plans out: each case of the failover as the plan's own text.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes them when it updates"
)]

mod detection;
mod failover;
mod fixture;
mod formation;
mod moves;
mod opening;
mod repair;
mod resync;

/// Both slots whole, one replica each: what the cases below vary.
pub(crate) const WHOLE: &str = "
claims:
  a: {epoch: 1, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-a-0], dm-ro: [dm-a-1, dm-b-1], dm-a: [dm-a-0], dm-b: [dm-b-0]}
";
