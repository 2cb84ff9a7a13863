//! A seeded world of members over simulated clock, network and disk.

pub mod disk;
