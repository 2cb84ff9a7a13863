//! What follows a failover: the old primary returns, links are mended, processes restarted.

use expect_test::expect;

use crate::WHOLE;
use crate::fixture::{plan_of, text_of};

#[test]
fn an_old_writer_that_returns_is_fenced_behind_the_new_one() {
    expect![[r#"
        group a: serving dm-a-1 epoch 2
          step! fence dm-a-0 behind dm-a-1 epoch 2
        group b: serving dm-b-0 epoch 1
        service dm-a -> dm-a-1
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Warning OldWriterFenced: dm-a-0 wrote under an older epoch; it follows dm-a-1 (epoch 2), which takes what dm-a-0 alone holds
        look again in 1000 ms
    "#]].assert_eq(&text_of(
        "
claims:
  a: {epoch: 2, instance: dm-a-1, age: 2000}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-b-1], dm-a: [dm-a-1], dm-b: [dm-b-0]}
instances:
  dm-a-0: {role: double_master, epoch: 1, peer: dm-b-0}
  dm-a-1: {role: double_master, epoch: 2, peer: dm-b-0}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-1}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
",
    ));
}

#[test]
fn a_restarted_old_primary_follows_and_the_peer_is_pointed_at_the_new_one() {
    expect![[r#"
        group a: serving dm-a-1 epoch 2
          step  follow dm-a-0 -> dm-a-1 epoch 2
          step  peer dm-a-1 -> dm-b-0 server id 2
        group b: serving dm-b-0 epoch 1
          step  peer dm-b-0 -> dm-a-1 server id 1
        service dm-a -> dm-a-1
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Normal ReplicaRepointed: dm-a-0 follows dm-a-1, epoch 2
        event Normal PeerFormed: dm-a-1 pulls from dm-b-0, server id 2
        event Normal PeerFormed: dm-b-0 pulls from dm-a-1, server id 1
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(
        "
claims:
  a: {epoch: 2, instance: dm-a-1, age: 2000}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-b-1], dm-a: [dm-a-1], dm-b: [dm-b-0]}
instances:
  dm-a-0: {running: 100, epoch: 1, holds: {1: 101}}
  dm-a-1: {role: primary, epoch: 2, holds: {1: 100}}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, link: connecting}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
",
    ));
}

#[test]
fn two_links_that_lost_their_place_are_resynced_one_after_the_other() {
    expect![[r#"
        group a: serving dm-a-0 epoch 1
          step! full resync dm-a-0 <- dm-b-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> dm-a-0
        service dm-b -> dm-b-0
        service dm-ro -> dm-a-1 dm-b-1
        service dm-rw -> dm-a-0
        event Warning ResyncRequested: dm-a-0 lost its place in the log of dm-b-0 and merges its state
        waits for full resync dm-b-0 <- dm-a-0 (another full resync runs; one at a time)
        look again in 250 ms
    "#]].assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, link: lost_place}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, link: lost_place}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
    )));
}

#[test]
fn a_writer_promoted_by_hand_is_believed() {
    expect![[r#"
        group a: serving dm-a-1 epoch 2
          claim epoch 1 => 2 dm-a-1
          step  peer dm-a-1 -> dm-b-0 server id 2
        group b: serving dm-b-0 epoch 1
          step  peer dm-b-0 -> dm-a-1 server id 1
        service dm-a -> dm-a-1
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-a-1
        event Normal PrimaryResumes: slot a: dm-a-1 writes under epoch 2, which no claim had given; it is believed
        event Normal SlotSwitched: dm-a: dm-a-0 -> dm-a-1
        event Normal WriterSwitched: dm-rw: dm-a-0 -> dm-a-1
        event Normal PeerFormed: dm-a-1 pulls from dm-b-0, server id 2
        event Normal PeerFormed: dm-b-0 pulls from dm-a-1, server id 1
        look again in 1000 ms
    "#]].assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0}}
  dm-a-1: {{role: primary, epoch: 2}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
    )));
}

#[test]
fn what_hangs_for_long_is_restarted_and_what_exits_fast_is_waited_for() {
    expect![[r#"
        group a: serving dm-a-1 epoch 2
          step! restart dm-a-0 (silent for 16000 ms)
        group b: serving dm-b-0 epoch 1
        service dm-a -> dm-a-1
        service dm-b -> dm-b-0
        service dm-ro -> dm-a-1 dm-b-0
        service dm-rw -> dm-b-0
        event Warning InstanceRestarted: dm-a-0 is killed and started again: silent for 16000 ms
        waits for the restart of dm-b-1 (killed (signal 9); 3 quick exits in a row)
        look again in 250 ms
    "#]]
    .assert_eq(&text_of(
        "
claims:
  a: {epoch: 2, instance: dm-a-1}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-b-0], dm-a: [dm-a-1], dm-b: [dm-b-0]}
instances:
  dm-a-0: {role: double_master, epoch: 1, age: 16000, missed: 60}
  dm-a-1: {role: double_master, epoch: 2, peer: dm-b-0}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-1}
  dm-b-1: {exited: 150, quick_exits: 3, role: replica, epoch: 1}
",
    ));
}

#[test]
fn a_step_that_fails_is_tried_less_and_less_often() {
    let yaml = |age: u64| {
        format!(
            "{WHOLE}
attempts:
  follow dm-a-1 -> dm-a-0 epoch 1: {{age_ms: {age}, failures: 3, error: connection refused}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0}}
  dm-a-1: {{epoch: 1}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
        )
    };
    let early = plan_of(&yaml(300));
    assert_eq!(early.steps().count(), 0);
    assert_eq!(
        early.waits_for[0].to_string(),
        "follow dm-a-1 -> dm-a-0 epoch 1 (tried 3 times: connection refused)"
    );
    assert_eq!(plan_of(&yaml(400)).steps().count(), 1);
}

#[test]
fn a_smaller_specification_stops_replicas_and_moves_the_primary_into_it() {
    expect![[r#"
        group a: opening dm-a-0 epoch 3
          claim epoch 2 => 3 dm-a-0
          candidate dm-a-0 own 0 total 0 chosen
          step! promote dm-a-0 epoch 3
        group b: serving dm-b-0 epoch 1
          step! stop dm-b-1
        service dm-a -> dm-a-1
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Normal SwitchoverStarted: switchover of slot a: dm-a-1 (beyond the wanted number of replicas) -> dm-a-0, epoch 3
        event Normal InstanceStopped: dm-b-1 is not wanted any more; its data stays
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(
        "
spec: {replicasPerMaster: 0}
claims:
  a: {epoch: 2, instance: dm-a-1}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-a-0, dm-b-1], dm-a: [dm-a-1], dm-b: [dm-b-0]}
instances:
  dm-a-0: {role: replica, epoch: 2, follows: dm-a-1}
  dm-a-1: {role: double_master, epoch: 2, peer: dm-b-0}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-1}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
",
    ));
}
