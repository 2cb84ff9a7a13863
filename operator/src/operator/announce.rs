//! What controllers say, as Events of their resource.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tandem_plan::events::Severity;
use tokio::sync::mpsc;

use crate::error::chain;
use crate::view::Announcement;

/// Longest note that the API server takes.
const NOTE_MAX_BYTES: usize = 1000;

/// Publishes what comes, until nobody can say anything any more.
pub(super) async fn publish(
    recorder: Recorder,
    about: ObjectReference,
    mut said: mpsc::Receiver<Announcement>,
) {
    while let Some(said) = said.recv().await {
        if said.reason.is_empty() {
            continue;
        }
        let mut note = said.message;
        if note.len() > NOTE_MAX_BYTES {
            let end = (0..=NOTE_MAX_BYTES)
                .rev()
                .find(|at| note.is_char_boundary(*at));
            note.truncate(end.unwrap_or(0));
        }
        let event = Event {
            type_: match said.severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            action: said.reason.clone(),
            reason: said.reason,
            note: Some(note),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &about).await {
            tracing::warn!(error = %chain(&error), "event not published");
        }
    }
}
