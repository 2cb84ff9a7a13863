//! What concurrent writes give: the worked outcomes of Redis Enterprise Active-Active for strings,
//! hashes and expiry, and Tandem's own rules, in both delivery orders.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_e2e::client::wait_for;
use tandem_e2e::story::instance::command;
use tandem_e2e::story::{Instance, Story, wait_until_equal};

use crate::stage::{EQUAL_TIMEOUT, Pair};

/// What both sites have seen, what each does unseen by the other (the second one later), and what a
/// look gives on both when all has arrived. Several commands are separated by `;`.
struct Row {
    claim: &'static str,
    start: &'static str,
    first: &'static str,
    second: &'static str,
    looks: &'static [(&'static str, &'static str)],
}

const ROWS: &[Row] = &[
    Row {
        claim: "increments add up",
        start: "",
        first: "INCRBY k1 7",
        second: "INCRBY k1 3",
        looks: &[("GET k1", "10")],
    },
    Row {
        claim: "the later SET wins",
        start: "SET k2 o",
        first: "SET k2 a",
        second: "SET k2 b",
        looks: &[("GET k2", "b")],
    },
    Row {
        claim: "a field that is set survives an unseen HDEL",
        start: "HSET k3 f o",
        first: "HDEL k3 f",
        second: "HSET k3 f v",
        looks: &[("HGET k3 f", "v"), ("HLEN k3", "1")],
    },
    Row {
        claim: "the longer TTL wins",
        start: "SET k4 v",
        first: "EXPIRE k4 1000",
        second: "EXPIRE k4 100",
        looks: &[("TTL k4", "~1000")],
    },
    Row {
        claim: "the longer TTL wins, also as the later one",
        start: "SET k5 v",
        first: "EXPIRE k5 100",
        second: "EXPIRE k5 1000",
        looks: &[("TTL k5", "~1000")],
    },
    Row {
        claim: "PERSIST beats any TTL",
        start: "SET k6 v EX 50",
        first: "PERSIST k6",
        second: "EXPIRE k6 1000",
        looks: &[("TTL k6", "-1"), ("GET k6", "v")],
    },
    Row {
        claim: "a SET takes what it has seen of a counter",
        start: "SET k7 100",
        first: "SET k7 5",
        second: "INCR k7",
        looks: &[("GET k7", "6")],
    },
    Row {
        claim: "a DEL takes what it has seen of a counter",
        start: "INCRBY k8 10",
        first: "DEL k8",
        second: "INCR k8",
        looks: &[("GET k8", "1")],
    },
    Row {
        claim: "a SET survives an unseen DEL",
        start: "SET k9 o",
        first: "SET k9 v",
        second: "DEL k9",
        looks: &[("GET k9", "v")],
    },
    Row {
        claim: "a DEL of a hash takes only the fields it has seen",
        start: "HSET k10 f1 1 f2 2",
        first: "HSET k10 f3 3",
        second: "DEL k10",
        looks: &[("HLEN k10", "1"), ("HGET k10 f3", "3")],
    },
    Row {
        claim: "fields of different names are all kept",
        start: "",
        first: "HSET k11 f1 1",
        second: "HSET k11 f2 2",
        looks: &[
            ("HLEN k11", "2"),
            ("HGET k11 f1", "1"),
            ("HGET k11 f2", "2"),
        ],
    },
    Row {
        claim: "the later HSET of a field wins",
        start: "HSET k12 f o",
        first: "HSET k12 f a",
        second: "HSET k12 f b",
        looks: &[("HGET k12 f", "b")],
    },
    Row {
        claim: "increments of a field add up",
        start: "HSET k13 f 10",
        first: "HINCRBY k13 f 5",
        second: "HINCRBY k13 f -2",
        looks: &[("HGET k13 f", "13")],
    },
    Row {
        claim: "increments by floats add up",
        start: "",
        first: "INCRBYFLOAT k14 0.5",
        second: "INCRBYFLOAT k14 0.25",
        looks: &[("GET k14", "0.75")],
    },
    Row {
        claim: "appended strings: the later write wins whole",
        start: "SET k15 o",
        first: "APPEND k15 a",
        second: "APPEND k15 b",
        looks: &[("GET k15", "ob")],
    },
    Row {
        claim: "of two types the later one is the key's",
        start: "",
        first: "SET k16 v",
        second: "HSET k16 f v",
        looks: &[("TYPE k16", "hash"), ("HGET k16 f", "v")],
    },
    Row {
        claim: "of two transactions one wins whole",
        start: "",
        first: "MULTI; SET k17 a; SET l17 a; EXEC",
        second: "MULTI; SET k17 b; SET l17 b; EXEC",
        looks: &[("GET k17", "b"), ("GET l17", "b")],
    },
    Row {
        claim: "a TTL alone brings no deleted key back",
        start: "SET k18 v",
        first: "DEL k18",
        second: "EXPIRE k18 1000",
        looks: &[("EXISTS k18", "0")],
    },
    Row {
        claim: "a write that did not know the TTL survives the end",
        start: "SET k19 o",
        first: "PEXPIRE k19 1",
        second: "SET k19 v",
        looks: &[("GET k19", "v")],
    },
    Row {
        claim: "a flush takes what it has seen, and nothing else",
        start: "SELECT 3; SET o 1; HSET h f 1",
        first: "SELECT 3; SET n 1; HSET h g 1",
        second: "SELECT 3; FLUSHDB",
        looks: &[
            ("SELECT 3; GET n", "1"),
            ("SELECT 3; EXISTS o", "0"),
            ("SELECT 3; HLEN h", "1"),
            ("SELECT 3; DBSIZE", "2"),
        ],
    },
];

