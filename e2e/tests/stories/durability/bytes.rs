//! Flipped bytes in log files.

use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};
use tandem_e2e::client::wait_for;
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Instance, Server, Story, wait_until_equal};

use crate::stage::{EQUAL_TIMEOUT, Pair, TIMEOUT, replica_of};

/// Writes a load to an instance, waits until it is on that disk and another one, and writes a
/// little more: now both logs themselves say that the load was durable.
fn write_durably(load: &Load, to: Instance, both: &[Instance]) -> Result<()> {
    load.write(to, 4)?;
    let mut connection = to.connect()?;
    redis::cmd("SET")
        .arg("last")
        .arg(1)
        .query::<()>(&mut connection)?;
    let durable: (u32, u32) = redis::cmd("WAITAOF")
        .arg(1)
        .arg(1)
        .arg(10_000)
        .query(&mut connection)?;
    ensure!(durable == (1, 1), "durable here and there: {durable:?}");
    Load::new("little", 0..100).write(to, 1)?;
    wait_until_equal(both, EQUAL_TIMEOUT).map(drop)
}

/// Flips a byte in the middle of a server's newest log file that has any; gives the file's length.
fn flip(server: &Server) -> Result<u64> {
    let log = server.data().join("db0/log");
    let mut files: Vec<_> = std::fs::read_dir(&log)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains("/log."))
        .filter(|path| path.metadata().is_ok_and(|found| found.len() > 0))
        .collect();
    files.sort();
    let newest = files.last().context("no log file")?;
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(newest)?;
    let length = file.metadata()?.len();
    let mut byte = [0];
    file.read_exact_at(&mut byte, length / 2)?;
    file.write_all_at(&[byte[0] ^ 0x55], length / 2)?;
    Ok(length)
}

#[test]
fn at_68_flipped_bytes_are_detected_not_applied_and_repaired() -> Result<()> {
    let story = Story::begin("AT-68");
    let mut pair = Pair::start(&[])?;
    let [a, b] = pair.instances();
    let load = Load::new("whole", 0..20_000);
    write_durably(&load, a, &[a, b])?;
    pair.masters[1].stop()?;
    let length = flip(&pair.masters[1])?;
    pair.masters[1].start_again()?;
    let output = pair.masters[1].output();
    let told = output
        .lines()
        .find(|line| line.to_lowercase().contains("corrupt") || line.contains("damaged"))
        .with_context(|| format!("nothing tells the damage: {output}"))?;
    story.says(format_args!("{length} bytes of log, one flipped: {told}"));
    let status = b.status()?;
    if !status.eligible {
        story.says(format_args!(
            "not eligible: {:?}",
            status.not_eligible_reason
        ));
        let port = pair.proxies[0].port().to_string();
        b.ask::<String>(&["SLAVEOF", "127.0.0.1", &port])?;
    }
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    for instance in [a, b] {
        load.check(instance, &[])?;
        ensure!(instance.status()?.eligible, "whole again");
    }
    wait_for("writes on both again", TIMEOUT, || {
        Ok(b.status()?.writable.then_some(()))
    })?;
    Load::new("on", 0..100).write(b, 1)?;
    wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
    Ok(())
}

#[test]
fn at_68_a_replica_with_flipped_bytes_repairs_itself() -> Result<()> {
    let story = Story::begin("AT-68 replica");
    let primary = Server::start(&[("server-id", "1")])?;
    let mut replica = replica_of(primary.port(), &[])?;
    let both = [primary.instance(), replica.instance()];
    let load = Load::new("whole", 0..20_000);
    write_durably(&load, both[0], &both)?;
    replica.stop()?;
    flip(&replica)?;
    replica.start_again()?;
    let took = wait_until_equal(&both, EQUAL_TIMEOUT)?;
    ensure!(replica.output().contains("corrupt"), "the damage is told");
    load.check(both[1], &[])?;
    story.says(format_args!(
        "repaired {} ms after its start",
        took.as_millis()
    ));
    ensure!(both[1].status()?.eligible, "whole again");
    Ok(())
}
