//! Silence: who has to say so, for 0, 1 and 2 replicas.

use std::fmt::Write as _;

use expect_test::expect;
use tandem_plan::state::State;

use crate::WHOLE;
use crate::fixture::{plan_of, text_of};

/// The state of slot `a` whose primary is silent, by what its observers say: `d` has lost it, `a` is
/// in contact, `n` has no link to it, `s` is silent itself, `x` has ended. The peer comes first.
fn verdict(replicas: u8, observers: &str) -> String {
    let mut yaml = format!(
        "
spec: {{replicasPerMaster: {replicas}}}
claims:
  a: {{epoch: 1, instance: dm-a-0}}
  b: {{epoch: 1, instance: dm-b-0}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, age: 700, missed: 3, holds: {{1: 9}}}}
"
    );
    for (index, word) in observers.chars().enumerate() {
        let (name, link) = match index {
            0 => (
                "dm-b-0".to_string(),
                "role: double_master, peer: dm-a-0".to_string(),
            ),
            n => (
                format!("dm-a-{n}"),
                "role: replica, follows: dm-a-0".to_string(),
            ),
        };
        let rest = match word {
            'd' | 'n' => "contact: 700",
            'a' => "contact: 30",
            's' => "age: 700, missed: 3",
            _ => "exited: 5000",
        };
        let link = if word == 'n' {
            link.replace("dm-a-0", "dm-b-5")
        } else {
            link
        };
        let _ = writeln!(
            yaml,
            "  {name}: {{{link}, epoch: 1, holds: {{1: 9}}, {rest}}}"
        );
    }
    match &plan_of(&yaml).groups[0].state {
        State::Suspect { .. } => "suspect".into(),
        State::Opening { .. } => "failover".into(),
        State::Lost { .. } => "dead".into(),
        other => other.to_string(),
    }
}

#[test]
fn the_table_of_votes_is_as_documented() {
    let cases = [
        // No replica: operator and peer, both.
        (0, "d", "dead"),
        (0, "a", "suspect"),
        (0, "s", "suspect"),
        (0, "x", "dead"),
        // One replica: two of three, one in the data plane.
        (1, "dd", "failover"),
        (1, "ad", "failover"),
        (1, "da", "failover"),
        (1, "aa", "suspect"),
        (1, "sd", "failover"),
        (1, "ss", "suspect"),
        (1, "xd", "failover"),
        (1, "xa", "suspect"),
        // Two replicas: three of four.
        (2, "ddd", "failover"),
        (2, "add", "failover"),
        (2, "dad", "failover"),
        (2, "aad", "suspect"),
        (2, "sad", "suspect"),
        (2, "sdd", "failover"),
        (2, "xdd", "failover"),
        (2, "xxd", "failover"),
        (2, "xad", "failover"),
        (2, "xaa", "suspect"),
        // Who has no link to it does not watch; somebody in the data plane has to, all the same.
        (2, "nnd", "failover"),
        (2, "nda", "failover"),
        (2, "naa", "suspect"),
        (1, "nd", "failover"),
        (1, "na", "suspect"),
        (1, "nn", "suspect"),
        (0, "n", "suspect"),
    ];
    for (replicas, observers, wanted) in cases {
        assert_eq!(
            verdict(replicas, observers),
            wanted,
            "{replicas} replicas, {observers}"
        );
    }
}

#[test]
fn a_hang_is_established_by_the_replica_and_reported_with_all_witnesses() {
    expect![[r#"
        group a: opening dm-a-1 epoch 2
          claim epoch 1 => 2 dm-a-1
          witness operator: no contact for 650 ms
          witness dm-a-1: no contact for 660 ms
          witness dm-b-0: contact 120 ms ago
          candidate dm-a-1 own 100 total 100 chosen
          candidate dm-a-0 own 100 total 100 not chosen: hung, silent for 650 ms
          step! promote dm-a-1 epoch 2
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Warning FailoverStarted: failover of slot a: dm-a-0 (hung, silent for 650 ms) -> dm-a-1, epoch 2, at most 0 known records and 650 ms of writes wait for the old disk
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal WriterSwitched: dm-rw: dm-a-0 -> dm-b-0
        look again in 1000 ms
    "#]].assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, age: 650, missed: 5, holds: {{1: 100}}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, contact: 640, holds: {{1: 100}}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, contact: 100}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
    )));
}

#[test]
fn an_operator_that_was_stopped_itself_condemns_nobody() {
    expect![[r#"
        group a: suspect dm-a-0 epoch 1: 0 probes missed, 2 needed
        group b: suspect dm-b-0 epoch 1: 0 probes missed, 2 needed
        service dm-a -> dm-a-0
        service dm-b -> dm-b-0
        service dm-ro -> nobody
        service dm-rw -> dm-a-0
        waits for a verdict on dm-a-0 (operator: contact 9000 ms ago; dm-a-1: does not answer; dm-b-0: does not answer)
        waits for a verdict on dm-b-0 (operator: contact 9000 ms ago; dm-b-1: does not answer; dm-a-0: does not answer)
        look again in 250 ms
    "#]].assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, age: 9000}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, age: 9000}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, age: 9000}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0, age: 9000}}
"
    )));
}

