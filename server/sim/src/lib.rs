//! A seeded world of instances over simulated clocks, network and disks. The databases are the real
//! ones (log, history, checkpoints, recovery, resync) over a disk and trees in memory; handshake,
//! view, window and horizon are the real decisions; what carries them stands here, step by step in
//! one thread, so that a seed is a run.
//!
//! ```text
//! workload ─▶ instance ─ feed ─▶ link (delay, cut) ─▶ intake ─▶ instance        faults: world
//!     └─▶ ledger                                                                judgement: checker
//! ```

pub mod disk;
pub mod random;
pub mod sabotage;
pub mod world;

mod checker;
mod failure;
mod faults;
mod feed;
mod instance;
mod ledger;
mod link;
mod operator;
mod pull;
mod receipts;
mod settings;
mod workload;

pub use failure::Failure;
pub use sabotage::Sabotage;
pub use world::{Report, run, trace};
