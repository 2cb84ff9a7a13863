//! `kubectl tandem explain`: why it did what it did, why it does not do more, and what would happen to
//! each slot now. All of it is what the operator wrote down; nothing is decided here.

use std::fmt::Write as _;

use tandem_api::double_master::MemberStatus;
use tandem_plan::report::FailoverReport;

use super::cluster::Cluster;
use super::error::Error;
use super::picture::Picture;
use crate::view;

/// Events shown.
const EVENTS_SHOWN: usize = 15;

/// Prints it.
pub(super) async fn run(cluster: &Cluster, name: &str) -> Result<(), Error> {
    let picture = Picture::take_with_events(cluster, name).await?;
    view::put(&render(&picture));
    Ok(())
}

fn render(picture: &Picture) -> String {
    let mut text = format!("{} in namespace {}\n", picture.name, picture.namespace);
    conditions(&mut text, picture);
    waiting(&mut text, picture);
    for slot in ["a", "b"] {
        outlook(&mut text, picture, slot);
    }
    match (&picture.last_failover_report, &picture.status.last_failover) {
        (Some(report), _) => past(&mut text, report),
        (None, Some(summary)) => {
            let _ = writeln!(
                text,
                "\nLAST FAILOVER  slot {}: {} ({}) -> {}, epoch {}; its report ({}) is gone",
                summary.slot,
                summary.from,
                summary.cause,
                summary.to,
                summary.epoch,
                summary.report
            );
        }
        (None, None) => text.push_str("\nLAST FAILOVER  none\n"),
    }
    events(&mut text, picture);
    text
}

fn conditions(text: &mut String, picture: &Picture) {
    text.push_str("\nCONDITIONS\n");
    for condition in &picture.status.conditions {
        let _ = write!(
            text,
            "  {:<16} {:<8} {:<20} since {}",
            condition.kind,
            condition.status.as_str(),
            condition.reason,
            condition.last_transition_time
        );
        if !condition.message.is_empty() {
            let _ = write!(text, "\n    {}", condition.message);
        }
        text.push('\n');
    }
}

fn waiting(text: &mut String, picture: &Picture) {
    text.push_str("\nWAITS FOR\n");
    if picture.pause {
        text.push_str("  spec.pause to be taken away: until then it only watches\n");
    }
    if picture.status.observed_generation < picture.generation {
        let _ = writeln!(
            text,
            "  the operator: it has seen generation {} of {}",
            picture.status.observed_generation, picture.generation
        );
    }
    for waiting in &picture.status.waits_for {
        let _ = writeln!(text, "  {waiting}");
    }
    if text.ends_with("FOR\n") {
        text.push_str("  nothing\n");
    }
}

/// Who writes in a slot, and who could in its place.
fn outlook(text: &mut String, picture: &Picture, slot: &str) {
    let members: Vec<&MemberStatus> = picture
        .status
        .members
        .iter()
        .filter(|member| member.slot == slot)
        .collect();
    let claim = picture.claims.iter().find(|claim| claim.slot == slot);
    let owner = claim.map(|claim| claim.instance.as_str());
    let _ = write!(text, "\nSLOT {slot}  ");
    match claim {
        Some(claim) => {
            let _ = writeln!(
                text,
                "claimed for {}, epoch {}",
                claim.instance, claim.epoch
            );
        }
        None => text.push_str("nobody has claimed it yet\n"),
    }
    for member in &members {
        let _ = write!(text, "  {:<20} {:<14}", member.name, member.role);
        text.push_str(&standing(member, owner));
        for link in &member.links {
            let _ = write!(
                text,
                "; {} link from {} {}",
                link.kind, link.source, link.state
            );
            if !link.reason.is_empty() {
                let _ = write!(text, " ({})", link.reason);
            }
        }
        text.push('\n');
    }
    let could = members
        .iter()
        .filter(|member| owner != Some(member.name.as_str()) && member.eligible)
        .min_by_key(|member| member.lag_records);
    match could {
        Some(member) => {
            let _ = writeln!(
                text,
                "  if its primary were lost now: {} is whole and {} records behind",
                member.name, member.lag_records
            );
        }
        None => text.push_str(
            "  if its primary were lost now: no replica could take over; -rw moves to the peer, and the \
             slot waits for its instance or volume\n",
        ),
    }
}

fn standing(member: &MemberStatus, owner: Option<&str>) -> String {
    let is_owner = owner == Some(member.name.as_str());
    let word = match (is_owner, member.writable, member.eligible) {
        (true, true, _) => "writes".to_string(),
        (true, false, _) => "should write and does not".to_string(),
        (false, _, true) => format!("may be promoted, {} records behind", member.lag_records),
        (false, _, false) => "may not be promoted".to_string(),
    };
    if member.reason.is_empty() {
        word
    } else {
        format!("{word}: {}", member.reason)
    }
}

fn past(text: &mut String, report: &FailoverReport) {
    let start = &report.start;
    let _ = writeln!(
        text,
        "\nLAST FAILOVER  {}\n  {}",
        report.started_at,
        report.headline()
    );
    if !start.witnesses.is_empty() {
        text.push_str("  witnesses\n");
        for witness in &start.witnesses {
            let _ = writeln!(text, "    {witness}");
        }
    }
    if !start.candidates.is_empty() {
        text.push_str("  candidates\n");
        for candidate in &start.candidates {
            let _ = writeln!(
                text,
                "    {:<20} {} records of its group, {} in all{}",
                candidate.instance.as_str(),
                candidate.own_records,
                candidate.total_records,
                if candidate.refused.is_empty() {
                    ": chosen".to_string()
                } else {
                    format!(": {}", candidate.refused)
                }
            );
        }
    }
    text.push_str("  phases, in ms since the last sign of life of the old primary\n");
    for time in &report.phases {
        let _ = writeln!(text, "    {:<14} {:>7}", time.phase.as_str(), time.ms);
    }
    if let Some(records) = report.collected_records {
        let _ = writeln!(text, "  collected {records} records before it opened");
    }
    if !report.closed {
        text.push_str("  not everything is restored yet\n");
    }
}

fn events(text: &mut String, picture: &Picture) {
    text.push_str("\nEVENTS\n");
    let skipped = picture.events.len().saturating_sub(EVENTS_SHOWN);
    for event in picture.events.iter().skip(skipped) {
        let _ = writeln!(
            text,
            "  {} {:<7} {:<18} {}",
            event.at, event.severity, event.reason, event.message
        );
    }
    if picture.events.is_empty() {
        text.push_str("  none are kept\n");
    }
}

#[cfg(test)]
mod tests;
