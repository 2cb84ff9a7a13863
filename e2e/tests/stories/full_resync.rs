//! Full resyncs that are interrupted, and targets that are killed in them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_e2e::client::wait_for;
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Proxy, Server, Story, ports, scaled, wait_until_equal};
use tandem_proto::status::LinkState;

use crate::stage::{EQUAL_TIMEOUT, TIMEOUT, replica_of};

const CLIENTS: usize = 8;
/// What a primary keeps of its log, so that somebody new needs a full resync.
const SHORT_LOG: &[(&str, &str)] = &[
    ("server-id", "1"),
    ("binlog-file-size", "1mb"),
    ("binlog-size-max", "4mb"),
    ("expire-logs-nums", "2"),
    ("member-absence-bound", "1"),
];
const THROTTLE: u64 = 1 << 20;

/// A primary whose log does not reach back to its first write.
fn primary_with_purged_log() -> Result<(Server, Load)> {
    let primary = Server::start(SHORT_LOG)?;
    let load = Load::new("data", 0..scaled(400_000)).with_value_bytes(500);
    load.write(primary.instance(), CLIENTS)?;
    wait_for_purge(&primary)?;
    Ok((primary, load))
}

fn wait_for_purge(primary: &Server) -> Result<()> {
    let first = primary.data().join("db0/log/log.0000000001");
    wait_for("a purge of the log", TIMEOUT, || {
        Ok((!first.exists()).then_some(()))
    })
}

/// Until another half of a second's worth of the state has gone over a throttled link.
fn wait_for_some_of_the_state(proxy: &Proxy) -> Result<()> {
    let goal = proxy.bytes() + THROTTLE / 2;
    wait_for("a part of the state", TIMEOUT, || {
        Ok((proxy.bytes() >= goal).then_some(()))
    })
}

fn wait_for_full_resync(target: &Server) -> Result<()> {
    wait_for("a full resync", TIMEOUT, || {
        let status = target.instance().status()?;
        let is_so = status
            .links
            .iter()
            .any(|l| l.state == LinkState::FullResync);
        Ok(is_so.then_some(()))
    })
}

#[test]
fn at_65_an_interrupted_full_resync_finishes_by_itself_and_is_never_promoted() -> Result<()> {
    let story = Story::begin("AT-65");
    let (mut primary, load) = primary_with_purged_log()?;
    let proxy = Proxy::to_links_of(primary.port())?;
    proxy.throttle(THROTTLE);
    let target = format!("127.0.0.1 {}", proxy.port());
    let replica = Server::start(&[("server-id", "1"), ("replicaof", target.as_str())])?;
    for interruption in [
        "connections closed",
        "cut for a second",
        "primary restarted",
    ] {
        wait_for_full_resync(&replica)?;
        wait_for_some_of_the_state(&proxy)?;
        let status = replica.instance().status()?;
        ensure!(!status.eligible, "half filled, and eligible");
        let refused = replica.instance().refusal(&["SLAVEOF", "NO", "ONE"])?;
        ensure!(
            !replica.instance().status()?.writable,
            "half filled, and promoted"
        );
        match interruption {
            "connections closed" => proxy.close_all(),
            "cut for a second" => {
                proxy.cut();
                std::thread::sleep(Duration::from_secs(1));
                proxy.heal();
            }
            _ => {
                primary.kill();
                primary.start_again()?;
            }
        }
        story.says(format_args!(
            "{interruption} after {} bytes; {:?}; promotion: {refused}",
            proxy.bytes(),
            status.not_eligible_reason
        ));
    }
    proxy.throttle(0);
    let begun = Instant::now();
    wait_until_equal(&[primary.instance(), replica.instance()], EQUAL_TIMEOUT)?;
    load.check(replica.instance(), &[])?;
    story.says(format_args!(
        "equal {} ms after the last interruption",
        begun.elapsed().as_millis()
    ));
    ensure!(replica.instance().status()?.eligible, "whole, so eligible");
    Ok(())
}

