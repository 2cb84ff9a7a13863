//! From nothing to a pair, and from data to a pair.

use expect_test::expect;

use crate::fixture::{plan_of, text_of};

#[test]
fn nothing_runs_everything_is_started() {
    expect![[r#"
        group a: assembling, waits for dm-a-0 dm-a-1
          step  start dm-a-0
          step  start dm-a-1
        group b: assembling, waits for dm-b-0 dm-b-1
          step  start dm-b-0
          step  start dm-b-1
        service dm-a -> nobody
        service dm-b -> nobody
        service dm-ro -> nobody
        service dm-rw -> nobody
        event Normal InstanceStarted: dm-a-0 is started
        event Normal InstanceStarted: dm-a-1 is started
        event Normal InstanceStarted: dm-b-0 is started
        event Normal InstanceStarted: dm-b-1 is started
        waits for dm-a-0, dm-a-1 (it may hold more than the others and has not answered since its start)
        waits for dm-b-0, dm-b-1 (it may hold more than the others and has not answered since its start)
        look again in 250 ms
    "#]].assert_eq(&text_of("{}"));
}

#[test]
fn a_slot_waits_for_instances_that_may_hold_more() {
    expect![[r#"
        group a: assembling, waits for dm-a-1
        group b: opening dm-b-0 epoch 1
          claim epoch 0 => 1 dm-b-0
          candidate dm-b-0 own 0 total 0 chosen
          candidate dm-b-1 own 0 total 0 not chosen: equal data; dm-b-0 comes first by claim, priority or name
          step! promote dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> nobody
        service dm-ro -> nobody
        service dm-rw -> nobody
        event Normal FirstPrimary: first primary of slot b: dm-b-0, epoch 1
        waits for dm-a-1 (it may hold more than the others and has not answered since its start)
        look again in 250 ms
    "#]].assert_eq(&text_of(
        "
instances:
  dm-a-0: {running: 100, holds: {1: 5}}
  dm-a-1: {running: 100, mute: true}
  dm-b-0: {running: 100}
  dm-b-1: {running: 100}
",
    ));
}

#[test]
fn an_instance_that_never_answers_is_not_waited_for_for_ever() {
    expect![[r#"
        group a: opening dm-a-1 epoch 2
          claim epoch 0 => 2 dm-a-1
          candidate dm-a-1 own 5 total 5 chosen
          candidate dm-a-0 own 0 total 0 not chosen: it does not answer
          step! promote dm-a-1 epoch 2
        group b: opening dm-b-0 epoch 1
          claim epoch 0 => 1 dm-b-0
          candidate dm-b-0 own 0 total 0 chosen
          candidate dm-b-1 own 0 total 0 not chosen: equal data; dm-b-0 comes first by claim, priority or name
          step! promote dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> nobody
        service dm-ro -> nobody
        service dm-rw -> nobody
        event Normal FirstPrimary: first primary of slot a: dm-a-1, epoch 2
        event Normal FirstPrimary: first primary of slot b: dm-b-0, epoch 1
        look again in 1000 ms
    "#]].assert_eq(&text_of(
        "
spec: {replicasPerMaster: 1}
instances:
  dm-a-0: {running: 4000, mute: true, missed: 9}
  dm-a-1: {running: 4000, holds: {1: 5}}
  dm-b-0: {running: 4000, busy: promote dm-b-0 1}
  dm-b-1: {running: 4000}
",
    ));
}

#[test]
fn after_a_restart_of_all_the_one_with_most_data_resumes_under_a_new_epoch() {
    expect![[r#"
        group a: opening dm-a-1 epoch 4
          claim epoch 3 => 4 dm-a-1
          candidate dm-a-1 own 100 total 110 chosen
          candidate dm-a-0 own 90 total 100 not chosen: holds 90 own records, dm-a-1 100
          step! promote dm-a-1 epoch 4 collecting from dm-a-0
        group b: opening dm-b-1 epoch 8
          claim epoch 7 => 8 dm-b-1
          candidate dm-b-1 own 10 total 100 chosen
          candidate dm-b-0 own 10 total 100 not chosen: equal data; dm-b-1 comes first by claim, priority or name
          step! promote dm-b-1 epoch 8 collecting from dm-b-0
        service dm-a -> nobody
        service dm-b -> nobody
        service dm-ro -> nobody
        service dm-rw -> nobody
        event Warning FailoverStarted: failover of slot a: dm-a-0 (restarted) -> dm-a-1, epoch 4, at most 0 known records and 20 ms of writes wait for the old disk
        event Normal PrimaryResumes: resumption of slot b: dm-b-1 (restarted) -> dm-b-1, epoch 8
        look again in 1000 ms
    "#]].assert_eq(&text_of(
        "
claims:
  a: {epoch: 3, instance: dm-a-0}
  b: {epoch: 7, instance: dm-b-1}
instances:
  dm-a-0: {running: 200, epoch: 3, holds: {1: 90, 2: 10}}
  dm-a-1: {running: 200, epoch: 3, holds: {1: 100, 2: 10}}
  dm-b-0: {running: 200, epoch: 7, holds: {1: 90, 2: 10}}
  dm-b-1: {running: 200, epoch: 7, holds: {1: 90, 2: 10}}
",
    ));
}

#[test]
fn promoted_masters_are_paired_and_replicas_follow() {
    expect![[r#"
        group a: serving dm-a-0 epoch 1
          step  follow dm-a-1 -> dm-a-0 epoch 1
          step  peer dm-a-0 -> dm-b-0 server id 2
          step  members dm-a-0: 1 2
          step  members dm-a-1: 1 2
        group b: serving dm-b-0 epoch 1
          step  follow dm-b-1 -> dm-b-0 epoch 1
          step  peer dm-b-0 -> dm-a-0 server id 1
          step  members dm-b-0: 1 2
          step  members dm-b-1: 1 2
        service dm-a -> dm-a-0
        service dm-b -> dm-b-0
        service dm-ro -> dm-a-0 dm-b-0
        service dm-rw -> dm-a-0
        event Normal SlotSwitched: dm-a: nobody -> dm-a-0
        event Normal SlotSwitched: dm-b: nobody -> dm-b-0
        event Normal WriterSwitched: dm-rw: nobody -> dm-a-0
        event Normal ReplicaRepointed: dm-a-1 follows dm-a-0, epoch 1
        event Normal PeerFormed: dm-a-0 pulls from dm-b-0, server id 2
        event Normal ReplicaRepointed: dm-b-1 follows dm-b-0, epoch 1
        event Normal PeerFormed: dm-b-0 pulls from dm-a-0, server id 1
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(
        "
claims:
  a: {epoch: 1, instance: dm-a-0, age: 50}
  b: {epoch: 1, instance: dm-b-0, age: 50}
instances:
  dm-a-0: {running: 300, role: primary, epoch: 1, members: []}
  dm-a-1: {running: 300, members: []}
  dm-b-0: {running: 300, role: primary, epoch: 1, members: []}
  dm-b-1: {running: 300, members: []}
",
    ));
}

#[test]
fn a_claim_without_its_promotion_is_carried_through() {
    expect![[r#"
        group a: opening dm-a-0 epoch 5
          step! promote dm-a-0 epoch 5
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-0
        service dm-rw -> dm-b-0
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(
        "
spec: {replicasPerMaster: 0}
claims:
  a: {epoch: 5, instance: dm-a-0, age: 10}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-b-0], dm-a: [], dm-b: [dm-b-0]}
instances:
  dm-a-0: {epoch: 4, holds: {1: 5}}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, link: connecting}
",
    ));
}

#[test]
fn a_pause_changes_nothing() {
    let plan = plan_of("spec: {pause: true}\ninstances: {dm-a-0: {exited: 10, role: primary}}");
    assert!(plan.is_idle());
    expect![[r#"
        group a: assembling, waits for dm-a-1
        group b: assembling, waits for dm-b-0 dm-b-1
        waits for the end of spec.pause (nothing is changed until then)
        look again in 250 ms
    "#]]
    .assert_eq(&plan.to_string());
}
