//! Links between instances over loopback.

#![expect(clippy::panic, reason = "what cannot go on fails the test")]

mod full;
mod identity;
mod partial;
mod support;
