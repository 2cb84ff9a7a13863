//! What works on a Kubernetes; each story says that it was skipped where none is asked for.

#![expect(clippy::unwrap_used, reason = "an error fails the story")]

mod image;
mod smoke;
