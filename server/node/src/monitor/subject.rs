//! What the answers of the monitor are made from.

use crate::server::Server;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;
use tokio::sync::Notify;

/// The process as the monitor sees it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) server: OnceLock<Weak<Server>>,
    pub(super) started: Instant,
    pub(super) stop: Notify,
}

impl Subject {
    /// The server, once its log is recovered.
    pub(super) fn server(&self) -> Option<Arc<Server>> {
        self.server.get()?.upgrade()
    }
}
