//! Status: members, services, conditions. Says what is seen, and of each thing that is not well why.

use tandem_api::InstanceName;
use tandem_api::condition::Condition;
use tandem_api::double_master::{DoubleMasterStatus, LinkSummary, MemberStatus, ServiceStatus};
use tandem_proto::status::{InstanceStatus, LinkStatus};

use super::conditions::conditions;
use super::state::SlotState;
use super::view::View;
use crate::observed::{InstanceObservation, Observed, Process};
use crate::outcome::Waiting;
use crate::timing::Timing;

/// Builds the status.
pub(super) fn build(
    view: &View<'_>,
    waits_for: &[Waiting],
    previous: &[Condition],
) -> DoubleMasterStatus {
    let members: Vec<MemberStatus> = view
        .slots
        .iter()
        .flat_map(|state| {
            state
                .members
                .iter()
                .map(move |name| member(view, state, name))
        })
        .collect();
    let services = view
        .services
        .iter()
        .map(|(name, targets)| ServiceStatus {
            name: name.to_string(),
            address: String::new(),
            targets: targets.iter().map(InstanceName::to_string).collect(),
        })
        .collect();
    let writers: Vec<&str> = view
        .slots
        .iter()
        .filter_map(|state| state.decision.state.serving())
        .map(InstanceName::as_str)
        .collect();
    let epochs: Vec<String> = view
        .slots
        .iter()
        .map(|state| {
            state
                .decision
                .state
                .epoch()
                .map_or("-".into(), |epoch| epoch.to_string())
        })
        .collect();
    DoubleMasterStatus {
        observed_generation: view.valid.generation,
        conditions: conditions(view, previous),
        writers: writers.join(","),
        epochs: epochs.join("/"),
        lag_records: members
            .iter()
            .map(|member| member.lag_records)
            .max()
            .unwrap_or(0),
        members,
        services,
        waits_for: waits_for.iter().map(Waiting::to_string).collect(),
        last_failover: None,
    }
}

fn member(view: &View<'_>, state: &SlotState<'_>, name: &InstanceName) -> MemberStatus {
    let timing = &view.valid.timing;
    let mut member = MemberStatus {
        name: name.to_string(),
        slot: state.slot.name.to_string(),
        server_id: state.slot.server_id,
        role: "absent".into(),
        ..MemberStatus::default()
    };
    let Some(seen) = view.observed.instances.get(name) else {
        return member;
    };
    member.address = seen.address.to_string();
    let placement = &seen.placement;
    member.node.clone_from(&placement.node);
    member.pod_ip = placement.node.as_ref().map(|_| seen.address.host.clone());
    member.outdated.clone_from(&placement.outdated);
    member.leaving = placement.going().map(ToString::to_string);
    member.trouble.clone_from(&placement.trouble);
    if let Some(status) = seen.last_status() {
        describe(&mut member, status, view.observed);
    }
    if seen.heard(timing).is_none() {
        let (role, reason) = silent(seen, timing);
        member.role = role.into();
        member.reason = reason;
        member.writable = false;
        member.eligible = false;
        member.silent_ms = Some(seen.silent_ms);
        let claimed = state.claim.filter(|claim| claim.instance == *name);
        member.epoch = claimed.map_or(member.epoch, |claim| claim.epoch);
    }
    member
}

fn describe(member: &mut MemberStatus, status: &InstanceStatus, observed: &Observed) {
    member.role = status.role.as_str().into();
    member.server_id = status.server_id;
    member.epoch = status.epoch;
    member.incarnation.clone_from(&status.incarnation);
    member.instance_id = Some(status.instance_id.clone());
    member.pid = Some(status.pid);
    member.writable = status.writable;
    member.eligible = status.eligible;
    let positions: Vec<String> = status
        .databases
        .iter()
        .map(|database| {
            format!(
                "{}={}:{}",
                database.database, database.segment, database.offset
            )
        })
        .collect();
    member.position = positions.join(" ");
    member.lag_records = status
        .links
        .iter()
        .map(|link| link.lag_records)
        .max()
        .unwrap_or(0);
    member.links = status
        .links
        .iter()
        .map(|link| summarise(link, observed))
        .collect();
    let is_writer = crate::observed::is_writer(status.role);
    let not_writable = status.not_writable_reason.iter().filter(|_| is_writer);
    let full = (status.volume_full && !is_writer).then_some("no space left on its volume");
    let reasons: Vec<&str> = not_writable
        .chain(&status.not_eligible_reason)
        .map(String::as_str)
        .chain(full)
        .collect();
    member.reason = reasons.join("; ");
}

fn summarise(link: &LinkStatus, observed: &Observed) -> LinkSummary {
    let source = observed.name_at(&link.host, link.port).map_or_else(
        || format!("{}:{}", link.host, link.port),
        InstanceName::to_string,
    );
    LinkSummary {
        kind: link.kind.as_str().into(),
        source,
        state: link.state.as_str().into(),
        lag_records: link.lag_records,
        last_contact_ms: link.last_contact_ms,
        full_resyncs: link.full_resyncs,
        partial_resyncs: link.partial_resyncs,
        reason: link.reason.clone(),
    }
}

fn silent(seen: &InstanceObservation, timing: &Timing) -> (&'static str, String) {
    match &seen.process {
        Process::Absent => ("absent", "not started".into()),
        Process::Exited { how, .. } => ("exited", how.clone()),
        Process::Unknown => ("unknown", "its process cannot be seen".into()),
        Process::Running { .. } if !seen.has_answered() => {
            ("starting", "has not answered yet".into())
        }
        Process::Running { .. } => {
            let word = if seen.silent_ms >= timing.hang_ms {
                "hung"
            } else {
                "unknown"
            };
            (word, format!("no answer for {} ms", seen.silent_ms))
        }
    }
}
