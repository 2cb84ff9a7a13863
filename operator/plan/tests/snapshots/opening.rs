//! A claimed instance that does not open: who gets the claim, and that it never opens late.

use expect_test::expect;
use tandem_plan::Step;
use tandem_plan::double_master::DoubleMasterPlan;
use tandem_plan::failover_start::Kind;

use crate::fixture::{plan_of, text_of};

/// Slot `a` was claimed for `dm-a-1`, which answers and does not open; `a0` and `a2` are the others.
fn claimed(age: u64, rest: &str, a0: &str, a2: &str) -> String {
    format!(
        "
spec: {{replicasPerMaster: 2}}
claims:
  a: {{epoch: 2, instance: dm-a-1, age: {age}, from: dm-a-0}}
  b: {{epoch: 1, instance: dm-b-0}}
services: {{dm-rw: [dm-b-0], dm-ro: [dm-b-1, dm-b-2], dm-a: [dm-a-0], dm-b: [dm-b-0]}}
attempts:
  promote dm-a-1 epoch 2: {{age_ms: 100, failures: 6, error: refused}}
instances:
  dm-a-0: {{epoch: 1, holds: {{1: 100}}{a0}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 98}}}}
  dm-a-2: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 97}}{a2}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, holds: {{1: 90}}}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0, holds: {{1: 90}}}}
  dm-b-2: {{role: replica, epoch: 1, follows: dm-b-0, holds: {{1: 90}}}}
{rest}"
    )
}

const GONE: &str = ", role: double_master, exited: 9000";
const LIVES: &str = ", role: double_master, peer: dm-b-0";

fn steps(plan: &DoubleMasterPlan) -> Vec<String> {
    plan.groups[0].steps.iter().map(Step::to_string).collect()
}

fn blocked(plan: &DoubleMasterPlan) -> &str {
    let conditions = &plan.status.conditions;
    let found = conditions
        .iter()
        .find(|condition| condition.kind == "FailoverBlocked");
    found.map_or("", |condition| condition.reason.as_str())
}

#[test]
fn a_claim_that_is_not_taken_up_goes_to_the_next_best_candidate() {
    let early = plan_of(&claimed(5100, "", GONE, ""));
    assert!(early.groups[0].claim.is_none(), "{early}");
    expect![[r#"
        group a: opening dm-a-2 epoch 4
          claim epoch 2 => 4 dm-a-2
          candidate dm-a-2 own 97 total 97 chosen
          candidate dm-a-0 own 100 total 100 not chosen: its process has ended
          candidate dm-a-1 own 98 total 98 not chosen: dm-a-1 did not open within 5200 ms
          step! withdraw dm-a-1 epoch 3
          step  start dm-a-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1 dm-b-2
        service dm-rw -> dm-b-0
        event Warning ClaimPassedOn: failover of slot a: dm-a-0 (dm-a-1 did not open within 5200 ms) -> dm-a-2, epoch 4, at most 3 known records and 20 ms of writes wait for the old disk
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal InstanceStarted: dm-a-0 is started after its end: killed (signal 9)
        look again in 1000 ms
    "#]].assert_eq(&text_of(&claimed(5200, "", GONE, "")));
}

#[test]
fn it_goes_back_to_the_old_primary_when_that_one_lives() {
    let plan = plan_of(&claimed(5200, "", LIVES, ""));
    let claim = &plan.groups[0].claim.as_ref().expect("a claim").claim;
    assert_eq!((claim.instance.as_str(), claim.epoch), ("dm-a-0", 4));
    let start = plan.groups[0].failover.as_ref().expect("a report");
    assert_eq!(start.kind, Kind::Resume);
    assert_eq!(start.loss.known_missing_records, 0);
    let said: Vec<String> = plan.events.iter().map(ToString::to_string).collect();
    let wanted = "Warning ClaimPassedOn: resumption of slot a: dm-a-0 (dm-a-1 did not open within \
                  5200 ms) -> dm-a-0, epoch 4";
    assert_eq!(said, [wanted]);
}

#[test]
fn whoever_lost_the_claim_is_told_before_another_one_opens() {
    let next = |a1: &str, attempts: &str| {
        plan_of(&format!(
            "
spec: {{replicasPerMaster: 2}}
claims:
  a: {{epoch: 4, instance: dm-a-2, age: 100, from: dm-a-0,
       passed: [{{instance: dm-a-1, epoch: 2, at_ms: 999999900, times: 1}}]}}
  b: {{epoch: 1, instance: dm-b-0}}
attempts: {{{attempts}}}
instances:
  dm-a-0: {{epoch: 1, role: double_master, exited: 9000, holds: {{1: 100}}}}
  dm-a-1: {{holds: {{1: 98}}, {a1}}}
  dm-a-2: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 97}}}}
  dm-b-0: {{role: double_master, epoch: 1}}
"
        ))
    };
    let first = |plan: DoubleMasterPlan| steps(&plan).first().cloned().unwrap_or_default();
    let silent = "role: replica, epoch: 1, age: 9000, missed: 9";
    let promoted = "promote dm-a-2 epoch 4 collecting from dm-a-1";
    // It may still open under its epoch, or has done so in this moment.
    assert_eq!(
        first(next("role: replica, epoch: 1", "")),
        "withdraw dm-a-1 epoch 3"
    );
    assert_eq!(
        first(next("role: double_master, epoch: 2", "")),
        "withdraw dm-a-1 epoch 3"
    );
    let busy = "role: replica, epoch: 1, busy: promote dm-a-1 epoch 2";
    assert_eq!(first(next(busy, "")), "withdraw dm-a-1 epoch 3");
    // It knows, cannot be told, or does not take it.
    assert_eq!(first(next("role: waiting, epoch: 3", "")), promoted);
    assert_eq!(first(next(silent, "")), "promote dm-a-2 epoch 4");
    let refused = "withdraw dm-a-1 epoch 3: {age_ms: 9000, failures: 3, error: refused}";
    assert_eq!(first(next("role: replica, epoch: 1", refused)), promoted);
}

