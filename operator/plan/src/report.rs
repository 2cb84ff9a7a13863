//! The report of a failover: what happened, who saw it, how long each phase took, what may be missing.
//!
//! A plan opens it together with the claim; who carries the plan out marks the phases as they happen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tandem_api::condition::rfc3339;
use tandem_api::double_master::FailoverSummary;
use tandem_api::{InstanceName, ResourceName, ServiceName};

use crate::detection::Cause;
use crate::failover_start::{FailoverStart, Kind};
use crate::outcome::GroupPlan;
use crate::state::State;
use crate::suffix::SUFFIX_RW;

/// A phase, in the order in which they are aimed at. Only claim and promote stop the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The loss was established.
    Detected,
    /// `-rw` points at a writer again.
    RwSwitched,
    /// The claim is written.
    Claimed,
    /// The new primary is open.
    Promoted,
    /// `-a` or `-b` points at it.
    SlotSwitched,
    /// Every instance of the group that answers follows it.
    Repointed,
    /// The writers pull from each other again.
    Paired,
    /// The old primary is back, follows, and what it alone held was taken.
    TailTaken,
}

impl Phase {
    /// The word used in events and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::RwSwitched => "rw_switched",
            Self::Claimed => "claimed",
            Self::Promoted => "promoted",
            Self::SlotSwitched => "slot_switched",
            Self::Repointed => "repointed",
            Self::Paired => "paired",
            Self::TailTaken => "tail_taken",
        }
    }
}

/// A phase and when it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// Milliseconds since the last sign of life of the old primary.
    pub ms: u64,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverReport {
    /// What was known at the decision.
    #[serde(flatten)]
    pub start: FailoverStart,
    /// Unix milliseconds of the last sign of life of the old primary.
    pub lost_at_ms: u64,
    /// The same as RFC 3339.
    pub started_at: String,
    /// Phases reached so far.
    pub phases: Vec<PhaseTime>,
    /// Whether `-rw` had pointed at the old primary.
    pub rw_affected: bool,
    /// Milliseconds that `-rw` had no usable target.
    pub rw_outage_ms: Option<u64>,
    /// What the promotion answered: records collected from others.
    pub collected_records: Option<u64>,
    /// Whether the plan considers everything restored.
    pub closed: bool,
}

impl FailoverReport {
    /// Opens the report of a decision taken at `now_ms`.
    pub fn open(start: FailoverStart, rw_affected: bool, now_ms: u64) -> Self {
        let lost_at_ms = now_ms.saturating_sub(start.lost_ms_ago);
        let mut report = Self {
            start,
            lost_at_ms,
            started_at: rfc3339(lost_at_ms),
            phases: Vec::new(),
            rw_affected,
            rw_outage_ms: None,
            collected_records: None,
            closed: false,
        };
        report.mark(Phase::Detected, now_ms);
        report
    }

    /// Notes that `phase` was reached, once.
    ///
    /// Returns whether that is news.
    pub fn mark(&mut self, phase: Phase, now_ms: u64) -> bool {
        if self.reached(phase).is_some() {
            return false;
        }
        let ms = now_ms.saturating_sub(self.lost_at_ms);
        self.phases.push(PhaseTime { phase, ms });
        if phase == Phase::RwSwitched && self.rw_affected {
            self.rw_outage_ms = Some(ms);
        }
        true
    }

    /// Marks every phase that `holds` now; closes the report when nothing is left to restore.
    ///
    /// Returns whether anything is news.
    pub fn advance(&mut self, holds: &[Phase], now_ms: u64) -> bool {
        let mut is_news = self.take_back_rw(holds);
        for phase in holds {
            is_news |= self.mark(*phase, now_ms);
        }
        let all = [
            Phase::Promoted,
            Phase::SlotSwitched,
            Phase::Repointed,
            Phase::Paired,
        ];
        let restored = all.iter().all(|phase| self.reached(*phase).is_some())
            && self.reached(Phase::TailTaken).is_some();
        if restored && !self.closed {
            self.closed = true;
            is_news = true;
        }
        is_news
    }

    /// `-rw` may have moved to a writer that was lost at the same moment: then clients still wait.
    fn take_back_rw(&mut self, holds: &[Phase]) -> bool {
        let is_lost_again = self.rw_outage_ms.is_some() && !holds.contains(&Phase::RwSwitched);
        if is_lost_again {
            self.phases.retain(|time| time.phase != Phase::RwSwitched);
            self.rw_outage_ms = None;
        }
        is_lost_again
    }

