//! Replicas come and go, are promoted, and wait for writes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_e2e::client::wait_for;
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Proxy, Server, Story, scaled, wait_until_equal};
use tandem_proto::status::LinkState;

use crate::stage::{EQUAL_TIMEOUT, TIMEOUT, replica_of, streams_from_primary};

const CLIENTS: usize = 8;
const PRIMARY: &[(&str, &str)] = &[("server-id", "1")];

#[test]
fn at_41_a_short_cut_is_continued_and_a_long_one_costs_one_full_resync() -> Result<()> {
    let story = Story::begin("AT-41");
    let primary = Server::start(&[
        ("server-id", "1"),
        ("binlog-file-size", "1mb"),
        ("binlog-size-max", "4mb"),
        ("expire-logs-nums", "2"),
        ("member-absence-bound", "1"),
    ])?;
    let proxy = Proxy::to_links_of(primary.port())?;
    let replica = replica_of(proxy.port(), &[])?;
    let both = [primary.instance(), replica.instance()];
    let first = replica.instance().resyncs()?;

    proxy.cut();
    Load::new("short", 0..2000).write(primary.instance(), 1)?;
    proxy.heal();
    wait_until_equal(&both, EQUAL_TIMEOUT)?;
    let short = replica.instance().resyncs()?;
    ensure!(short.0 == first.0, "a short cut cost a full resync");
    ensure!(short.1 > first.1, "a short cut is continued: {short:?}");

    proxy.cut();
    let many = Load::new("many", 0..scaled(400_000)).with_value_bytes(500);
    many.write(primary.instance(), CLIENTS)?;
    let log = primary.data().join("db0/log");
    wait_for("a purge of the log", TIMEOUT, || {
        let first = log.join("log.0000000001");
        Ok((!first.exists()).then_some(()))
    })?;
    proxy.heal();
    wait_until_equal(&both, EQUAL_TIMEOUT)?;
    streams_from_primary(&replica)?;
    let long = replica.instance().resyncs()?;
    story.says(format_args!(
        "full and partial resyncs: {first:?}, after a short cut {short:?}, after a long one {long:?}"
    ));
    ensure!(long.0 == short.0 + 1, "exactly one full resync: {long:?}");
    many.check(replica.instance(), &[])
}

#[test]
fn at_43_a_promoted_replica_is_followed_by_a_partial_resync() -> Result<()> {
    let story = Story::begin("AT-43");
    let mut primary = Server::start(PRIMARY)?;
    let next = replica_of(primary.port(), &[])?;
    let other = replica_of(primary.port(), &[])?;
    let before = Load::new("before", 0..scaled(100_000));
    before.write(primary.instance(), CLIENTS)?;
    wait_until_equal(
        &[primary.instance(), next.instance(), other.instance()],
        EQUAL_TIMEOUT,
    )?;
    primary.kill();

    next.instance().ask::<String>(&["SLAVEOF", "NO", "ONE"])?;
    let port = next.port().to_string();
    let begun = Instant::now();
    other
        .instance()
        .ask::<String>(&["SLAVEOF", "127.0.0.1", &port])?;
    streams_from_primary(&other)?;
    let took = begun.elapsed();
    let after = Load::new("after", 0..1000);
    after.write(next.instance(), 1)?;
    wait_until_equal(&[next.instance(), other.instance()], EQUAL_TIMEOUT)?;
    let (full, partial) = other.instance().resyncs()?;
    ensure!(
        (full, partial > 0) == (0, true),
        "{full} full, {partial} partial"
    );
    before.check(other.instance(), &[])?;
    story.says(format_args!(
        "followed {} ms after SLAVEOF",
        took.as_millis()
    ));
    Ok(())
}