#[test]
fn a_claimed_instance_that_nobody_can_reach_does_not_hold_its_slot_for_ever() {
    let plan = |age: u64, missed: u32| {
        plan_of(&format!(
            "
claims:
  a: {{epoch: 2, instance: dm-a-1, age: {age}, from: dm-a-0}}
  b: {{epoch: 1, instance: dm-b-0}}
instances:
  dm-a-0: {{epoch: 1, holds: {{1: 100}}}}
  dm-a-1: {{unknown: true, age: 9000, missed: {missed}, role: replica, epoch: 1, holds: {{1: 98}}}}
  dm-b-0: {{role: double_master, epoch: 1}}
"
        ))
    };
    let state = |plan: DoubleMasterPlan| plan.groups[0].state.to_string();
    assert!(state(plan(5000, 30)).starts_with("suspect dm-a-1"));
    assert_eq!(state(plan(5200, 30)), "opening dm-a-0 epoch 4");
    assert!(
        state(plan(5200, 0)).starts_with("suspect dm-a-1"),
        "an operator that was stopped itself has not given it its time"
    );
}

#[test]
fn without_another_candidate_it_stays_claimed_and_that_is_said() {
    let plan = plan_of(&claimed(60_000, "", GONE, ", not_eligible: holes"));
    assert!(plan.groups[0].claim.is_none(), "{plan}");
    assert_eq!(plan.groups[0].state.to_string(), "opening dm-a-1 epoch 2");
    assert_eq!(blocked(&plan), "ClaimNotOpened");
    let open = claimed(60_000, "", GONE, "").replace(
        "role: replica, epoch: 1, follows: dm-a-0, holds: {1: 98}",
        "role: double_master, epoch: 2",
    );
    assert_eq!(
        plan_of(&open).groups[0].state.to_string(),
        "serving dm-a-1 epoch 2"
    );
}

#[test]
fn an_operator_that_just_came_tries_the_claimed_one_first() {
    let untried = claimed(600_000, "", GONE, "")
        .replace("promote dm-a-1 epoch 2: ", "promote dm-a-1 epoch 20: ");
    let plan = plan_of(&untried);
    assert!(plan.groups[0].claim.is_none(), "{plan}");
    assert_eq!(
        steps(&plan)[0],
        "promote dm-a-1 epoch 2 collecting from dm-a-2"
    );
}

#[test]
fn who_did_not_open_comes_last_and_rests_before_it_is_chosen_without_need() {
    let world = |cause: &str, requests: &str, at_ms: u64, a2: &str| {
        plan_of(&format!(
            "
spec: {{replicasPerMaster: 2}}
requests: [{requests}]
claims:
  a: {{epoch: 4, instance: dm-a-0, passed: [{{instance: dm-a-1, epoch: 2, at_ms: {at_ms}, times: 1}}]}}
  b: {{epoch: 1, instance: dm-b-0}}
services: {{dm-rw: [dm-b-0]}}
instances:
  dm-a-0: {{role: double_master, epoch: 4, peer: dm-b-0, holds: {{1: 9}}{cause}}}
  dm-a-1: {{role: replica, epoch: 4, follows: dm-a-0, holds: {{1: 9}}}}
  dm-a-2: {{role: replica, epoch: 4, follows: dm-a-0, holds: {{1: 8}}{a2}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
"
        ))
    };
    let just = 999_990_000;
    let leaving = ", placement: {leaving: node n1 is cordoned}";
    let chosen = |plan: &DoubleMasterPlan| {
        plan.groups[0]
            .claim
            .as_ref()
            .map_or_else(String::new, |step| step.claim.instance.to_string())
    };
    assert_eq!(chosen(&world(leaving, "", just, "")), "dm-a-2");
    let alone = world(leaving, "", just, ", link: connecting");
    assert_eq!(chosen(&alone), "", "{alone}");
    assert_eq!(blocked(&alone), "NobodyToHandOverTo");
    assert!(
        alone
            .to_string()
            .contains("did not open, 1 times; again in 400 ms"),
        "{alone}"
    );
    assert_eq!(
        chosen(&world(leaving, "", just - 400, ", link: connecting")),
        "dm-a-1"
    );
    // A person may insist, and need knows no rest.
    let named = "{kind: switchover, text: a=dm-a-1}";
    assert_eq!(chosen(&world("", named, just, "")), "dm-a-1");
    let any = "{kind: switchover, text: a}";
    assert_eq!(chosen(&world("", any, just, "")), "dm-a-2");
    let lost = world(", exited: 9", "", just, ", not_eligible: holes");
    assert_eq!(chosen(&lost), "dm-a-1");
    let both = world(", exited: 9", "", just, "");
    assert_eq!(chosen(&both), "dm-a-2");
    let why = "candidate dm-a-1 own 9 total 9 not chosen: was claimed and did not open, 1 times";
    assert!(both.to_string().contains(why), "{both}");
}