    /// Whether clients are served again: the slot has its primary, and `-rw` a writer.
    pub fn is_served(&self) -> bool {
        [Phase::Promoted, Phase::SlotSwitched, Phase::RwSwitched]
            .iter()
            .all(|phase| self.reached(*phase).is_some())
    }

    /// When `phase` was reached, in milliseconds since the loss.
    pub fn reached(&self, phase: Phase) -> Option<u64> {
        self.phases
            .iter()
            .find(|time| time.phase == phase)
            .map(|time| time.ms)
    }

    /// One line for people.
    pub fn headline(&self) -> String {
        let start = &self.start;
        let mut line = match start.kind {
            Kind::First => format!("first primary of slot {}: {}", start.group, start.new),
            Kind::Failover | Kind::Resume | Kind::Switchover => {
                let verb = match start.kind {
                    Kind::Failover => "failover",
                    Kind::Switchover => "switchover",
                    Kind::First | Kind::Resume => "resumption",
                };
                let old = start.old.as_ref().map_or("nobody", InstanceName::as_str);
                let cause = start
                    .cause
                    .as_ref()
                    .map_or_else(|| "restarted".to_string(), Cause::to_string);
                format!(
                    "{verb} of slot {}: {old} ({cause}) -> {}",
                    start.group, start.new
                )
            }
        };
        let _ = write!(line, ", epoch {}", start.epoch);
        if let Some(ms) = self.rw_outage_ms {
            let _ = write!(line, ", rw outage {ms} ms");
        }
        for phase in [
            Phase::Promoted,
            Phase::SlotSwitched,
            Phase::Repointed,
            Phase::Paired,
        ] {
            if let Some(ms) = self.reached(phase) {
                let _ = write!(line, ", {} {ms} ms", phase.as_str());
            }
        }
        if start.kind == Kind::Failover {
            let _ = write!(
                line,
                ", at most {} known records and {} ms of writes wait for the old disk",
                start.loss.known_missing_records, start.loss.unseen_ms
            );
        }
        line
    }

    /// What status shows of it; `report` says where the whole of it is.
    pub fn summary(&self, report: &str) -> FailoverSummary {
        let start = &self.start;
        FailoverSummary {
            slot: start.group.to_string(),
            cause: start
                .cause
                .as_ref()
                .map_or_else(|| "restarted".into(), Cause::to_string),
            from: start
                .old
                .as_ref()
                .map_or_else(String::new, InstanceName::to_string),
            to: start.new.to_string(),
            epoch: start.epoch,
            started_at: self.started_at.clone(),
            rw_outage_ms: self.rw_outage_ms,
            total_ms: self.closed.then(|| {
                self.phases
                    .iter()
                    .map(|time| time.ms)
                    .max()
                    .unwrap_or_default()
            }),
            report: report.into(),
        }
    }
}

/// The phases of a failover that hold, by what a plan found and where services point now.
pub fn phases_that_hold(
    start: &FailoverStart,
    groups: &[GroupPlan],
    resource: &ResourceName,
    services: &BTreeMap<ServiceName, Vec<InstanceName>>,
) -> Vec<Phase> {
    let mut phases = Vec::new();
    let Some(group) = groups.iter().find(|group| group.group == start.group) else {
        return phases;
    };
    let first = |suffix: &str| {
        services
            .get(&resource.service(suffix))
            .and_then(|t| t.first())
    };
    let serves = |name: &InstanceName| {
        groups
            .iter()
            .any(|group| group.state.serving() == Some(name))
    };
    if first(SUFFIX_RW).is_some_and(serves) {
        phases.push(Phase::RwSwitched);
    }
    let is_open = matches!(
        &group.state,
        State::Serving { primary, epoch } if *primary == start.new && *epoch == start.epoch
    );
    if !is_open {
        return phases;
    }
    phases.push(Phase::Promoted);
    if first(start.group.as_str()) == Some(&start.new) {
        phases.push(Phase::SlotSwitched);
    }
    if group.strays.is_empty() {
        phases.push(Phase::Repointed);
    }
    if groups.iter().all(|group| group.paired) {
        phases.push(Phase::Paired);
    }
    let is_back = |old: &InstanceName| *old == start.new || group.followers.contains(old);
    if start.old.as_ref().is_none_or(is_back) {
        phases.push(Phase::TailTaken);
    }
    phases
}