#[test]
fn at_45_replicas_continue_after_a_restart_of_their_primary() -> Result<()> {
    let story = Story::begin("AT-45");
    let mut primary = Server::start(PRIMARY)?;
    let replicas = [
        replica_of(primary.port(), &[])?,
        replica_of(primary.port(), &[])?,
    ];
    let all = [
        primary.instance(),
        replicas[0].instance(),
        replicas[1].instance(),
    ];
    for run in 0..3 {
        Load::new(&format!("run{run}"), 0..scaled(50_000)).write(primary.instance(), CLIENTS)?;
        if run == 1 {
            primary.kill();
        } else {
            primary.stop()?;
        }
        let begun = Instant::now();
        primary.start_again()?;
        Load::new(&format!("more{run}"), 0..100).write(primary.instance(), 1)?;
        wait_until_equal(&all, EQUAL_TIMEOUT)?;
        story.says(format_args!(
            "equal {} ms after the start",
            begun.elapsed().as_millis()
        ));
    }
    for replica in &replicas {
        let (full, partial) = replica.instance().resyncs()?;
        ensure!(
            (full, partial >= 3) == (0, true),
            "{full} full, {partial} partial"
        );
    }
    Ok(())
}

#[test]
fn at_46_an_empty_primary_takes_no_replicas_data_away() -> Result<()> {
    let story = Story::begin("AT-46");
    let mut primary = Server::start(PRIMARY)?;
    let replica = replica_of(primary.port(), &[])?;
    let load = Load::new("kept", 0..scaled(50_000));
    load.write(primary.instance(), CLIENTS)?;
    wait_until_equal(&[primary.instance(), replica.instance()], EQUAL_TIMEOUT)?;
    primary.kill();
    std::fs::remove_dir_all(primary.data())?;
    primary.start_again()?;
    let reason = wait_for("a refused link", TIMEOUT, || {
        let status = replica.instance().status()?;
        let refused = status
            .links
            .iter()
            .find(|link| matches!(link.state, LinkState::Refused | LinkState::LostPlace));
        Ok(refused.map(|link| link.reason.clone()))
    })?;
    load.check(replica.instance(), &[])?;
    story.says(format_args!("the replica keeps its data: {reason}"));
    // A write to the empty one does not come either.
    primary.instance().ask::<String>(&["SET", "new", "1"])?;
    std::thread::sleep(Duration::from_secs(3));
    load.check(replica.instance(), &[])?;
    ensure!(replica.instance().resyncs()?.0 == 0, "no full resync");
    Ok(())
}

#[test]
fn at_48_wait_counts_who_has_applied_and_ends_in_time() -> Result<()> {
    let story = Story::begin("AT-48");
    let primary = Server::start(PRIMARY)?;
    let replicas = [
        replica_of(primary.port(), &[])?,
        replica_of(primary.port(), &[])?,
    ];
    let mut connection = primary.instance().connect()?;
    let mut set_and_wait = |count: u32, timeout_ms: u32| -> Result<(u32, Duration)> {
        redis::cmd("INCR").arg("n").query::<i64>(&mut connection)?;
        let begun = Instant::now();
        let seen = redis::cmd("WAIT")
            .arg(count)
            .arg(timeout_ms)
            .query::<u32>(&mut connection)?;
        Ok((seen, begun.elapsed()))
    };
    let (both, took) = set_and_wait(2, 10_000)?;
    ensure!(both == 2, "{both} of 2 replicas");
    story.says(format_args!("two replicas after {} us", took.as_micros()));
    replicas[1].pause()?;
    let (one, took) = set_and_wait(2, 300)?;
    ensure!(one == 1, "{one} of 2 replicas, one of them paused");
    ensure!(took >= Duration::from_millis(300), "{took:?} is too short");
    ensure!(took < Duration::from_secs(5), "{took:?} is too long");
    story.says(format_args!(
        "one replica at the timeout, after {} ms",
        took.as_millis()
    ));
    let (enough, took) = set_and_wait(1, 10_000)?;
    ensure!(enough >= 1, "one replica is enough");
    ensure!(
        took < Duration::from_secs(5),
        "it does not wait for the paused one"
    );
    replicas[1].resume()?;
    let (both, _) = set_and_wait(2, 10_000)?;
    ensure!(both == 2, "{both} of 2 replicas after it goes on");
    for replica in &replicas {
        let value: i64 = replica.instance().ask(&["GET", "n"])?;
        ensure!(value == 4, "what WAIT counted is applied, not {value}");
    }
    Ok(())
}
