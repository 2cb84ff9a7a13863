//! What controllers say, as Events of their resource.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tandem_plan::events::Severity;
use tokio::sync::mpsc;

use crate::error::chain;
use crate::view::Announcement;

/// Longest note that the API server takes.
const NOTE_MAX_BYTES: usize = 1000;
/// Longest action that it takes.
const ACTION_MAX_BYTES: usize = 128;

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
        let note = cut(&said.message, NOTE_MAX_BYTES);
        let event = Event {
            type_: match said.severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            // Events are counted together by reason and action: what differs is told in the action.
            action: cut(&said.message, ACTION_MAX_BYTES),
            reason: said.reason,
            note: Some(note),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &about).await {
            tracing::warn!(error = %chain(&error), "event not published");
        }
    }
}

/// The beginning of a text, whole characters only.
fn cut(text: &str, max_bytes: usize) -> String {
    let end = (0..=max_bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("dm-rw", 9), "dm-rw");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
