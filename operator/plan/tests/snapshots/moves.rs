//! Switchovers, drains, rolls, scaling: what is taken away on purpose, and what comes first.

use tandem_plan::Step;
use tandem_plan::double_master::DoubleMasterPlan;
use tandem_plan::failover_start::Kind;

use crate::fixture::plan_of;

/// Two healthy slots with a replica each; `a0` ... `b1` add to an instance, `rest` to the world.
fn world(rest: &str, [a0, a1, b0, b1]: [&str; 4]) -> DoubleMasterPlan {
    plan_of(&format!(
        "
{rest}
claims: {{a: {{epoch: 1, instance: dm-a-0}}, b: {{epoch: 1, instance: dm-b-0}}}}
services: {{dm-rw: [dm-a-0], dm-ro: [dm-a-1, dm-b-1], dm-a: [dm-a-0], dm-b: [dm-b-0]}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, holds: {{1: 9, 2: 9}}{a0}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 9, 2: 9}}{a1}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, holds: {{1: 9, 2: 9}}{b0}}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0, holds: {{1: 9, 2: 9}}{b1}}}
"
    ))
}

/// The same without replicas.
fn bare(rest: &str, rw: &str, [a0, b0]: [&str; 2]) -> DoubleMasterPlan {
    plan_of(&format!(
        "
spec: {{replicasPerMaster: 0}}
{rest}
claims: {{a: {{epoch: 1, instance: dm-a-0}}, b: {{epoch: 1, instance: dm-b-0}}}}
services: {{dm-rw: [{rw}], dm-ro: [dm-a-0, dm-b-0], dm-a: [dm-a-0], dm-b: [dm-b-0]}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, holds: {{1: 9, 2: 9}}{a0}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, holds: {{1: 9, 2: 9}}{b0}}}
"
    ))
}

fn steps(plan: &DoubleMasterPlan) -> Vec<String> {
    plan.steps().map(Step::to_string).collect()
}

fn target(plan: &DoubleMasterPlan, service: &str) -> String {
    let found = plan
        .services
        .iter()
        .find(|(name, _)| name.as_str() == service);
    found.map_or_else(String::new, |(_, targets)| {
        targets
            .first()
            .map_or_else(String::new, ToString::to_string)
    })
}

fn condition<'a>(plan: &'a DoubleMasterPlan, kind: &str) -> (&'a str, &'a str) {
    let found = plan
        .status
        .conditions
        .iter()
        .find(|condition| condition.kind == kind);
    found.map_or(("", ""), |condition| {
        (condition.status.as_str(), condition.reason.as_str())
    })
}

const WELL: &str = "";
const OUTDATED: &str = ", placement: {outdated: image}";
const LEAVING: &str = ", placement: {leaving: node n1 is cordoned}";

#[test]
fn a_world_with_nothing_to_do_is_left_alone() {
    let plan = world("", [WELL; 4]);
    assert!(plan.is_idle(), "{plan}");
    assert_eq!(condition(&plan, "Progressing"), ("False", "UpToDate"));
    assert_eq!(condition(&plan, "FailoverBlocked"), ("False", "NotNeeded"));
}

#[test]
fn a_switchover_moves_rw_first_and_collects_from_the_old_primary() {
    let plan = world("requests: [{kind: switchover, text: a}]", [WELL; 4]);
    assert_eq!(
        steps(&plan),
        ["promote dm-a-1 epoch 2 collecting from dm-a-0"]
    );
    assert_eq!(target(&plan, "dm-rw"), "dm-b-0");
    assert_eq!(
        target(&plan, "dm-a"),
        "dm-a-0",
        "clients stay until the new one is open"
    );
    assert_eq!(
        plan.groups[0].failover.as_ref().map(|start| start.kind),
        Some(Kind::Switchover)
    );
    assert!(plan.replies[0].done, "{plan}");
}

#[test]
fn clients_leave_before_a_primary_hands_over_where_services_take_their_time() {
    let asked = "requests: [{kind: switchover, text: a}]";
    let reached = "sent_to: [dm-a-0]";
    let plan = world(&format!("{asked}\n{reached}"), [WELL; 4]);
    assert!(steps(&plan).is_empty(), "{plan}");
    assert_eq!(target(&plan, "dm-rw"), "dm-b-0");
    assert!(plan.replies.is_empty(), "the request waits, too: {plan}");
    let drained = world(reached, [LEAVING, WELL, WELL, WELL]);
    assert!(steps(&drained).is_empty(), "{drained}");
    assert_eq!(target(&drained, "dm-rw"), "dm-b-0");
    // The other slot cannot take them: nothing is gained by waiting.
    let both = world(reached, [LEAVING, WELL, ", read_only: true", WELL]);
    assert_eq!(
        steps(&both),
        ["promote dm-a-1 epoch 2 collecting from dm-a-0"]
    );
    let forced = "requests: [{kind: failover, text: a}]";
    let plan = world(&format!("{forced}\n{reached}"), [WELL; 4]);
    assert_eq!(plan.replies.len(), 1, "{plan}");
    let replaced = bare(reached, "dm-b-0", [OUTDATED, WELL]);
    assert!(steps(&replaced).is_empty(), "{replaced}");
}

