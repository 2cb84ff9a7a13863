//! What a cluster asks of the process over HTTP: `/metrics`, `/livez`, `/readyz`.
//!
//! It has a thread and a port of its own and is up before the log is recovered, so that a long
//! recovery is not taken for a dead process. Nothing here tells a secret, and nothing changes.

mod answer;
mod http;
mod metrics;
mod subject;
mod text;

use crate::config::Config;
use crate::server::Server;
use anyhow::Context as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;
use subject::Subject;
use tokio::sync::Notify;

/// The HTTP server.
#[derive(Debug)]
pub(crate) struct Monitor {
    subject: Arc<Subject>,
    thread: JoinHandle<()>,
}

impl Monitor {
    /// Listens where the configuration says; `None` when it says nowhere.
    pub(crate) fn start(config: &Config) -> anyhow::Result<Option<Self>> {
        if config.metrics_port == 0 {
            return Ok(None);
        }
        let subject = Arc::new(Subject {
            server: OnceLock::new(),
            started: Instant::now(),
            stop: Notify::new(),
        });
        let binds = if config.metrics_bind.is_empty() {
            &config.bind
        } else {
            &config.metrics_bind
        };
        let mut listeners = Vec::new();
        for bind in binds {
            let address = SocketAddr::new(bind.ip, config.metrics_port);
            match TcpListener::bind(address) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    listeners.push(listener);
                }
                Err(_) if bind.is_optional => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!(
                            "failed to listen on {address} for metrics; change `metrics-port` or \
                             `metrics-bind`"
                        )
                    });
                }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()?;
        let served = Arc::clone(&subject);
        let thread = std::thread::Builder::new()
            .name("tandem-monitor".to_owned())
            .spawn(move || {
                runtime.block_on(http::serve(&served, listeners));
                runtime.shutdown_background();
            })?;
        Ok(Some(Self { subject, thread }))
    }

    /// The log is recovered.
    pub(crate) fn recovered(&self, server: &Arc<Server>) {
        // Told once, at start.
        drop(self.subject.server.set(Arc::downgrade(server)));
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        self.subject.stop.notify_one();
        drop(self.thread.join());
    }
}
