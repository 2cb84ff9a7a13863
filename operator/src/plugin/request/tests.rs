//! What is refused before the operator is asked, and how far a request is.

use tandem_api::condition::Condition;
use tandem_api::double_master::{MemberStatus, ServiceStatus};

use super::*;
use crate::plugin::picture::ClaimSeen;

fn switchover(to: Option<&str>) -> Ask {
    Ask::Switchover(Slot::A, to.map(String::from))
}

fn member(name: &str, slot: &str, writable: bool) -> MemberStatus {
    MemberStatus {
        name: name.into(),
        slot: slot.into(),
        writable,
        ..MemberStatus::default()
    }
}

fn object() -> DoubleMaster {
    let mut object = DoubleMaster::new("demo", DoubleMasterSpec::default());
    object.status = Some(DoubleMasterStatus {
        members: vec![
            member("demo-a-0", "a", true),
            member("demo-a-1", "a", false),
            member("demo-b-0", "b", true),
        ],
        ..DoubleMasterStatus::default()
    });
    object
}

fn refusal(ask: &Ask, object: &DoubleMaster) -> String {
    match check(ask, object) {
        Err(error) => format!("{error}; {}", error.remedy().unwrap_or_default()),
        Ok(()) => "taken".into(),
    }
}

#[test]
fn a_request_is_the_annotation_that_the_operator_reads() {
    assert_eq!(switchover(None).annotation(), "tandem.dev/switchover");
    assert_eq!(switchover(None).request().text, "a");
    assert_eq!(switchover(Some("demo-a-1")).request().text, "a=demo-a-1");
    let resync = Ask::Resync("demo-b-0".into());
    assert_eq!(resync.annotation(), "tandem.dev/resync");
    assert_eq!(resync.request().text, "demo-b-0");
    let failover = Ask::Failover(Slot::B, None);
    assert_eq!(failover.annotation(), "tandem.dev/failover");
    assert!(failover.request().target().is_ok() && resync.request().target().is_ok());
}

#[test]
fn a_target_of_another_slot_is_refused_with_those_that_are() {
    assert_eq!(refusal(&switchover(Some("demo-a-1")), &object()), "taken");
    let text = refusal(&switchover(Some("demo-b-0")), &object());
    assert!(text.contains("no instance `demo-b-0` in slot a"), "{text}");
    assert!(text.contains("there are demo-a-0, demo-a-1"), "{text}");
    let text = refusal(&Ask::Resync("demo-c-0".into()), &object());
    assert!(text.contains("demo-b-0"), "{text}");
}

#[test]
fn a_paused_or_busy_resource_is_not_asked() {
    let mut paused = object();
    paused.spec.pause = true;
    assert!(refusal(&switchover(None), &paused).contains("set spec.pause to false"));
    let mut busy = object();
    let asked = [("tandem.dev/failover".to_string(), "b".to_string())];
    busy.metadata.annotations = Some(asked.into());
    let text = refusal(&switchover(None), &busy);
    assert!(text.contains("already asked for `failover b`"), "{text}");
}

fn picture(epoch: u64, holder: &str) -> Picture {
    let status = DoubleMasterStatus {
        members: vec![
            member("demo-a-0", "a", holder == "demo-a-0"),
            member("demo-a-1", "a", holder == "demo-a-1"),
        ],
        services: vec![ServiceStatus {
            name: "demo-a".into(),
            targets: vec![holder.into()],
            ..ServiceStatus::default()
        }],
        ..DoubleMasterStatus::default()
    };
    Picture {
        name: "demo".into(),
        namespace: "prod".into(),
        generation: 1,
        pause: false,
        replicas_per_master: 1,
        status,
        claims: vec![ClaimSeen {
            slot: "a".into(),
            instance: holder.into(),
            epoch,
        }],
        last_failover_report: None,
        events: Vec::new(),
    }
}

fn ready(picture: &mut Picture) {
    picture.status.conditions = vec![Condition {
        kind: "Ready".into(),
        status: ConditionStatus::True,
        reason: "AllServing".into(),
        message: String::new(),
        observed_generation: 1,
        last_transition_time: String::new(),
    }];
}

#[test]
fn a_switchover_is_served_once_the_new_holder_writes_and_the_slot_points_at_it() {
    let before = Before {
        epoch: 2,
        full_resyncs: 0,
    };
    let ask = switchover(None);
    let stage = |pending, picture: &Picture| judge(&ask, &before, pending, picture);
    let mut old = picture(2, "demo-a-0");
    ready(&mut old);
    assert_eq!(stage(true, &old), Stage::Asked);
    assert_eq!(stage(false, &old), Stage::Taken);
    let mut closed = picture(3, "demo-a-1");
    closed.status.members[1].writable = false;
    assert_eq!(stage(true, &closed), Stage::Asked);
    let mut new = picture(3, "demo-a-1");
    assert_eq!(stage(true, &new), Stage::Served);
    ready(&mut new);
    assert_eq!(stage(true, &new), Stage::Served);
    assert_eq!(stage(false, &new), Stage::Restored);
    new.status.services[0].targets.clear();
    assert_eq!(stage(false, &new), Stage::Taken);
}

#[test]
fn a_resync_ends_when_one_more_was_counted_and_the_links_stream() {
    let before = Before {
        epoch: 0,
        full_resyncs: 1,
    };
    let ask = Ask::Resync("demo-a-1".into());
    let mut picture = picture(2, "demo-a-0");
    let link = |state: &str, full_resyncs| LinkSummary {
        kind: "replica".into(),
        state: state.into(),
        full_resyncs,
        ..LinkSummary::default()
    };
    picture.status.members[1].links = vec![link("streaming", 1)];
    assert_eq!(judge(&ask, &before, false, &picture), Stage::Taken);
    picture.status.members[1].links = vec![link("full_resync", 2)];
    assert_eq!(judge(&ask, &before, false, &picture), Stage::Taken);
    picture.status.members[1].links = vec![link("streaming", 2)];
    assert_eq!(judge(&ask, &before, true, &picture), Stage::Asked);
    assert_eq!(judge(&ask, &before, false, &picture), Stage::Restored);
}
