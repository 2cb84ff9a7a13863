//! A pair is broken, rebuilt from one side, or refused.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_e2e::client::wait_for;
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{
    Instance, Server, Story, Writers, ledger, ports, scaled, wait_until_equal,
};
use tandem_proto::status::{LinkKind, LinkState, Role};

use crate::stage::{EQUAL_TIMEOUT, Pair, TIMEOUT, replica_of, wait_for_value};

const CLIENTS: usize = 12;
/// A log that keeps little: what is not in the newest segments is gone.
const SHORT_LOG: &[(&str, &str)] = &[
    ("binlog-file-size", "1mb"),
    ("binlog-size-max", "4mb"),
    ("expire-logs-nums", "2"),
    ("member-absence-bound", "1"),
];

fn peers(instance: Instance, state: LinkState) -> Result<()> {
    instance.wait_for_links(LinkKind::Peer, state, 1)
}

#[test]
fn at_07_a_pair_is_rebuilt_from_a_new_instance() -> Result<()> {
    let story = Story::begin("AT-07");
    let [mut a, mut b] = {
        let own = [ports::free()?, ports::free()?];
        Server::pair(own, own, &[])?
    };
    peers(a.instance(), LinkState::Streaming)?;
    let load = Load::new("kept", 0..scaled(1_000_000));
    load.write(a.instance(), CLIENTS)?;
    b.stop()?;
    drop(b);

    // The new one copies the group's data, then takes the lost master's place under its id.
    let mut new = replica_of(a.port(), &[])?;
    let copied = wait_until_equal(&[a.instance(), new.instance()], EQUAL_TIMEOUT)?;
    let port = new.port().to_string();
    a.instance()
        .ask::<String>(&["CONFIG", "SET", "double-master-port", &port])?;
    new.stop()?;
    new.drop_option("replicaof");
    new.set_option("server-id", "2");
    new.set_option("double-master-ip", "127.0.0.1");
    new.set_option("double-master-port", &a.port().to_string());
    new.set_option("double-master-server-id", "1");
    new.start_again()?;
    new.instance().ask::<String>(&["SLAVEOF", "NO", "ONE"]).ok();
    for instance in [a.instance(), new.instance()] {
        peers(instance, LinkState::Streaming)?;
    }
    let more = Load::new("more", 0..scaled(100_000));
    more.write(new.instance(), CLIENTS)?;
    wait_until_equal(&[a.instance(), new.instance()], EQUAL_TIMEOUT)?;
    load.check(new.instance(), &[])?;
    more.check(a.instance(), &[])?;
    story.says(format_args!("copied in {} ms", copied.as_millis()));
    a.stop()
}

#[test]
fn at_08_a_restart_during_writes_loses_nothing_and_needs_no_full_resync() -> Result<()> {
    let story = Story::begin("AT-08");
    let mut pair = Pair::start(&[])?;
    let load = Load::new("through", 0..scaled(1_000_000));
    let [a, b] = pair.instances();
    let pause = std::thread::scope(|scope| {
        let writing = scope.spawn(|| load.write(a, CLIENTS));
        wait_for("a tenth of the keys", TIMEOUT, || {
            Ok((b.keys()? >= load.keys.len() as u64 / 10).then_some(()))
        })?;
        let begun = std::time::Instant::now();
        pair.masters[1].stop()?;
        pair.masters[1].start_again()?;
        let pause = begun.elapsed();
        writing.join().ok().context("the load panicked")??;
        Ok::<Duration, anyhow::Error>(pause)
    })?;
    let lag = wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    load.check(b, &[])?;
    for instance in [a, b] {
        let (full, partial) = instance.resyncs()?;
        ensure!(full == 0, "{full} full resyncs, {partial} partial ones");
    }
    story.says(format_args!(
        "away for {} ms, equal {} ms after the load",
        pause.as_millis(),
        lag.as_millis()
    ));
    Ok(())
}

/// Cuts the pair, lets `b` write a little unseen, and `a` more than its log keeps.
fn outgrow_the_log(pair: &Pair) -> Result<(Load, Load)> {
    let [a, b] = pair.instances();
    let base = Load::new("base", 0..1000);
    base.write(a, 1)?;
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    pair.cut();
    let unseen = Load::new("unseen", 0..1000);
    unseen.write(b, 1)?;
    let many = Load::new("many", 0..scaled(400_000)).with_value_bytes(500);
    many.write(a, CLIENTS)?;
    // Upkeep purges by itself: the oldest segment goes.
    let log = pair.masters[0].data().join("db0/log");
    wait_for("a purge of the log", TIMEOUT, || {
        let mut names: Vec<_> = std::fs::read_dir(&log)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("log."))
            .collect();
        names.sort();
        ensure!(
            names.first().is_some_and(|name| name != "log.0000000001"),
            "segments are {names:?}"
        );
        Ok(Some(()))
    })?;
    Ok((many, unseen))
}

#[test]
fn at_09_a_lost_place_is_refused_loudly_and_one_command_heals_it() -> Result<()> {
    let story = Story::begin("AT-09");
    let pair = Pair::start(SHORT_LOG)?;
    let [a, b] = pair.instances();
    let (many, unseen) = outgrow_the_log(&pair)?;
    let held = [a.digest(0)?, b.digest(0)?];
    pair.proxies[0].heal();
    peers(b, LinkState::LostPlace)?;
    let seen = b.info("doublemaster")?;
    ensure!(
        seen.get("repl_state").is_some_and(|state| state == "0"),
        "INFO shows the failed state, not {seen:?}"
    );
    let output = pair.masters[1].output();
    ensure!(
        output.to_lowercase().contains("place"),
        "a log line tells it: {output}"
    );
    ensure!(
        [a.digest(0)?, b.digest(0)?] == held,
        "a refused link changes nothing"
    );
    pair.proxies[1].heal();
    let port = pair.proxies[0].port().to_string();
    let begun = std::time::Instant::now();
    b.ask::<String>(&["SLAVEOF", "127.0.0.1", &port])?;
    pair.wait_until_streaming()?;
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    story.says(format_args!(
        "healed {} ms after the command",
        begun.elapsed().as_millis()
    ));
    many.check(b, &[])?;
    unseen.check(a, &[])
}

