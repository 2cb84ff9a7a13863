//! Links between instances over loopback.

mod identity;
mod partial;
mod support;
