//! What replicas do with commands: read-only, flushes in order, expiry, transactions.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_e2e::client::wait_for;
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Instance, Proxy, Server, Story, ports, scaled, wait_until_equal};

use crate::stage::{EQUAL_TIMEOUT, TIMEOUT, replica_of, streams_from_primary, wait_for_value};

const PRIMARY: &[(&str, &str)] = &[("server-id", "1")];

#[test]
fn at_60_a_replica_comes_up_refuses_writes_and_flushes_in_order() -> Result<()> {
    let story = Story::begin("AT-60");
    let primary = Server::start(PRIMARY)?;
    let p = primary.instance();
    let own = p.port.to_string();
    let itself = p.refusal(&["SLAVEOF", "127.0.0.1", &own])?;
    story.says(format_args!("SLAVEOF itself: {itself}"));
    Load::new("some", 0..scaled(50_000)).write(p, 4)?;

    let replica = Server::start_on(ports::free()?, PRIMARY)?;
    let r = replica.instance();
    let begun = Instant::now();
    r.ask::<String>(&["SLAVEOF", "127.0.0.1", &own])?;
    wait_for("master_link_status:up", Duration::from_secs(20), || {
        let status = r.info("replication")?.remove("master_link_status");
        Ok((status.as_deref() == Some("up")).then_some(()))
    })?;
    story.says(format_args!(
        "link up after {} ms",
        begun.elapsed().as_millis()
    ));
    let connected = p.info("replication")?.remove("connected_slaves");
    ensure!(
        connected.as_deref() == Some("1"),
        "connected_slaves is {connected:?}"
    );
    let refused = r.refusal(&["SET", "x", "1"])?;
    ensure!(refused.to_uppercase().contains("READONLY"), "{refused}");

    let mut connection = p.connect()?;
    for flush in ["FLUSHDB", "FLUSHALL"] {
        for round in 0..50 {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SET").arg("before").arg(round);
            pipeline.cmd("HSET").arg("hash").arg("f").arg(round);
            pipeline.cmd(flush);
            pipeline.cmd("SET").arg("after").arg(round);
            pipeline.query::<()>(&mut connection)?;
        }
        wait_until_equal(&[p, r], EQUAL_TIMEOUT)?;
        let keys: Vec<String> = r.ask(&["KEYS", "*"])?;
        ensure!(keys == ["after"], "after {flush} the replica has {keys:?}");
        wait_for_value(r, "after", "49")?;
    }
    Ok(())
}

/// The longest difference of what is left to live, in milliseconds, over these keys.
fn ttl_difference(a: Instance, b: Instance, keys: &[String]) -> Result<i64> {
    let mut longest = 0;
    for key in keys {
        let (one, other): (i64, i64) =
            (a.ask(&["PEXPIRETIME", key])?, b.ask(&["PEXPIRETIME", key])?);
        ensure!(one > 0 && other > 0, "`{key}` ends at {one} and {other}");
        longest = longest.max((one - other).abs());
    }
    Ok(longest)
}

