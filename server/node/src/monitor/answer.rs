//! The answers: alive, ready, metrics.

use super::metrics;
use super::subject::Subject;
use crate::instance::Instance;
use crate::io::Post;
use crate::meta::StoredRole;
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tandem_proto::status::{LinkKind, LinkState};
use tandem_store::log::LogError;
use tokio::time::Instant;

/// How long the event loops may take to turn.
const TURN_PATIENCE: Duration = Duration::from_secs(4);
/// How often it is looked whether they have.
const TURN_LOOK: Duration = Duration::from_millis(2);
/// How long what has to look into the data may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(4);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Answer {
    /// Plain text.
    pub(super) fn plain(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

/// Answers a path.
pub(super) async fn answer(subject: &Arc<Subject>, path: &str) -> Answer {
    match path {
        "/livez" => is_alive(subject).await,
        "/readyz" => {
            look(subject, |subject| match readiness(subject) {
                Ok(role) => Answer::plain(200, format!("{role}\n")),
                Err(reason) => Answer::plain(503, format!("{reason}\n")),
            })
            .await
        }
        "/metrics" => {
            look(subject, |subject| Answer {
                status: 200,
                kind: "text/plain; version=0.0.4; charset=utf-8",
                body: metrics::render(subject),
            })
            .await
        }
        _ => Answer::plain(404, "there are /metrics, /livez and /readyz\n"),
    }
}

/// Runs what may wait for a lock aside, so that it holds up no other answer.
async fn look(subject: &Arc<Subject>, find: fn(&Subject) -> Answer) -> Answer {
    let subject = Arc::clone(subject);
    let found = tokio::task::spawn_blocking(move || find(&subject));
    match tokio::time::timeout(LOOK_PATIENCE, found).await {
        Ok(Ok(answer)) => answer,
        _ => Answer::plain(503, "the server does not answer in time\n"),
    }
}

/// Every event loop takes a letter and says so. While the log is recovered there is none yet.
async fn is_alive(subject: &Subject) -> Answer {
    let Some(server) = subject.server() else {
        return Answer::plain(200, "recovering\n");
    };
    let turned = Arc::new(AtomicUsize::new(0));
    server.post_all(&|| Post::Echo(Arc::clone(&turned)));
    let deadline = Instant::now() + TURN_PATIENCE;
    while turned.load(Ordering::Acquire) < server.workers() {
        if Instant::now() >= deadline {
            return Answer::plain(503, "an event loop does not turn\n");
        }
        tokio::time::sleep(TURN_LOOK).await;
    }
    Answer::plain(200, "alive\n")
}

/// Whether it serves its role with whole data: which one, or why not.
fn readiness(subject: &Subject) -> Result<&'static str, String> {
    let Some(server) = subject.server() else {
        return Err("the log is being recovered".to_owned());
    };
    serves(&server)
}

/// NOTE: a primary that has the role stays ready while it refuses writes for a reason that passes
/// by itself (too few replicas, a full disk): its reads, and its error, must remain in reach.
fn serves(server: &Server) -> Result<&'static str, String> {
    let instance = &server.instance;
    let stopped = instance
        .store
        .opened()
        .filter_map(|database| database.log.check().err())
        .find(LogError::is_final);
    if let Some(error) = stopped {
        return Err(error.to_string());
    }
    match instance.meta().role {
        StoredRole::Waiting => Err("it waits for its role".to_owned()),
        StoredRole::Writer if instance.is_writable() => Ok("primary"),
        StoredRole::Writer => Err(instance
            .not_eligible()
            .unwrap_or_else(|| "it does not write under its role now".to_owned())),
        StoredRole::Replica => {
            if server.is_stale() {
                return Err("the primary is away and replica-serve-stale-data is no".to_owned());
            }
            if let Some(reason) = instance.not_eligible() {
                return Err(reason);
            }
            let streams = server.links().is_some_and(|links| {
                links.status().0.iter().any(|link| {
                    link.kind == LinkKind::Replica && link.state == LinkState::Streaming
                })
            });
            if streams || has_data(instance) {
                Ok("replica")
            } else {
                Err("it holds no data and its link is not up".to_owned())
            }
        }
    }
}

/// Whether something is there to be read.
fn has_data(instance: &Instance) -> bool {
    instance
        .store
        .opened()
        .any(|database| database.commit().history.vv.rows().next().is_some())
}
