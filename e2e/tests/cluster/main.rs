//! What works on a Kubernetes; each story says that it was skipped where none is asked for.

#![expect(clippy::unwrap_used, reason = "an error fails the story")]

mod away;
mod ci;
mod cuts;
mod image;
mod lose;
mod measure;
mod nodes;
mod smoke;
mod support;
