//! One life of a container, as it is remembered.

use std::collections::BTreeMap;
use std::time::Instant;

use super::seen::Doing;

/// What is remembered of one life of a container. By this machine's clock: those of nodes differ.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) doing: Doing,
    pub(super) since: Instant,
    /// It ran when it was first seen.
    pub(super) ran_before: bool,
    pub(super) settings: BTreeMap<String, String>,
}