#[test]
fn at_62_keys_end_equally_and_large_ttls_do_not_drift_under_delay() -> Result<()> {
    let story = Story::begin("AT-62");
    let primary = Server::start(PRIMARY)?;
    let proxy = Proxy::to_links_of(primary.port())?;
    let replica = replica_of(proxy.port(), &[])?;
    proxy.delay(Duration::from_millis(300));
    let (p, r) = (primary.instance(), replica.instance());

    let mut long = Vec::new();
    for index in 0..20 {
        let key = format!("long:{index}");
        let seconds = (1_000_000 + index * 1000).to_string();
        if index % 2 == 0 {
            p.ask::<String>(&["SETEX", &key, &seconds, "1"])?;
        } else {
            p.ask::<String>(&["SET", &key, "1"])?;
            p.ask::<i64>(&["EXPIRE", &key, &seconds])?;
        }
        p.ask::<i64>(&["INCR", &key])?;
        long.push(key);
    }
    p.ask::<String>(&["SETEX", "short", "3", "1"])?;
    p.ask::<i64>(&["INCR", "short"])?;
    p.ask::<String>(&["SET", "millis", "1"])?;
    p.ask::<i64>(&["PEXPIRE", "millis", "3000"])?;
    let ends: [i64; 2] = [
        p.ask(&["PEXPIRETIME", "short"])?,
        p.ask(&["PEXPIRETIME", "millis"])?,
    ];
    wait_for_value(r, "millis", "1")?;
    let there: i64 = r.ask(&["EXISTS", "short", "millis"])?;
    ensure!(
        there == 2,
        "{there} of 2 keys are on the replica before their end"
    );
    let drift = ttl_difference(p, r, &long)?;
    story.says(format_args!(
        "largest difference of ends under 300 ms delay: {drift} ms"
    ));
    ensure!(drift == 0, "ends are absolute, so equal");
    for key in &long {
        let (value, left): (i64, i64) = (r.ask(&["GET", key])?, r.ask(&["TTL", key])?);
        ensure!(
            value == 2 && left > 900_000,
            "INCR keeps the TTL: {value}, {left} s"
        );
    }
    for (key, ends) in ["short", "millis"].into_iter().zip(ends) {
        wait_for("the end of a key on both", TIMEOUT, || {
            let left: (i64, i64) = (p.ask(&["EXISTS", key])?, r.ask(&["EXISTS", key])?);
            Ok((left == (0, 0)).then_some(()))
        })?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let late = now.as_millis() as i64 - ends;
        story.says(format_args!("`{key}` gone on both {late} ms after its end"));
        ensure!(
            (0..1000).contains(&late),
            "`{key}` went {late} ms after its end"
        );
    }
    wait_for("a sweep of what has ended", TIMEOUT, || {
        Ok((p.keys()? == 20 && r.keys()? == 20).then_some(()))
    })
}

#[test]
fn at_63_a_transaction_is_one_unit_and_a_replica_aborts_writing_ones() -> Result<()> {
    let story = Story::begin("AT-63");
    let primary = Server::start(PRIMARY)?;
    let proxy = Proxy::to_links_of(primary.port())?;
    // Little at a time, so that a transaction has every chance to arrive in pieces.
    proxy.throttle(200_000);
    let replica = replica_of(proxy.port(), &[])?;
    let (p, r) = (primary.instance(), replica.instance());
    let rounds = scaled(20_000);
    let keys: Vec<String> = (0..20).map(|index| format!("unit:{index}")).collect();
    let looks = std::thread::scope(|scope| {
        let writing = scope.spawn(|| -> Result<()> {
            let mut connection = p.connect()?;
            for round in 0..rounds {
                let mut unit = redis::pipe();
                unit.atomic();
                for key in &keys {
                    unit.cmd("SET").arg(key).arg(round).ignore();
                }
                unit.query::<()>(&mut connection)?;
            }
            Ok(())
        });
        let mut connection = r.connect()?;
        let mut looks = 0;
        while !writing.is_finished() || looks < 200 {
            let mut look = redis::cmd("MGET");
            look.arg(&keys);
            let seen: Vec<Option<u64>> = look.query(&mut connection)?;
            ensure!(
                seen.windows(2).all(|two| two[0] == two[1]),
                "half of a transaction was seen: {seen:?}"
            );
            looks += 1;
        }
        writing
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        Ok::<u32, anyhow::Error>(looks)
    })?;
    proxy.throttle(0);
    wait_until_equal(&[p, r], EQUAL_TIMEOUT)?;
    story.says(format_args!(
        "{rounds} transactions of 20 keys, {looks} looks, none torn"
    ));

    let mut connection = r.connect()?;
    redis::cmd("MULTI").query::<String>(&mut connection)?;
    let queued = redis::cmd("SET")
        .arg("x")
        .arg(1)
        .query::<String>(&mut connection);
    let done = redis::cmd("EXEC").query::<redis::Value>(&mut connection);
    story.says(format_args!(
        "on a replica SET in MULTI: {queued:?}, EXEC: {done:?}"
    ));
    ensure!(done.is_err(), "EXEC with a write on a replica is aborted");
    let missing: Option<String> = r.ask(&["GET", "x"])?;
    ensure!(missing.is_none(), "nothing of it was done");
    streams_from_primary(&replica)
}
