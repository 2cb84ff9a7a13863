//! One database's full resync, as far as it has come in.

use std::time::Instant;
use tandem_merge::VersionVector;
use tandem_replicate::FullMode;
use tandem_store::StoreError;
use tandem_store::database::OriginMap;
use tandem_store::resync::Intake;

/// One database's full resync.
pub(super) struct Taking {
    pub(super) mode: FullMode,
    pub(super) intake: Option<Intake>,
    /// The beginning of a chunk that comes in parts.
    pub(super) part: Vec<u8>,
    /// What has to be held before the switch, by own numbers.
    pub(super) goal: Option<VersionVector>,
    pub(super) bytes: u64,
    pub(super) bytes_expected: u64,
    /// Lsn of the source's log behind the last record taken.
    pub(super) lsn: u64,
    pub(super) begun: Instant,
}

impl Taking {
    /// One that was agreed on.
    pub(super) fn new(mode: FullMode) -> Self {
        Self {
            mode,
            intake: None,
            part: Vec::new(),
            goal: None,
            bytes: 0,
            bytes_expected: 0,
            lsn: 0,
            begun: Instant::now(),
        }
    }

    /// The source has announced more origins.
    pub(super) fn learn(&mut self, map: &OriginMap) {
        if let Some(intake) = &mut self.intake {
            intake.learn(map);
        }
    }

    /// Whether the new state holds all that the scan saw.
    pub(super) fn is_ready(&mut self) -> Result<bool, StoreError> {
        match (&mut self.intake, &self.goal) {
            (Some(intake), Some(goal)) => intake.holds(goal),
            _ => Ok(false),
        }
    }
}
