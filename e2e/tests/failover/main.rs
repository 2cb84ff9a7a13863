//! What `tandem local` promises when things die, on the real binary: one file a promise.

#![expect(clippy::unwrap_used, reason = "an error fails the story")]

mod hang;
mod kill;
mod manifest;
mod outage;
mod repair;
mod runtime;
mod status;
mod support;