#[test]
fn a_request_that_cannot_be_done_is_refused_with_the_reason() {
    let cases = [
        ("{kind: switchover, text: c}", "there is no slot c"),
        (
            "{kind: switchover, text: a=dm-b-1}",
            "has no instance dm-b-1",
        ),
        ("{kind: failover, text: ''}", "give <slot>"),
        (
            "{kind: resync, text: dm-a-4}",
            "there is no instance dm-a-4",
        ),
    ];
    for (request, wanted) in cases {
        let plan = world(&format!("requests: [{request}]"), [WELL; 4]);
        assert!(steps(&plan).is_empty(), "{plan}");
        let reply = &plan.replies[0];
        assert!(!reply.done && reply.message.contains(wanted), "{plan}");
    }
    let lagging = ", link: connecting";
    let request = "requests: [{kind: switchover, text: a}]";
    let plan = world(request, [WELL, lagging, WELL, WELL]);
    assert!(
        plan.replies[0].message.contains("does not stream"),
        "{plan}"
    );
    let plan = world("requests: [{kind: switchover, text: a=dm-a-0}]", [WELL; 4]);
    assert!(plan.replies[0].done && steps(&plan).is_empty(), "{plan}");
}

#[test]
fn a_cordoned_node_makes_its_primary_hand_over() {
    let plan = world("", [LEAVING, WELL, WELL, WELL]);
    assert_eq!(
        steps(&plan),
        ["promote dm-a-1 epoch 2 collecting from dm-a-0"]
    );
    assert_eq!(target(&plan, "dm-rw"), "dm-b-0");
    let replica = world("", [WELL, LEAVING, WELL, WELL]);
    assert!(steps(&replica).is_empty(), "{replica}");
    let nobody = world("", [LEAVING, LEAVING, WELL, WELL]);
    assert!(steps(&nobody).is_empty(), "{nobody}");
    assert_eq!(
        condition(&nobody, "FailoverBlocked"),
        ("True", "NobodyToHandOverTo")
    );
}

#[test]
fn both_primaries_on_one_cordoned_node_hand_over_one_after_the_other() {
    let plan = world("", [LEAVING, WELL, LEAVING, WELL]);
    let claims = plan
        .groups
        .iter()
        .filter(|group| group.claim.is_some())
        .count();
    assert_eq!(claims, 1, "{plan}");
}

#[test]
fn two_primaries_that_are_well_on_one_node_part_after_a_rest() {
    const ON_1: &str = ", placement: {node: n1}";
    const ON_2: &str = ", placement: {node: n2}";
    const NOWHERE: &str = "";
    let after = |rest_ms: u64| format!("spec: {{failover: {{apartMs: {rest_ms}}}}}");
    let apart = "promote dm-b-1 epoch 2 collecting from dm-b-0";
    // That of slot b goes: `-rw` leads to the other one.
    let plan = world(&after(60_000), [ON_1, ON_2, ON_1, ON_2]);
    assert_eq!(steps(&plan), [apart]);
    assert_eq!(target(&plan, "dm-rw"), "dm-a-0");
    let cause = plan.groups[1].failover.as_ref().map(|start| &start.cause);
    assert_eq!(
        cause.and_then(Option::as_ref).map(ToString::to_string),
        Some("both masters are on node n1".to_string())
    );
    // Its replica would be no better off: then the other slot's goes.
    let other = world(&after(60_000), [ON_1, ON_2, ON_1, ON_1]);
    assert_eq!(
        steps(&other),
        ["promote dm-a-1 epoch 2 collecting from dm-a-0"]
    );
    for (why, spec, places) in [
        (
            "they changed lately",
            after(60_001),
            [ON_1, ON_2, ON_1, ON_2],
        ),
        ("it is not wanted", after(0), [ON_1, ON_2, ON_1, ON_2]),
        ("they are apart", after(60_000), [ON_1, ON_2, ON_2, ON_1]),
        ("one node", after(60_000), [ON_1; 4]),
        ("no node is known", after(60_000), [NOWHERE; 4]),
        (
            "nobody is elsewhere for sure",
            after(60_000),
            [ON_1, NOWHERE, ON_1, NOWHERE],
        ),
        (
            "a replica is not well",
            after(60_000),
            [ON_1, ", placement: {node: n2, ready: false}", ON_1, ON_2],
        ),
    ] {
        let plan = world(&spec, places);
        assert!(plan.is_idle(), "{why}: {plan}");
    }
    let full = ", placement: {node: n2}, volume_full: true, read_only: true";
    let stays = world(&after(60_000), [ON_1, full, ON_1, full]);
    assert!(stays.is_idle(), "nobody can take over: {stays}");
    assert_eq!(condition(&stays, "FailoverBlocked"), ("False", "NotNeeded"));
}