#[test]
fn a_target_killed_in_a_full_resync_has_its_old_data_whole() -> Result<()> {
    let story = Story::begin("kills in full resync");
    let primary = Server::start(SHORT_LOG)?;
    let proxy = Proxy::to_links_of(primary.port())?;
    let mut target = replica_of(proxy.port(), &[])?;
    let old = Load::new("old", 0..5000);
    old.write(primary.instance(), 1)?;
    let both = [primary.instance(), target.instance()];
    wait_until_equal(&both, EQUAL_TIMEOUT)?;
    let old_digest = target.instance().digest(0)?;
    proxy.cut();
    let load = Load::new("data", 0..scaled(400_000)).with_value_bytes(500);
    load.write(primary.instance(), CLIENTS)?;
    old.tagged("new").write(primary.instance(), 1)?;
    wait_for_purge(&primary)?;
    let new_digest = primary.instance().digest(0)?;

    let mut ends = Vec::new();
    for point in 0..10_u64 {
        // The last ones reach the end of the resync and its switch.
        proxy.throttle(if point < 6 { THROTTLE } else { 64 * THROTTLE });
        proxy.heal();
        let resyncs = wait_for_full_resync(&target);
        let mixed = (point + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let ms = if point < 6 { mixed % 1000 } else { mixed % 600 };
        std::thread::sleep(Duration::from_millis(ms));
        target.kill();
        proxy.cut();
        target.start_again()?;
        let digest = target.instance().digest(0)?;
        if digest == new_digest {
            ends.push(format!("{ms} ms: new"));
            break;
        }
        resyncs?;
        ensure!(
            digest == old_digest,
            "neither old nor new data after a kill at {ms} ms"
        );
        ends.push(format!("{ms} ms: old"));
    }
    story.says(format_args!("killed at: {}", ends.join(", ")));
    ensure!(ends.len() >= 6, "too few kills inside of a full resync");
    proxy.throttle(0);
    proxy.heal();
    let took = wait_until_equal(&both, EQUAL_TIMEOUT)?;
    load.check(target.instance(), &[])?;
    old.tagged("new").check(target.instance(), &[])?;
    story.says(format_args!(
        "then equal {} ms after the link healed",
        took.as_millis()
    ));
    Ok(())
}

#[test]
fn masters_killed_while_they_merge_a_state_keep_both_sides_writes() -> Result<()> {
    let story = Story::begin("kills in merge");
    let own = [ports::free()?, ports::free()?];
    let proxy = Proxy::to_links_of(own[0])?;
    let mut pair = Server::pair(own, [proxy.port(), own[1]], &SHORT_LOG[1..])?;
    let [a, b] = [pair[0].instance(), pair[1].instance()];
    proxy.cut();
    let of_b = Load::new("of-b", 0..5000);
    of_b.write(b, 1)?;
    let of_a = Load::new("of-a", 0..scaled(200_000)).with_value_bytes(500);
    of_a.write(a, CLIENTS)?;
    wait_for_purge(&pair[0])?;
    proxy.throttle(4 * THROTTLE);
    let port = proxy.port().to_string();
    for ms in [100, 300, 600] {
        proxy.heal();
        wait_for("a lost place", TIMEOUT, || {
            let status = b.status()?;
            Ok(status
                .links
                .iter()
                .any(|link| link.state == LinkState::LostPlace)
                .then_some(()))
        })?;
        b.ask::<String>(&["SLAVEOF", "127.0.0.1", &port])?;
        wait_for_full_resync(&pair[1])?;
        std::thread::sleep(Duration::from_millis(ms));
        pair[1].kill();
        proxy.cut();
        pair[1].start_again()?;
        of_b.check(b, &[])?;
    }
    proxy.throttle(0);
    proxy.heal();
    wait_for("a lost place or a stream", TIMEOUT, || {
        let reply: Result<String> = b.ask(&["SLAVEOF", "127.0.0.1", &port]);
        reply.map(Some)
    })?;
    let took = wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    for instance in [a, b] {
        of_a.check(instance, &[])?;
        of_b.check(instance, &[])?;
    }
    story.says(format_args!(
        "3 kills in a merge, equal {} ms after the last SLAVEOF",
        took.as_millis()
    ));
    Ok(())
}
