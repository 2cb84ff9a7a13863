//! Operators that are away, change, are two by mistake, or have been told to pause; an API server that
//! is away: the data path goes on, and there is never a second master.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tandem_api::double_master::MemberStatus;
use tandem_e2e::cluster::pair::HEAL_LIMIT;
use tandem_e2e::cluster::{Clients, Operator, Pair, wait_until};
use tandem_e2e::story::Instance;

use super::support::{SOME, epochs, pass, survive, with_pair};

/// Waits until an instance, asked by its own address, writes in another life.
fn wait_for_its_own_resume(door: Instance, incarnation: &str) -> Result<()> {
    wait_until("it resumes its role by itself", HEAL_LIMIT, || {
        let own = door.status()?;
        let life = own.incarnation.as_ref().map(ToString::to_string);
        ensure!(own.writable, "it does not write");
        ensure!(life.as_deref() != Some(incarnation), "it is its old life");
        Ok(())
    })
}

#[test]
fn a_killed_master_serves_again_by_itself_while_there_is_no_operator() {
    with_pair("no operator", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let door = pair.instance(&before.name).unwrap();
        let clients = Clients::start(pair, "alone").unwrap();
        clients.wait_for_more(SOME).unwrap();
        operator.scale(0).unwrap();
        let since = Instant::now();
        stage.kill(&before.name).unwrap();
        wait_for_its_own_resume(door, before.incarnation.as_deref().unwrap_or("")).unwrap();
        clients.wait_for_more(SOME).unwrap();
        operator.scale(2).unwrap();
        operator.wait_until_led().unwrap();
        let status = pair.wait_until_ready().unwrap();
        let told = clients.finish().unwrap();
        stage.says(format_args!(
            "kill -9 without an operator: -rw away {} ms, -{} {} ms",
            told.rw_outage(since).as_millis(),
            before.slot,
            told.slot_outage(&before.slot, since).as_millis()
        ));
        let now = tandem_e2e::cluster::pair::master(&status, &before.slot).unwrap();
        assert_eq!((&now.name, now.epoch), (&before.name, before.epoch));
        pair.nothing_is_lost(&told.ledger()).unwrap();
    });
}

#[test]
fn an_api_server_that_is_away_is_no_outage_even_when_a_master_is_killed_meanwhile() {
    with_pair("API server away", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let door = pair.instance(&before.name).unwrap();
        let clients = Clients::start(pair, "blind").unwrap();
        clients.wait_for_more(SOME).unwrap();
        let since = Instant::now();
        stage.stop_apiserver().unwrap();
        pass(Duration::from_secs(15));
        clients.wait_for_more(SOME).unwrap();
        let killed = Instant::now();
        stage.kill(&before.name).unwrap();
        wait_for_its_own_resume(door, before.incarnation.as_deref().unwrap_or("")).unwrap();
        clients.wait_for_more(SOME).unwrap();
        pass(Duration::from_mins(1).saturating_sub(since.elapsed()));
        stage.start_apiserver().unwrap();
        operator.wait_until_led().unwrap();
        pair.wait_until_ready().unwrap();
        clients.wait_for_more(SOME).unwrap();
        let told = clients.finish().unwrap();
        stage.says(format_args!(
            "API server away, kill -9 meanwhile: -rw away {} ms",
            told.rw_outage(killed).as_millis()
        ));
        pair.nothing_is_lost(&told.ledger()).unwrap();
    });
}

#[test]
fn a_leader_that_goes_in_the_middle_of_a_failover_leaves_one_epoch_and_no_second_master() {
    with_pair("leader change in a failover", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let leader = operator.leader().unwrap();
        let lose_both = || {
            stage.delete::<Pod>(&before.name, Some(0))?;
            pass(Duration::from_millis(300));
            stage.delete::<Pod>(&leader, Some(0))
        };
        survive(pair, "leader change", &before, lose_both, || Ok(())).unwrap();
        claimed_once_at_most(pair, &before);
    });
}

#[test]
fn two_operators_by_mistake_do_not_make_two_masters() {
    with_pair("two operators", |stage, _, pair| {
        let mistaken = Operator::install_another(stage, "tandem-second").unwrap();
        let before = pair.writer().unwrap();
        let delete = || stage.delete::<Pod>(&before.name, Some(0));
        survive(pair, "two operators", &before, delete, || Ok(())).unwrap();
        one_master_each(pair);
        mistaken.remove().unwrap();
        pair.wait_until_ready().unwrap();
    });
}

/// It wakes up with steps in its hands that another one has done meanwhile.
#[test]
fn a_leader_that_hangs_in_a_failover_is_replaced_and_harms_nothing_when_it_goes_on() {
    with_pair("hung leader", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let leader = operator.leader().unwrap();
        let lose_and_hang = || {
            stage.delete::<Pod>(&before.name, Some(0))?;
            operator.hang(&leader)
        };
        let go_on = || {
            wait_until("another operator leads", HEAL_LIMIT, || {
                let now = operator.leader()?;
                ensure!(now != leader, "`{now}` still does");
                Ok(())
            })?;
            // It may have been killed and started again meanwhile, which is not stopped.
            operator.resume(&leader).ok();
            pass(Duration::from_secs(5));
            Ok(())
        };
        survive(pair, "hung leader", &before, lose_and_hang, go_on).unwrap();
        one_master_each(pair);
        claimed_once_at_most(pair, &before);
    });
}

/// However many operators had a hand in it.
fn claimed_once_at_most(pair: &Pair, before: &MemberStatus) {
    let now = pair.master(&before.slot).unwrap();
    assert!(
        now.epoch <= before.epoch + 1,
        "{} after {}",
        now.epoch,
        before.epoch
    );
}

/// By the instances' own word.
fn one_master_each(pair: &Pair) {
    let status = pair.status().unwrap();
    for slot in ["a", "b"] {
        let writing = status.members.iter().filter(|member| {
            let own = pair.instance(&member.name).unwrap().status().unwrap();
            member.slot == slot && own.writable
        });
        assert_eq!(writing.count(), 1, "slot {slot}");
    }
}

#[test]
fn a_paused_pair_is_left_as_it_is_and_heals_when_it_goes_on() {
    with_pair("pause", |stage, _, pair| {
        let before = pair.writer().unwrap();
        let all = epochs(&pair.status().unwrap()).unwrap();
        pair.change(&json!({"spec": {"pause": true}})).unwrap();
        pair.wait_until("the pause is seen", HEAL_LIMIT, |_| true)
            .unwrap();
        let pause_and_lose = || {
            stage.delete::<Pod>(&before.name, Some(0))?;
            pass(Duration::from_secs(10));
            let status = pair.status()?;
            let seen = |slot: &str| {
                status
                    .members
                    .iter()
                    .filter(|member| member.slot == slot)
                    .map(|member| member.epoch)
                    .max()
            };
            ensure!(
                (seen("a"), seen("b")) == (Some(all.0), Some(all.1)),
                "there was a failover in the pause"
            );
            ensure!(
                pair.pod_id(&before.name).is_err(),
                "a pod was made in the pause"
            );
            pair.change(&json!({"spec": {"pause": false}}))
        };
        survive(pair, "pause", &before, pause_and_lose, || Ok(())).unwrap();
    });
}
