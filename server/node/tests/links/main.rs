//! Links between instances over loopback.

mod full;
mod identity;
mod partial;
mod support;
