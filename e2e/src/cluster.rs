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
//! drain     cordons, drains and uncordons nodes
//! operator  two operators from the chart, in the story's namespace
//! pair      a `DoubleMaster`: its status, pods and services, and the check at the end
//! plugin    `kubectl tandem` as a person runs it
//! clients   writers to each service, and how long each was away
//! ```
//!
//! `TANDEM_CLUSTER=all` runs all stories, `TANDEM_CLUSTER=1` or a `KUBECONFIG` the few that CI runs, whose
//! names begin with `ci_`; the others each say that they were skipped, because a cluster needs root and
//! some minutes.

mod access;
pub mod clients;
mod drain;
mod dump;
mod faults;
mod manifest;
pub mod operator;
pub mod pair;
mod patience;
mod plugin;
mod program;
mod stage;
mod wait;

pub use access::Cluster;
pub use clients::{Clients, Told};
pub use operator::Operator;
pub use pair::Pair;
pub use stage::{Stage, pod_address};
pub use wait::wait_until;
