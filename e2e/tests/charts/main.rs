//! The charts, the alert rules, the dashboard and the pages that describe what is on Kubernetes hold what
//! they say. What needs helm says so loudly where it is not there: `HELM`, the PATH, or the programs that
//! `e2e/cluster/build` made.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what cannot be read fails the test"
)]

mod definitions;
mod files;
mod helm;
mod monitoring;
mod pages;
mod release;
mod rendering;
mod rules;
