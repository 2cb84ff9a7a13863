//! The log over a simulated disk: every cut, every flipped byte, every roll, a full disk, a failed
//! sync, and a reader that follows.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod damage;
mod follow;
mod full;
mod interrupted;
mod journal;
mod roll;
mod torn;
