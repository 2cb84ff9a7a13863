//! Which instance becomes the primary, and why not the others.
//!
//! Order: one that did not open when it was claimed comes after all others; then most records of the
//! group's own origins, then most records in total (a version vector is a partial order; the promotion
//! collects the rest), then the present holder of the claim, then priority, then name. Only whole
//! data: an instance that is not eligible is never chosen.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use tandem_api::InstanceName;
use tandem_proto::status::InstanceStatus;

use crate::claim::Passed;
use crate::observed::{Observed, Process};
use crate::timing::Timing;

/// One instance in an election.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Its name.
    pub instance: InstanceName,
    /// Records of the group's own origins that it holds.
    pub own_records: u64,
    /// Records of all origins that it holds.
    pub total_records: u64,
    /// Why it was not chosen; empty for the chosen one.
    pub refused: String,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The best, when there is one.
    pub chosen: Option<InstanceName>,
    /// Everyone considered, best first.
    pub candidates: Vec<Candidate>,
}

/// Records of `server_id`'s origins, and of all, that a status shows; holes are not held.
pub fn held(status: &InstanceStatus, server_id: u32) -> (u64, u64) {
    let mut own = 0;
    let mut total = 0;
    for row in status
        .databases
        .iter()
        .flat_map(|database| &database.version_vector)
    {
        let holes: u64 = row
            .holes
            .iter()
            .map(|(from, to)| to.saturating_sub(*from) + 1)
            .sum();
        let records = row.high.saturating_sub(holes);
        total += records;
        if row.server_id == server_id {
            own += records;
        }
    }
    (own, total)
}

/// Who may be elected.
#[derive(Debug, Clone, Copy)]
pub struct Electorate<'a> {
    /// The candidates.
    pub candidates: &'a [InstanceName],
    /// All instances of the group.
    pub group: &'a [InstanceName],
    /// The group's server id.
    pub server_id: u32,
    /// The present holder of the claim, who wins ties of data.
    pub holder: Option<&'a InstanceName>,
    /// Instances that were claimed lately and did not open: chosen last. What they alone hold is
    /// collected from them.
    pub passed: &'a [Passed],
}

/// Elects a primary.
pub fn elect(electorate: Electorate<'_>, observed: &Observed, timing: &Timing) -> Election {
    let Electorate {
        candidates,
        group,
        server_id,
        holder,
        passed,
    } = electorate;
    let is_new = |name: &InstanceName| {
        observed
            .heard(name, timing)
            .is_some_and(|status| held(status, server_id).0 == 0)
    };
    // When all disks of the group are new, what it wrote is at the peer, who gives it back to whoever
    // is promoted. As long as one of them may hold it, the empty ones wait.
    let must_hold = if group.iter().all(is_new) {
        0
    } else {
        most_known(server_id, observed)
    };
    let mut ranked: Vec<(Option<u32>, Candidate)> = candidates
        .iter()
        .map(|name| consider(name, server_id, must_hold, observed, timing))
        .collect();
    let is_leaving = |name: &InstanceName| {
        let seen = observed.instances.get(name);
        seen.is_some_and(|seen| seen.placement.going().is_some())
    };
    let attempts = |name: &InstanceName| {
        let found = passed.iter().find(|passed| passed.instance == *name);
        found.map_or((0, 0), |passed| (passed.times, passed.at_ms))
    };
    ranked.sort_by_key(|(priority, candidate)| {
        (
            priority.is_none(),
            attempts(&candidate.instance),
            Reverse(candidate.own_records),
            Reverse(candidate.total_records),
            is_leaving(&candidate.instance),
            holder != Some(&candidate.instance),
            *priority,
            candidate.instance.clone(),
        )
    });
    let chosen = ranked
        .first()
        .filter(|(priority, _)| priority.is_some())
        .map(|(_, candidate)| candidate.instance.clone());
    let best = ranked.first().map(|(_, candidate)| candidate.clone());
    let candidates = ranked
        .into_iter()
        .map(|(_, candidate)| {
            let times = attempts(&candidate.instance).0;
            explain(candidate, best.as_ref(), chosen.as_ref(), times)
        })
        .collect();
    Election { chosen, candidates }
}

/// The most own records that anybody, of whatever group and age, was ever seen to hold.
fn most_known(server_id: u32, observed: &Observed) -> u64 {
    observed
        .instances
        .values()
        .filter_map(|seen| seen.last_status())
        .map(|status| held(status, server_id).0)
        .max()
        .unwrap_or(0)
}

/// The instance's standing; without a priority it cannot be chosen, and says why.
fn consider(
    name: &InstanceName,
    server_id: u32,
    must_hold: u64,
    observed: &Observed,
    timing: &Timing,
) -> (Option<u32>, Candidate) {
    let refuse = |own_records, total_records, why: String| {
        (
            None,
            Candidate {
                instance: name.clone(),
                own_records,
                total_records,
                refused: why,
            },
        )
    };
    let Some(seen) = observed.instances.get(name) else {
        return refuse(0, 0, "never started".into());
    };
    let (own_records, total_records) = seen
        .last_status()
        .map_or((0, 0), |status| held(status, server_id));
    let Some(status) = seen.heard(timing) else {
        let why = match &seen.process {
            Process::Exited { .. } => "its process has ended",
            Process::Absent => "it is not started",
            Process::Running { .. } | Process::Unknown => "it does not answer",
        };
        return refuse(own_records, total_records, why.into());
    };
    if !status.eligible {
        let why = status
            .not_eligible_reason
            .as_deref()
            .unwrap_or("it gives no reason");
        return refuse(own_records, total_records, format!("not eligible: {why}"));
    }
    if status.poisoned {
        return refuse(
            own_records,
            total_records,
            "not eligible: failed fsync".into(),
        );
    }
    if status.volume_full {
        return refuse(own_records, total_records, "its volume is full".into());
    }
    if seen.placement.terminating {
        return refuse(own_records, total_records, "it is being ended".into());
    }
    if status.priority == 0 {
        return refuse(
            own_records,
            total_records,
            "priority 0 is never promoted".into(),
        );
    }
    if own_records == 0 && must_hold > 0 {
        let why = format!("empty, while {must_hold} records of its group are known");
        return refuse(own_records, total_records, why);
    }
    let candidate = Candidate {
        instance: name.clone(),
        own_records,
        total_records,
        refused: String::new(),
    };
    (Some(status.priority), candidate)
}

fn explain(
    mut candidate: Candidate,
    best: Option<&Candidate>,
    chosen: Option<&InstanceName>,
    times: u32,
) -> Candidate {
    let (Some(best), Some(chosen)) = (best, chosen) else {
        return candidate;
    };
    if candidate.instance == *chosen || !candidate.refused.is_empty() {
        return candidate;
    }
    candidate.refused = if times > 0 {
        format!("was claimed and did not open, {times} times")
    } else if candidate.own_records < best.own_records {
        format!(
            "holds {} own records, {chosen} {}",
            candidate.own_records, best.own_records
        )
    } else if candidate.total_records < best.total_records {
        format!(
            "holds {} records, {chosen} {}",
            candidate.total_records, best.total_records
        )
    } else {
        format!("equal data; {chosen} comes first by claim, priority or name")
    };
    candidate
}
