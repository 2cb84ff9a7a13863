//! A primary is lost.

use expect_test::expect;
use tandem_api::InstanceName;

use crate::WHOLE;
use crate::fixture::text_of;

#[test]
fn a_whole_pair_needs_nothing() {
    expect![[r#"
        group a: serving dm-a-0 epoch 1
        group b: serving dm-b-0 epoch 1
        service dm-a -> dm-a-0
        service dm-b -> dm-b-0
        service dm-ro -> dm-a-1 dm-b-1
        service dm-rw -> dm-a-0
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
    )));
}

#[test]
fn an_exit_moves_rw_to_the_peer_and_promotes_the_replica_in_one_plan() {
    expect![[r#"
        group a: opening dm-a-1 epoch 2
          claim epoch 1 => 2 dm-a-1
          witness operator: no contact for 3 ms
          candidate dm-a-1 own 98 total 148 chosen
          candidate dm-a-0 own 100 total 150 not chosen: process exited: killed (signal 9)
          step! promote dm-a-1 epoch 2
          step  start dm-a-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Warning FailoverStarted: failover of slot a: dm-a-0 (process exited: killed (signal 9)) -> dm-a-1, epoch 2, at most 2 known records and 20 ms of writes wait for the old disk
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal WriterSwitched: dm-rw: dm-a-0 -> dm-b-0
        event Normal InstanceStarted: dm-a-0 is started after its end: killed (signal 9)
        look again in 1000 ms
    "#]].assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{exited: 3, role: double_master, epoch: 1, holds: {{1: 100, 2: 50}}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 98, 2: 50}}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, holds: {{1: 99, 2: 50}}}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0, holds: {{1: 99, 2: 50}}}}
"
    )));
}

#[test]
fn without_a_replica_the_peer_serves_and_the_process_is_started_again() {
    expect![[r#"
        group a: lost: dm-a-0 is lost (process exited: killed (signal 9)) and has no replica
          step  start dm-a-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-0
        service dm-rw -> dm-b-0
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal WriterSwitched: dm-rw: dm-a-0 -> dm-b-0
        event Normal InstanceStarted: dm-a-0 is started after its end: killed (signal 9)
        waits for an instance to promote (dm-a-0 is lost (process exited: killed (signal 9)) and has no replica)
        look again in 250 ms
    "#]].assert_eq(&text_of(
        "
spec: {replicasPerMaster: 0}
claims:
  a: {epoch: 1, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-a-0], dm-ro: [dm-a-0, dm-b-0], dm-a: [dm-a-0], dm-b: [dm-b-0]}
instances:
  dm-a-0: {exited: 3, role: double_master, epoch: 1, holds: {1: 100, 2: 50}}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, holds: {1: 99, 2: 50}}
",
    ));
}

#[test]
fn the_replica_with_most_own_records_wins_and_the_others_say_why_not() {
    expect![[r#"
        group a: opening dm-a-2 epoch 5
          claim epoch 4 => 5 dm-a-2
          witness operator: no contact for 3 ms
          candidate dm-a-2 own 99 total 109 chosen
          candidate dm-a-1 own 98 total 158 not chosen: holds 98 own records, dm-a-2 99
          candidate dm-a-3 own 100 total 150 not chosen: not eligible: holes
          candidate dm-a-0 own 100 total 150 not chosen: process exited: killed (signal 9)
          step! promote dm-a-2 epoch 5 collecting from dm-a-1 dm-a-3
          step  start dm-a-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1 dm-b-2 dm-b-3
        service dm-rw -> dm-b-0
        event Warning FailoverStarted: failover of slot a: dm-a-0 (process exited: killed (signal 9)) -> dm-a-2, epoch 5, at most 1 known records and 20 ms of writes wait for the old disk
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal InstanceStarted: dm-a-0 is started after its end: killed (signal 9)
        look again in 1000 ms
    "#]].assert_eq(&text_of(
        "
spec: {replicasPerMaster: 3}
claims:
  a: {epoch: 4, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [], dm-a: [dm-a-0], dm-b: [dm-b-0]}
instances:
  dm-a-0: {exited: 3, role: double_master, epoch: 4, holds: {1: 100, 2: 50}}
  dm-a-1: {role: replica, epoch: 4, follows: dm-a-0, holds: {1: 98, 2: 60}}
  dm-a-2: {role: replica, epoch: 4, follows: dm-a-0, holds: {1: 99, 2: 10}}
  dm-a-3: {role: replica, epoch: 4, follows: dm-a-0, holds: {1: 100, 2: 50}, not_eligible: holes}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, holds: {1: 99, 2: 50}}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
  dm-b-2: {role: replica, epoch: 1, follows: dm-b-0}
  dm-b-3: {role: replica, epoch: 1, follows: dm-b-0}
",
    ));
}

