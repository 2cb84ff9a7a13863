//! A Kubernetes for stories: brought up when it is not there, broken and mended, looked at with
//! deadlines.
//!
//! ```text
//! program   runs the programs of `e2e/cluster`, with a deadline
//! wait      looks until a condition holds, and tells what it saw last
//! access    the one cluster of this test program: its client and its image
//! manifest  applies YAML
//! dump      what is written when a story breaks: pods, events, ends of logs
//! stage     one story's turn on the cluster, with a namespace of its own
//! faults    what a story can break; mended when its stage goes
//! ```
//!
//! Stories run when `TANDEM_CLUSTER` is 1 or `KUBECONFIG` is set; otherwise each says that it was
//! skipped, because a cluster needs root and some minutes.

mod access;
mod dump;
mod faults;
mod manifest;
mod program;
mod stage;
mod wait;

pub use access::Cluster;
pub use stage::{Stage, pod_address};
pub use wait::wait_until;