/// Runs commands separated by `;` on one connection; gives the last reply as text.
fn run(instance: Instance, commands: &str) -> Result<String> {
    let mut connection = instance.connect()?;
    let mut last = redis::Value::Nil;
    for line in commands.split(';').map(str::trim).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        last = command(&words)
            .query(&mut connection)
            .with_context(|| format!("`{line}`"))?;
    }
    Ok(match last {
        redis::Value::Nil | redis::Value::Array(_) => String::new(),
        value => redis::from_redis_value(value)?,
    })
}

fn check(row: &Row, instance: Instance) -> Result<()> {
    for (look, wanted) in row.looks {
        let found = run(instance, look)?;
        let is_so = match wanted.strip_prefix('~') {
            None => found == *wanted,
            Some(near) => {
                let (near, found): (i64, i64) = (near.parse()?, found.parse()?);
                (near - 60..=near).contains(&found)
            }
        };
        ensure!(
            is_so,
            "{}: `{look}` gives `{found}` on port {}, expected {wanted}",
            row.claim,
            instance.port
        );
    }
    Ok(())
}

/// The rows use databases 0 and 3.
fn wait_until_both_databases_are_equal([a, b]: [Instance; 2]) -> Result<()> {
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    wait_for("an equal database 3", EQUAL_TIMEOUT, || {
        Ok((a.digest(3)? == b.digest(3)?).then_some(()))
    })
}

#[test]
fn at_100_concurrent_writes_end_as_the_table_says_in_both_delivery_orders() -> Result<()> {
    let story = Story::begin("AT-100");
    let mut wrong = Vec::new();
    for first_healed in 0..2 {
        let pair = Pair::start(&[])?;
        let [a, b] = pair.instances();
        for row in ROWS {
            run(a, row.start)?;
        }
        wait_until_both_databases_are_equal([a, b])?;
        pair.cut();
        for row in ROWS {
            run(a, row.first).context(row.claim)?;
        }
        std::thread::sleep(Duration::from_millis(20));
        for row in ROWS {
            run(b, row.second).context(row.claim)?;
        }
        // Writes to the masters while one direction only is healed arrive in that order.
        pair.proxies[first_healed].heal();
        let (from, to) = ([a, b][first_healed], [b, a][first_healed]);
        from.ask::<String>(&["SET", "arrived", "1"])?;
        crate::stage::wait_for_value(to, "arrived", "1")?;
        pair.heal();
        wait_until_both_databases_are_equal([a, b])?;
        for row in ROWS {
            for instance in [a, b] {
                if let Err(error) = check(row, instance) {
                    wrong.push(format!("{error:#}"));
                }
            }
        }
        // The counter goes on from what both have seen.
        run(a, "DECRBY k1 3")?;
        run(b, "INCRBY k1 6")?;
        for instance in [a, b] {
            crate::stage::wait_for_value(instance, "k1", "13")?;
        }
        story.says(format_args!(
            "{} rows, {} first",
            ROWS.len(),
            ["a to b", "b to a"][first_healed]
        ));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
