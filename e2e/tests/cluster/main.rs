//! What works on a Kubernetes; each story says that it was skipped where none is asked for.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "an error fails the story"
)]

mod api;
mod api_away;
mod away;
mod ci;
mod cuts;
mod full;
mod image;
mod late;
mod lose;
mod measure;
mod nodes;
mod plugin;
mod remove;
mod roll;
mod roll_volumes;
mod roll_watch;
mod scale;
mod scale_replicas;
mod secrets;
mod security;
mod smoke;
mod support;