#[test]
fn an_empty_or_never_replica_is_not_promoted() {
    expect![[r#"
        group a: lost: dm-a-0 is lost (process exited: killed (signal 9)) and nobody can take over: dm-a-2: priority 0 is never promoted; dm-a-1: empty, while 100 records of its group are known
          step  start dm-a-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1 dm-b-2
        service dm-rw -> dm-b-0
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal InstanceStarted: dm-a-0 is started after its end: killed (signal 9)
        waits for an instance to promote (dm-a-0 is lost (process exited: killed (signal 9)) and nobody can take over: dm-a-2: priority 0 is never promoted; dm-a-1: empty, while 100 records of its group are known)
        look again in 250 ms
    "#]].assert_eq(&text_of(
        "
spec: {replicasPerMaster: 2}
claims:
  a: {epoch: 4, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-b-0], dm-a: [dm-a-0], dm-b: [dm-b-0]}
instances:
  dm-a-0: {exited: 3, role: double_master, epoch: 4, holds: {1: 100}}
  dm-a-1: {role: replica, epoch: 4, follows: dm-a-0, link: full_resync}
  dm-a-2: {role: replica, epoch: 4, follows: dm-a-0, holds: {1: 100}, priority: 0}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0}
  dm-b-2: {role: replica, epoch: 1, follows: dm-b-0}
",
    ));
}

#[test]
fn a_failed_fsync_is_a_confession() {
    expect![[r#"
        group a: opening dm-a-1 epoch 2
          claim epoch 1 => 2 dm-a-1
          witness operator: no contact for 20 ms
          candidate dm-a-1 own 9 total 9 chosen
          candidate dm-a-0 own 9 total 9 not chosen: failed fsync
          step! promote dm-a-1 epoch 2 collecting from dm-a-0
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Warning FailoverStarted: failover of slot a: dm-a-0 (failed fsync) -> dm-a-1, epoch 2, at most 0 known records and 20 ms of writes wait for the old disk
        event Warning SlotLost: dm-a: dm-a-0 -> nobody
        event Normal WriterSwitched: dm-rw: dm-a-0 -> dm-b-0
        look again in 1000 ms
    "#]].assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, poisoned: true, holds: {{1: 9}}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 9}}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
    )));
}

/// It has just come, or no instance takes its password: another one sent clients where they are.
#[test]
fn an_operator_that_has_heard_nobody_yet_moves_no_service() {
    let services = |more: &str| {
        let plan = crate::fixture::plan_of(&format!(
            "{WHOLE}
instances:
  dm-a-0: {{mute: true, running: 60000, ran_before: true, missed: 200}}
  dm-a-1: {{mute: true, running: 60000, ran_before: true, missed: 200}}
  dm-b-0: {{mute: true, running: 60000, ran_before: true, missed: 200}}
  dm-b-1: {{{more}}}
"
        ));
        let targets = plan.services.into_iter().filter(|(_, to)| !to.is_empty());
        let targets = targets.map(|(name, to)| format!("{name} -> {}", to[0]));
        targets.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        services("mute: true, running: 60000, ran_before: true, missed: 200"),
        "dm-a -> dm-a-0; dm-b -> dm-b-0; dm-ro -> dm-a-1; dm-rw -> dm-a-0"
    );
    let heard = services("role: replica, epoch: 1, follows: dm-b-0, contact: 60000");
    assert_ne!(
        heard,
        services("mute: true, ran_before: true"),
        "who is heard is believed"
    );
}