#[test]
fn at_10_slaveof_no_one_makes_two_independent_nodes() -> Result<()> {
    let story = Story::begin("AT-10");
    let pair = Pair::start(&[])?;
    let [a, b] = pair.instances();
    a.ask::<String>(&["SET", "common", "1"])?;
    wait_for_value(b, "common", "1")?;
    for instance in [a, b] {
        instance.ask::<String>(&["SLAVEOF", "NO", "ONE"])?;
    }
    for instance in [a, b] {
        instance.wait_for_links(LinkKind::Peer, LinkState::Streaming, 0)?;
        ensure!(
            instance.status()?.role == Role::Primary,
            "each is a primary"
        );
    }
    wait_for("the end of all traffic", TIMEOUT, || {
        let before = (pair.proxies[0].bytes(), pair.proxies[1].bytes());
        std::thread::sleep(Duration::from_millis(1500));
        let after = (pair.proxies[0].bytes(), pair.proxies[1].bytes());
        Ok((before == after).then_some(()))
    })?;
    let lines = pair.masters.each_ref().map(|m| m.output().lines().count());
    let connections = pair
        .proxies
        .each_ref()
        .map(tandem_e2e::story::Proxy::connections);
    a.ask::<String>(&["SET", "of-a", "1"])?;
    b.ask::<String>(&["SET", "of-b", "1"])?;
    std::thread::sleep(Duration::from_secs(3));
    let seen: [Option<String>; 2] = [b.ask(&["GET", "of-a"])?, a.ask(&["GET", "of-b"])?];
    ensure!(seen == [None, None], "writes still travel");
    ensure!(
        connections
            == pair
                .proxies
                .each_ref()
                .map(tandem_e2e::story::Proxy::connections),
        "somebody still dials"
    );
    let more = pair.masters.each_ref().map(|m| m.output().lines().count());
    story.says(format_args!(
        "log lines in 3 s afterwards: {lines:?} to {more:?}"
    ));
    ensure!(lines == more, "a loop of log lines");
    Ok(())
}

#[test]
fn at_11_equal_ids_itself_and_a_peers_id_are_refused_with_a_reason() -> Result<()> {
    let story = Story::begin("AT-11");
    let port = ports::free()?;
    let refused = |peer_port: u16, id: &str, peer_id: &str| -> Result<String> {
        let peer_port = peer_port.to_string();
        let options = [
            ("server-id", id),
            ("double-master-ip", "127.0.0.1"),
            ("double-master-port", peer_port.as_str()),
            ("double-master-server-id", peer_id),
        ];
        Server::prepare(port, &options)?.run_to_its_end()
    };
    let equal = refused(ports::free()?, "1", "1")?;
    ensure!(equal.contains("double-master-server-id"), "{equal}");
    let own = refused(port, "1", "2")?;
    ensure!(own.contains("double-master-port"), "{own}");

    // Told at run time, and by a peer that turns out to have another id, or ours.
    let pair = Pair::start(&[])?;
    let [a, b] = pair.instances();
    let port = a.port.to_string();
    let itself = a.refusal(&["SLAVEOF", "127.0.0.1", &port])?;
    let third = a.refusal(&["SLAVEOF", "127.0.0.1", "1"])?;
    ensure!(third.contains("peer-master"), "{third}");
    let target = format!("127.0.0.1 {}", b.port);
    let slave = Server::start(&[("server-id", "1"), ("replicaof", target.as_str())])?;
    let reason = wait_for("a refused replica with the peer's id", TIMEOUT, || {
        let status = slave.instance().status()?;
        let link = status.links.first().context("no link yet")?;
        Ok((link.state == LinkState::Refused).then(|| link.reason.clone()))
    })?;
    ensure!(!reason.is_empty(), "a refusal has a reason");
    for text in [&equal, &own, &itself, &third, &reason] {
        story.says(text.lines().last().unwrap_or_default());
    }
    Ok(())
}

#[test]
fn at_12_a_long_outage_ends_in_a_merge_that_keeps_what_the_other_had_not_seen() -> Result<()> {
    let story = Story::begin("AT-12");
    let mut pair = Pair::start(SHORT_LOG)?;
    let [a, b] = pair.instances();
    let writers = Writers::start("before", &[a, b], 2, ledger::Pace::default());
    writers.wait_for_more(2000)?;
    let ledger = writers.finish()?;
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    let (many, unseen) = outgrow_the_log(&pair)?;
    pair.masters[1].stop()?;
    let later = Load::new("later", 0..1000);
    later.write(a, 1)?;
    pair.heal();
    pair.masters[1].start_again()?;
    peers(b, LinkState::LostPlace)?;
    let port = pair.proxies[0].port().to_string();
    b.ask::<String>(&["SLAVEOF", "127.0.0.1", &port])?;
    pair.wait_until_streaming()?;
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    for instance in [a, b] {
        for load in [&many, &unseen, &later] {
            load.check(instance, &[])?;
        }
        ledger.check(instance)?;
    }
    story.says(format_args!("{} keys on both", a.keys()?));
    Ok(())
}
