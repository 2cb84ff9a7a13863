//! What is wanted as objects: pure builders, one file per concern.

pub mod children;
mod meta;
mod network;
pub mod pod;
mod service;
pub mod volume;

pub use pod::{PASSWORD_KEY, PASSWORD_VARIABLE, pod, revision, revision_parts};
pub use volume::volume;