#[test]
fn silence_soon_after_a_failover_by_silence_moves_rw_and_waits_with_the_promotion() {
    let yaml = |by_silence: bool| {
        format!(
            "
claims:
  a: {{epoch: 1, instance: dm-a-0, age: 1000, by_silence: {by_silence}}}
  b: {{epoch: 1, instance: dm-b-0}}
services: {{dm-rw: [dm-a-0]}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, age: 650, missed: 5, holds: {{1: 100}}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, contact: 640, holds: {{1: 100}}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
        )
    };
    let quiet = plan_of(&yaml(true));
    assert_eq!(
        quiet.groups[0].state.to_string(),
        "lost: dm-a-0: hung, silent for 650 ms, soon after a failover by silence"
    );
    let rw = |plan: &tandem_plan::double_master::DoubleMasterPlan| plan.services.clone();
    assert_eq!(
        format!("{:?}", rw(&quiet).into_values().next_back()),
        "Some([dm-b-0])"
    );
    assert_eq!(
        plan_of(&yaml(false)).groups[0].state.to_string(),
        "opening dm-a-1 epoch 2"
    );
}

#[test]
fn a_broken_link_alone_is_no_failover() {
    let yaml = "
claims:
  a: {epoch: 1, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
instances:
  dm-a-0: {role: double_master, epoch: 1, peer: dm-b-0}
  dm-a-1: {role: replica, epoch: 1, follows: dm-a-0, contact: 9000, link: connecting}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, contact: 9000, link: connecting}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
";
    assert_eq!(
        plan_of(yaml).groups[0].state.to_string(),
        "serving dm-a-0 epoch 1"
    );
}

#[test]
fn a_hung_disk_shows_by_writes_that_are_not_durable() {
    let yaml = "
claims:
  a: {epoch: 1, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
instances:
  dm-a-0: {role: double_master, epoch: 1, peer: dm-b-0, unsynced: 10500, holds: {1: 4}}
  dm-a-1: {role: replica, epoch: 1, follows: dm-a-0, holds: {1: 4}}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
";
    let plan = plan_of(yaml);
    assert_eq!(plan.groups[0].state.to_string(), "opening dm-a-1 epoch 2");
    let cause = plan.groups[0]
        .failover
        .as_ref()
        .and_then(|start| start.cause.as_ref());
    assert_eq!(cause.unwrap().to_string(), "disk hung for 10500 ms");
}

#[test]
fn an_operator_that_just_came_believes_those_who_watched() {
    let state = |running: u64, ran_before: bool, contact: u64| {
        let plan = plan_of(&format!(
            "
claims:
  a: {{epoch: 1, instance: dm-a-0}}
  b: {{epoch: 1, instance: dm-b-0}}
instances:
  dm-a-0: {{mute: true, running: {running}, missed: 5, ran_before: {ran_before}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, contact: {contact}, holds: {{1: 4}}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, contact: {contact}}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
        ));
        let text = plan.groups[0].state.to_string();
        text.split(' ')
            .next()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    // Lost with its node: replica and peer know it, the rest of assembleMs is not waited for.
    assert_eq!(state(1100, true, 9000), "assembling,");
    assert_eq!(state(1200, true, 9000), "opening");
    // One that was just started boots.
    assert_eq!(state(1200, false, 9000), "assembling,");
    assert_eq!(state(3000, false, 9000), "opening");
    // Others hear it: the operator is the one that is cut off.
    assert_eq!(state(1200, true, 30), "assembling,");
    assert_eq!(state(3000, true, 30), "suspect");
}

#[test]
fn rw_leaves_a_primary_that_nobody_hears_although_its_role_stays() {
    let rw = |b0: &str, a1: &str| {
        let plan = plan_of(&format!(
            "
spec: {{replicasPerMaster: 2}}
claims:
  a: {{epoch: 1, instance: dm-a-0}}
  b: {{epoch: 1, instance: dm-b-0}}
services: {{dm-rw: [dm-a-0]}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, age: 700, missed: 3, holds: {{1: 9}}}}
  dm-a-1: {{role: replica, epoch: 1, {a1}}}
  dm-a-2: {{role: replica, epoch: 1, follows: dm-a-0, age: 9000, missed: 9}}
  dm-b-0: {{role: double_master, epoch: 1{b0}}}
"
        ));
        assert!(plan.groups[0].claim.is_none(), "{plan}");
        let state = plan.groups[0].state.to_string();
        assert!(state.starts_with("suspect dm-a-0"), "{plan}");
        plan.services.into_values().next_back().unwrap()[0].to_string()
    };
    let silent = "follows: dm-a-0, age: 9000, missed: 9";
    assert_eq!(rw("", silent), "dm-b-0");
    assert_eq!(
        rw("", "follows: dm-a-0, contact: 30"),
        "dm-a-0",
        "it is heard"
    );
    assert_eq!(rw(", read_only: true", silent), "dm-a-0", "nobody else can");
}
