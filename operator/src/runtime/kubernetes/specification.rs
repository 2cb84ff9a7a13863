//! What is wanted, with what is computed from it once.

use std::sync::Arc;

use super::objects;
use super::seen::Revision;
use super::wanted::Wanted;

/// A specification with the revision of its pods, computed once.
#[derive(Debug, Clone)]
pub(super) struct Specification {
    pub(super) wanted: Arc<Wanted>,
    pub(super) revision: Arc<Revision>,
}

impl Specification {
    pub(super) fn of(wanted: Wanted) -> Self {
        let parts = serde_json::to_value(objects::revision_parts(&wanted)).unwrap_or_default();
        let revision = Revision {
            whole: objects::revision(&wanted),
            parts: parts.as_object().cloned().unwrap_or_default(),
        };
        Self {
            wanted: Arc::new(wanted),
            revision: Arc::new(revision),
        }
    }
}
