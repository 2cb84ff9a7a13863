//! What a person reads after a failover, and when none comes.

use tandem_api::condition::{Condition, ConditionStatus};
use tandem_api::double_master::{DoubleMasterStatus, LinkSummary};
use tandem_api::{GroupName, InstanceName};
use tandem_plan::detection::{Cause, Testimony, Witness};
use tandem_plan::election::Candidate;
use tandem_plan::failover_start::{FailoverStart, Kind, Loss};
use tandem_plan::report::Phase;

use super::*;
use crate::plugin::picture::{ClaimSeen, EventSeen};

fn instance(name: &str) -> InstanceName {
    InstanceName::parse(name).unwrap()
}

fn member(name: &str, role: &str, lag_records: u64) -> MemberStatus {
    let is_writer = role == "double_master";
    MemberStatus {
        name: name.into(),
        slot: "a".into(),
        role: role.into(),
        writable: is_writer,
        eligible: true,
        lag_records,
        ..MemberStatus::default()
    }
}

fn picture() -> Picture {
    let mut replica = member("demo-a-0", "replica", 4);
    replica.links = vec![LinkSummary {
        kind: "replica".into(),
        source: "demo-a-1".into(),
        state: "streaming".into(),
        ..LinkSummary::default()
    }];
    Picture {
        name: "demo".into(),
        namespace: "prod".into(),
        generation: 2,
        pause: false,
        replicas_per_master: 1,
        status: DoubleMasterStatus {
            observed_generation: 2,
            conditions: vec![Condition {
                kind: "Ready".into(),
                status: ConditionStatus::False,
                reason: "PeerLinkDown".into(),
                message: "slot a does not stream from its peer".into(),
                observed_generation: 2,
                last_transition_time: "2026-11-21T11:00:00.000Z".into(),
            }],
            members: vec![member("demo-a-1", "double_master", 0), replica],
            waits_for: vec!["demo-b-0 (just started)".into()],
            ..DoubleMasterStatus::default()
        },
        claims: vec![ClaimSeen {
            slot: "a".into(),
            instance: "demo-a-1".into(),
            epoch: 3,
        }],
        last_failover_report: None,
        events: Vec::new(),
    }
}

fn report() -> FailoverReport {
    let start = FailoverStart {
        group: GroupName::a(),
        kind: Kind::Failover,
        cause: Some(Cause::Hung { silent_ms: 812 }),
        witnesses: vec![Witness {
            observer: "demo-a-1".into(),
            testimony: Testimony::Dead { silent_ms: 790 },
        }],
        candidates: vec![
            Candidate {
                instance: instance("demo-a-1"),
                own_records: 120,
                total_records: 200,
                refused: String::new(),
            },
            Candidate {
                instance: instance("demo-a-2"),
                own_records: 90,
                total_records: 170,
                refused: "holds 30 records of the group less".into(),
            },
        ],
        old: Some(instance("demo-a-0")),
        old_epoch: 2,
        new: instance("demo-a-1"),
        epoch: 3,
        lost_ms_ago: 812,
        loss: Loss::default(),
    };
    let mut report = FailoverReport::open(start, true, 1_795_261_439_123);
    report.mark(Phase::Promoted, 1_795_261_439_200);
    report
}

#[test]
fn a_slot_says_who_writes_and_who_would_follow() {
    let text = render(&picture());
    for wanted in [
        "SLOT a  claimed for demo-a-1, epoch 3",
        "demo-a-1             double_master writes",
        "may be promoted, 4 records behind; replica link from demo-a-1 streaming",
        "if its primary were lost now: demo-a-0 is whole and 4 records behind",
        "SLOT b  nobody has claimed it yet",
        "no replica could take over; -rw moves to the peer",
        "demo-b-0 (just started)",
        "slot a does not stream from its peer",
        "LAST FAILOVER  none",
    ] {
        assert!(text.contains(wanted), "`{wanted}` is not in\n{text}");
    }
}

#[test]
fn a_pause_is_named_as_what_it_waits_for() {
    let mut picture = picture();
    picture.pause = true;
    assert!(render(&picture).contains("spec.pause to be taken away"));
}

#[test]
fn a_failover_shows_witnesses_candidates_and_phases() {
    let mut picture = picture();
    picture.last_failover_report = Some(report());
    picture.events = vec![EventSeen {
        at: "2026-11-21T11:43:59.200Z".into(),
        severity: "Warning".into(),
        reason: "FailoverStarted".into(),
        message: "slot a: demo-a-0 -> demo-a-1".into(),
    }];
    let text = render(&picture);
    for wanted in [
        "failover of slot a: demo-a-0 (hung, silent for 812 ms) -> demo-a-1, epoch 3",
        "demo-a-1: no contact for 790 ms",
        "120 records of its group, 200 in all: chosen",
        "90 records of its group, 170 in all: holds 30 records of the group less",
        "promoted           889",
        "not everything is restored yet",
        "Warning FailoverStarted    slot a: demo-a-0 -> demo-a-1",
    ] {
        assert!(text.contains(wanted), "`{wanted}` is not in\n{text}");
    }
}

#[test]
fn only_the_latest_events_are_shown() {
    let mut picture = picture();
    picture.events = (0..40)
        .map(|n| EventSeen {
            at: "2026-11-21T11:43:59.200Z".into(),
            severity: "Normal".into(),
            reason: "SlotSwitched".into(),
            message: format!("number {n}."),
        })
        .collect();
    let text = render(&picture);
    assert!(
        text.contains("number 39.") && text.contains("number 25."),
        "{text}"
    );
    assert!(!text.contains("number 24."), "{text}");
}
