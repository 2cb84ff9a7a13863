//! Whole databases over a simulated disk: what comes back after crashes, cuts and damage, and what
//! is said about what does not.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

mod age;
mod crash;
mod hole;
mod large;
mod overtaken;
mod site;