#[test]
fn an_operator_that_has_heard_the_quicker_ones_moves_no_service_of_the_others() {
    let services = |running: u64| {
        let plan = crate::fixture::plan_of(&format!(
            "{WHOLE}
instances:
  dm-a-0: {{mute: true, running: {running}, ran_before: true}}
  dm-a-1: {{mute: true, running: {running}, ran_before: true}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
        ));
        let targets = plan.services.into_iter();
        targets
            .map(|(name, to)| {
                let to: Vec<&str> = to.iter().map(InstanceName::as_str).collect();
                format!("{name} -> {}", to.join(" "))
            })
            .collect::<Vec<_>>()
            .join("; ")
    };
    let before = "dm-a -> dm-a-0; dm-b -> dm-b-0; dm-ro -> dm-b-1 dm-a-1; dm-rw -> dm-a-0";
    assert_eq!(services(300), before);
    assert_ne!(services(60_000), before, "for ever is too long");
}

#[test]
fn an_operator_that_just_came_takes_rw_from_a_master_that_those_who_watched_it_have_lost() {
    let rw = |contact: u64, peer: &str| {
        let plan = crate::fixture::plan_of(&format!(
            "{WHOLE}
instances:
  dm-a-0: {{mute: true, running: 50, ran_before: true}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, contact: {contact}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, contact: {contact}{peer}}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
        ));
        let (_, targets) = plan
            .services
            .into_iter()
            .find(|(name, _)| name.as_str() == "dm-rw")
            .expect("it is planned");
        assert_eq!(
            plan.groups[0].state.to_string(),
            "assembling, waits for dm-a-0"
        );
        targets[0].to_string()
    };
    assert_eq!(rw(4000, ""), "dm-b-0");
    assert_eq!(rw(1500, ""), "dm-a-0", "a link may be idle for so long");
    assert_eq!(
        rw(4000, ", read_only: true"),
        "dm-a-0",
        "nobody else writes"
    );
}

#[test]
fn a_full_disk_moves_rw_but_promotes_nobody() {
    expect![[r#"
        group a: serving dm-a-0 epoch 1
        group b: serving dm-b-0 epoch 1
        service dm-a -> dm-a-0
        service dm-b -> dm-b-0
        service dm-ro -> dm-a-1 dm-b-1
        service dm-rw -> dm-b-0
        event Normal WriterSwitched: dm-rw: dm-a-0 -> dm-b-0; the volume of dm-a-0 is full
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(&format!(
        "{WHOLE}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, volume_full: true}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0}}
"
    )));
}

#[test]
fn a_primary_whose_disk_is_new_does_not_get_its_epoch_again() {
    expect![[r#"
        group a: opening dm-a-1 epoch 2
          claim epoch 1 => 2 dm-a-1
          candidate dm-a-1 own 100 total 100 chosen
          candidate dm-a-0 own 0 total 0 not chosen: empty, while 100 records of its group are known
          step! promote dm-a-1 epoch 2
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-1
        service dm-rw -> dm-b-0
        event Warning FailoverStarted: failover of slot a: dm-a-0 (restarted) -> dm-a-1, epoch 2, at most 0 known records and 20 ms of writes wait for the old disk
        look again in 1000 ms
    "#]].assert_eq(&text_of(
        "
claims:
  a: {epoch: 1, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-a-1], dm-b: [dm-b-0]}
instances:
  dm-a-0: {role: waiting}
  dm-a-1: {role: replica, epoch: 1, follows: dm-a-0, holds: {1: 100}}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, holds: {1: 100}}
  dm-b-1: {role: replica, epoch: 1, follows: dm-b-0, holds: {1: 100}}
",
    ));
}

#[test]
fn a_group_of_new_disks_opens_and_its_peer_has_the_data() {
    expect![[r#"
        group a: opening dm-a-0 epoch 2
          claim epoch 1 => 2 dm-a-0
          candidate dm-a-0 own 0 total 0 chosen
          step! promote dm-a-0 epoch 2
        group b: serving dm-b-0 epoch 1
        service dm-a -> nobody
        service dm-b -> dm-b-0
        service dm-ro -> dm-b-0
        service dm-rw -> dm-b-0
        event Normal PrimaryResumes: resumption of slot a: dm-a-0 (restarted) -> dm-a-0, epoch 2
        look again in 1000 ms
    "#]]
    .assert_eq(&text_of(
        "
spec: {replicasPerMaster: 0}
claims:
  a: {epoch: 1, instance: dm-a-0}
  b: {epoch: 1, instance: dm-b-0}
services: {dm-rw: [dm-b-0], dm-ro: [dm-b-0], dm-b: [dm-b-0]}
instances:
  dm-a-0: {role: waiting}
  dm-b-0: {role: double_master, epoch: 1, peer: dm-a-0, holds: {1: 100}}
",
    ));
}

#[test]
fn a_promotion_does_not_wait_for_a_source_whose_process_has_ended_meanwhile() {
    let steps = |busy: &str, a0: &str, a2: &str| {
        let plan = crate::fixture::plan_of(&format!(
            "
spec: {{replicasPerMaster: 2}}
claims:
  a: {{epoch: 2, instance: dm-a-1, age: 100, from: dm-a-0}}
  b: {{epoch: 1, instance: dm-b-0}}
instances:
  dm-a-0: {{epoch: 1, role: double_master, holds: {{1: 100}}{a0}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 98}}, busy: {busy}}}
  dm-a-2: {{role: replica, epoch: 1, follows: dm-a-0, holds: {{1: 98}}{a2}}}
  dm-b-0: {{role: double_master, epoch: 1}}
"
        ));
        let steps = plan.groups[0].steps.iter().map(ToString::to_string);
        let promotions: Vec<String> = steps.filter(|step| step.starts_with("promote")).collect();
        promotions.join("; ")
    };
    let both = "promote dm-a-1 epoch 2 collecting from dm-a-0 dm-a-2";
    assert_eq!(steps(both, "", ""), "", "it collects");
    let without = "promote dm-a-1 epoch 2 collecting from dm-a-2";
    assert_eq!(
        steps(both, ", exited: 5", ""),
        without,
        "what others hold is collected"
    );
    assert_eq!(steps(without, ", exited: 5", ""), "", "asked once");
    let old = "promote dm-a-1 epoch 2 collecting from dm-a-0";
    assert_eq!(
        steps(old, ", exited: 5", ", exited: 5"),
        "promote dm-a-1 epoch 2"
    );
    assert_eq!(
        steps(old, ", age: 5000, missed: 9", ""),
        "",
        "silence is no end"
    );
}