#[test]
fn without_replicas_a_drained_primary_is_released_once_rw_is_at_the_peer() {
    let plan = bare("", "dm-a-0", [LEAVING, WELL]);
    assert_eq!(target(&plan, "dm-rw"), "dm-b-0");
    assert!(steps(&plan).is_empty(), "{plan}");
    assert_eq!(plan.groups[0].released.len(), 1, "{plan}");
    let both = bare("", "dm-a-0", [LEAVING, LEAVING]);
    assert!(
        both.groups.iter().all(|group| group.released.is_empty()),
        "{both}"
    );
}

#[test]
fn replicas_are_replaced_first_and_one_at_a_time() {
    let plan = world("", [OUTDATED; 4]);
    assert_eq!(steps(&plan), ["replace dm-a-1 (image)"]);
    assert_eq!(condition(&plan, "Progressing"), ("True", "Replacing"));
    let ill = world("", [OUTDATED, OUTDATED, WELL, ", link: connecting"]);
    assert!(steps(&ill).is_empty(), "{ill}");
    assert_eq!(condition(&ill, "Progressing"), ("True", "WaitingForHealth"));
}

#[test]
fn an_outdated_primary_hands_over_to_a_replica_that_is_current() {
    let plan = world("", [OUTDATED, WELL, WELL, WELL]);
    assert_eq!(
        steps(&plan),
        ["promote dm-a-1 epoch 2 collecting from dm-a-0"]
    );
    let alone = bare("", "dm-a-0", [OUTDATED, WELL]);
    assert!(steps(&alone).is_empty(), "{alone}");
    assert_eq!(target(&alone, "dm-rw"), "dm-b-0");
    let left = bare("", "dm-b-0", [OUTDATED, WELL]);
    assert_eq!(steps(&left), ["replace dm-a-0 (image)"]);
}

#[test]
fn a_bad_image_stops_at_one_instance_and_a_newer_specification_heals_it() {
    let bad = ", mute: true, running: 500, placement: {trouble: image x cannot be pulled}";
    let stopped = world("", [OUTDATED, bad, OUTDATED, OUTDATED]);
    assert!(
        !steps(&stopped)
            .iter()
            .any(|step| step.starts_with("replace")),
        "{stopped}"
    );
    let newer = ", mute: true, running: 500, \
                 placement: {trouble: image x cannot be pulled, outdated: image}";
    let healed = world("", [OUTDATED, newer, OUTDATED, OUTDATED]);
    assert_eq!(steps(&healed), ["replace dm-a-1 (image)"]);
}

#[test]
fn live_settings_are_applied_without_a_replacement() {
    let rest = "spec: {config: {maxmemory: 1gb}}";
    let settings = ", settings: {hz: '50'}";
    let plan = world(rest, [settings, WELL, WELL, WELL]);
    assert_eq!(steps(&plan), ["configure dm-a-0: hz=10 maxmemory=1gb"]);
}

#[test]
fn scaling_down_ends_a_replica_only_once_its_data_was_taken() {
    let rest = "spec: {replicasPerMaster: 0}";
    let plan = world(rest, [WELL; 4]);
    assert_eq!(steps(&plan), ["stop dm-a-1", "stop dm-b-1"]);
    let behind = world(rest, [WELL, ", link: connecting", WELL, WELL]);
    assert_eq!(steps(&behind), ["stop dm-b-1"]);
}

#[test]
fn nothing_is_started_in_the_place_of_what_is_stuck_in_its_end() {
    let stuck = ", unknown: true, age: 90000, missed: 99, placement: {terminating: true}";
    let plan = world("", [stuck, ", contact: 90000", ", contact: 90000", WELL]);
    assert_eq!(steps(&plan), ["promote dm-a-1 epoch 2"]);
    assert_eq!(target(&plan, "dm-rw"), "dm-b-0");
    let alone = world("", [stuck, WELL, WELL, WELL]);
    assert!(
        steps(&alone).is_empty(),
        "the operator alone does not decide: {alone}"
    );
    assert_eq!(
        condition(&alone, "FailoverBlocked"),
        ("True", "NotEstablished")
    );
}

#[test]
fn a_volume_of_another_group_is_a_condition_and_not_a_guess() {
    let rest = "retained: {dm-a-1: {serverId: 7, epoch: 3}}";
    let plan = world(rest, [WELL, ", absent: true", WELL, WELL]);
    assert!(steps(&plan).is_empty(), "{plan}");
    assert_eq!(condition(&plan, "Ready"), ("False", "ServerIdConflict"));
}

#[test]
fn an_epoch_below_that_of_a_volume_is_never_claimed() {
    let rest = "retained: {dm-a-1: {serverId: 1, epoch: 40}}\n\
                requests: [{kind: switchover, text: a}]";
    let plan = world(rest, [WELL; 4]);
    assert_eq!(
        plan.groups[0].claim.as_ref().map(|step| step.claim.epoch),
        Some(41)
    );
}

#[test]
fn while_paused_nothing_changes_and_requests_wait() {
    let rest = "spec: {pause: true}\nrequests: [{kind: switchover, text: a}]";
    let plan = world(rest, [LEAVING, WELL, WELL, OUTDATED]);
    assert!(plan.is_idle() && plan.replies.is_empty(), "{plan}");
    assert_eq!(target(&plan, "dm-rw"), "dm-a-0");
}
