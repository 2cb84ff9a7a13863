//! Links that are cut, flap, pass one way only, or lead to somebody slow: no failover without need.

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use serde_json::json;
use tandem_e2e::cluster::pair::{HEAL_LIMIT, usual_spec};
use tandem_e2e::cluster::{Operator, Pair, Stage, wait_until};

use super::support::{SOME, pass, replicas_of, shrug_off, survive, with_pair};

#[test]
fn masters_that_cannot_reach_each_other_both_write_and_are_equal_afterwards() {
    with_pair("cut between the masters", |stage, _, pair| {
        let (a, b) = (pair.master("a").unwrap(), pair.master("b").unwrap());
        let doors = [&a, &b].map(|master| pair.instance(&master.name).unwrap());
        shrug_off(pair, "cut A-B", |clients| {
            stage.cut(&a.name, &b.name)?;
            for (number, door) in doors.iter().enumerate() {
                for words in conflicting(number) {
                    door.ask::<redis::Value>(&words)?;
                }
            }
            clients.wait_for_more(5 * SOME)?;
            pass(Duration::from_secs(20));
            stage.heal(&a.name, &b.name)
        })
        .unwrap();
        // What docs/conflicts.md promises of each type.
        for door in pair.instances().unwrap() {
            assert_eq!(
                door.ask::<i64>(&["GET", "c:count"]).unwrap(),
                30,
                "both added"
            );
            let fields: Vec<String> = door.ask(&["HMGET", "c:hash", "f0", "f1"]).unwrap();
            assert_eq!(fields, ["0", "1"], "fields of both");
            assert_eq!(
                door.ask::<String>(&["GET", "c:string"]).unwrap(),
                "1",
                "the later one"
            );
        }
    });
}

/// What the master with this number writes while it cannot see the other.
fn conflicting(number: usize) -> Vec<Vec<&'static str>> {
    match number {
        0 => vec![
            vec!["SET", "c:string", "0"],
            vec!["INCRBY", "c:count", "10"],
            vec!["HSET", "c:hash", "f0", "0"],
        ],
        _ => vec![
            vec!["SET", "c:string", "1"],
            vec!["INCRBY", "c:count", "20"],
            vec!["HSET", "c:hash", "f1", "1"],
        ],
    }
}

#[test]
fn a_flapping_link_between_the_masters_is_no_reason_for_a_failover() {
    with_pair("flapping link", |stage, _, pair| {
        let (a, b) = (pair.master("a").unwrap(), pair.master("b").unwrap());
        shrug_off(pair, "link 1 s on, 1 s off", |_| {
            for _ in 0..10 {
                stage.cut(&a.name, &b.name)?;
                pass(Duration::from_secs(1));
                stage.heal(&a.name, &b.name)?;
                pass(Duration::from_secs(1));
            }
            Ok(())
        })
        .unwrap();
    });
}

fn cut_from_operators(stage: &Stage, operator: &Operator, pod: &str) -> anyhow::Result<()> {
    for other in operator.pods()? {
        stage.cut(pod, &other.name_any())?;
    }
    Ok(())
}

#[test]
fn a_master_that_only_the_operator_cannot_reach_keeps_its_role() {
    with_pair("cut from the operator", |stage, operator, pair| {
        let writer = pair.writer().unwrap();
        shrug_off(pair, "cut from the operator", |clients| {
            cut_from_operators(stage, operator, &writer.name)?;
            pass(Duration::from_secs(10));
            clients.wait_for_more(SOME)?;
            stage.mend()
        })
        .unwrap();
    });
}

#[test]
fn a_master_that_nobody_hears_is_replaced_though_it_hears_all() {
    with_pair("cut one way", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let others: Vec<String> = {
            let members = pair.status().unwrap().members;
            let operators = operator.pods().unwrap();
            let members = members.into_iter().map(|member| member.name);
            members
                .filter(|name| *name != before.name)
                .chain(operators.iter().map(kube::ResourceExt::name_any))
                .collect()
        };
        let cut = || {
            others
                .iter()
                .try_for_each(|other| stage.cut_one_way(&before.name, other))
        };
        survive(pair, "cut one way", &before, cut, || stage.mend()).unwrap();
    });
}

#[test]
fn a_slow_replica_is_no_reason_to_fence_its_master() {
    with_pair("slow replica", |stage, _, pair| {
        let slot = pair.writer().unwrap().slot;
        let replica = replicas_of(pair, &slot).unwrap().remove(0);
        shrug_off(pair, "replica in pulses", |_| {
            let until = Instant::now() + Duration::from_secs(10);
            while Instant::now() < until {
                stage.hang(&replica.name)?;
                pass(Duration::from_millis(300));
                stage.resume(&replica.name)?;
                pass(Duration::from_millis(100));
            }
            Ok(())
        })
        .unwrap();
    });
}

/// So little log is kept that the other side has to take the whole state.
#[test]
fn a_pair_whose_log_is_gone_takes_each_others_whole_state_and_loses_nothing() {
    let Some(stage) = Stage::begin("log retention overrun").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let mut spec = usual_spec();
    spec["config"] = json!({"binlog-file-size": "1mb", "binlog-size-max": "4mb"});
    let pair = Pair::start(&stage, &spec).unwrap();
    let (a, b) = (pair.master("a").unwrap(), pair.master("b").unwrap());
    let doors = [&a, &b].map(|master| pair.instance(&master.name).unwrap());
    let before = doors.map(|door| door.resyncs().unwrap().0);
    shrug_off(&pair, "log overrun", |_| {
        stage.cut(&a.name, &b.name)?;
        for (number, door) in doors.iter().enumerate() {
            fill(*door, number)?;
        }
        // Both go past what the other one has taken, not only past the bound.
        for master in [&a, &b] {
            wait_until("the log is purged", HEAL_LIMIT, || {
                let log = stage.log(&master.name)?;
                anyhow::ensure!(log.contains("overrun=true"), "{log}");
                Ok(())
            })?;
        }
        stage.heal(&a.name, &b.name)?;
        wait_until("full resyncs both ways", HEAL_LIMIT, || {
            let now = doors.map(|door| door.resyncs().map(|(full, _)| full).unwrap_or_default());
            anyhow::ensure!(now[0] > before[0] && now[1] > before[1], "{now:?}");
            Ok(())
        })
    })
    .unwrap();
    for door in pair.instances().unwrap() {
        for number in 0..2 {
            let value: String = door.ask(&["GET", &format!("fill{number}:0")]).unwrap();
            assert_eq!(value.len(), VALUE);
        }
    }
}

const VALUE: usize = 10_000;

/// 20 MB.
fn fill(door: tandem_e2e::story::Instance, number: usize) -> anyhow::Result<()> {
    let value = "x".repeat(VALUE);
    let mut connection = door.connect()?;
    for batch in 0..20 {
        let mut pipeline = redis::pipe();
        for key in 0..100 {
            let key = format!("fill{number}:{}", batch * 100 + key);
            pipeline.cmd("SET").arg(key).arg(&value).ignore();
        }
        pipeline.query::<()>(&mut connection)?;
    }
    Ok(())
}
