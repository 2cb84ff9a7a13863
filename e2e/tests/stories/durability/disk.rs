//! Full disks, and fsync as seen from outside.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tandem_e2e::client::wait_for;
use tandem_e2e::process::{ScratchDirectory, ServerProcess};
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Instance, Server, Story, ports, scaled, wait_until_equal};

use crate::stage::{EQUAL_TIMEOUT, TIMEOUT, replica_of, streams_from_primary};

const DISK_MEGABYTES: u64 = 64;
/// A write without an answer for so long is held back.
const HELD_AFTER: Duration = Duration::from_secs(1);

/// Words that run a program in a mount namespace of its own; `None` when that is not permitted.
fn own_mounts() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-r", "-m"]];
    ways.into_iter().find(|words| {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}

/// Has a server run with its data on a small disk of its own, gone with its process.
fn on_small_disk(server: &mut Server, mounts: &[&str]) -> Result<()> {
    std::fs::create_dir_all(server.data())?;
    let script = format!(
        "mount -t tmpfs -o size={DISK_MEGABYTES}m tmpfs '{}' && exec \"$@\"",
        server.data().display()
    );
    let mut words = mounts.to_vec();
    words.extend(["sh", "-c", &script, "sh"]);
    server.run_under(&words);
    Ok(())
}

/// The file that takes all room on a server's disk, as seen from outside of its namespace.
fn ballast(server: &Server) -> PathBuf {
    let data = server.data();
    let inside = data.strip_prefix("/").unwrap_or(&data);
    Path::new(&format!("/proc/{}/root", server.id()))
        .join(inside)
        .join("ballast")
}

/// Writes a file until the disk is full.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path).context("failed to make the ballast")?;
    let block = vec![7; 64 << 10];
    let full = (0..DISK_MEGABYTES * 32).any(|_| file.write_all(&block).is_err());
    ensure!(full, "the disk does not fill");
    Ok(())
}

/// What a server did on a full disk.
struct Refused {
    taken: usize,
    /// Writes that met the end of the room: they get no answer before there is some.
    held: usize,
    refusal: String,
}

/// Writes until a write is refused.
fn write_until_refused(instance: Instance) -> Result<Refused> {
    let value = "v".repeat(4096);
    let (mut taken, mut held) = (0, 0);
    let mut connection = instance.connect_with(HELD_AFTER)?;
    for index in 0..DISK_MEGABYTES as usize * 1024 {
        let mut set = redis::cmd("SET");
        set.arg(format!("until:{index}")).arg(&value);
        match set.query::<String>(&mut connection) {
            Ok(_) => taken += 1,
            Err(error) if error.is_timeout() => {
                held += 1;
                ensure!(
                    held < 5,
                    "writes hang on a full disk instead of being refused"
                );
                connection = instance.connect_with(HELD_AFTER)?;
            }
            Err(error) => {
                return Ok(Refused {
                    taken,
                    held,
                    refusal: error.to_string(),
                });
            }
        }
    }
    anyhow::bail!("all writes fit onto a full disk")
}

#[test]
fn at_66_a_full_disk_refuses_writes_and_recovers_by_itself() -> Result<()> {
    let story = Story::begin("AT-66");
    let Some(mounts) = own_mounts() else {
        story.says("SKIPPED: no mount namespace permitted here, so no small disk");
        return Ok(());
    };
    let mut primary = Server::prepare(ports::free()?, &[("server-id", "1")])?;
    on_small_disk(&mut primary, mounts)?;
    primary.start_again()?;
    let replica = replica_of(primary.port(), &[])?;
    let both = [primary.instance(), replica.instance()];
    let before = Load::new("before", 0..2000);
    before.write(both[0], 2)?;

    fill(&ballast(&primary))?;
    let refused = write_until_refused(both[0])?;
    story.says(format_args!(
        "full disk of the master: {} more writes taken, {} held back, then: {}",
        refused.taken, refused.held, refused.refusal
    ));
    before.check(both[0], &[])?;
    std::fs::remove_file(ballast(&primary))?;
    let begun = Instant::now();
    wait_for("writes again", TIMEOUT, || {
        both[0].ask::<String>(&["SET", "again", "1"]).map(Some)
    })?;
    story.says(format_args!(
        "writes again {} ms after there is room",
        begun.elapsed().as_millis()
    ));
    wait_until_equal(&both, EQUAL_TIMEOUT)?;
    before.check(both[1], &[])
}

#[test]
fn at_66_a_full_disk_of_a_replica_stops_only_it_and_it_catches_up() -> Result<()> {
    let story = Story::begin("AT-66 replica");
    let Some(mounts) = own_mounts() else {
        story.says("SKIPPED: no mount namespace permitted here, so no small disk");
        return Ok(());
    };
    let primary = Server::start(&[("server-id", "1")])?;
    let target = format!("127.0.0.1 {}", primary.port());
    let options = [("server-id", "1"), ("replicaof", target.as_str())];
    let mut replica = Server::prepare(ports::free()?, &options)?;
    on_small_disk(&mut replica, mounts)?;
    replica.start_again()?;
    streams_from_primary(&replica)?;
    let both = [primary.instance(), replica.instance()];
    Load::new("before", 0..1000).write(both[0], 1)?;
    wait_until_equal(&both, EQUAL_TIMEOUT)?;

    fill(&ballast(&replica))?;
    let during = Load::new("during", 0..20_000).with_value_bytes(500);
    let took = during.write(both[0], 4)?;
    ensure!(
        both[1].keys()? < both[0].keys()?,
        "the replica cannot have all of it"
    );
    std::fs::remove_file(ballast(&replica))?;
    let lag = wait_until_equal(&both, EQUAL_TIMEOUT)?;
    during.check(both[1], &[])?;
    story.says(format_args!(
        "the master wrote on ({} ms), the replica was equal {} ms after there was room",
        took.as_millis(),
        lag.as_millis()
    ));
    Ok(())
}

/// Counts syncs of a server while something runs; `None` when nobody may trace here.
fn count_syncs(server: &Server, run: impl FnOnce() -> Result<()>) -> Result<Option<usize>> {
    let directory = ScratchDirectory::new(None)?;
    let traced = directory.path().join("calls");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-e", "trace=fsync,fdatasync", "-p"])
        .arg(server.id().to_string())
        .arg("-o")
        .arg(&traced);
    let log = directory.path().join("output");
    let Ok(mut tracer) = ServerProcess::spawn(&mut command, &log) else {
        return Ok(None);
    };
    let is_attached = wait_for("strace", Duration::from_secs(10), || {
        if tracer.ended().is_some() {
            return Ok(Some(false));
        }
        let text = std::fs::read_to_string(&log)?;
        Ok(text.contains("attached").then_some(true))
    })?;
    if !is_attached {
        return Ok(None);
    }
    run()?;
    tracer.signal(Signal::INT)?;
    wait_for("the end of strace", Duration::from_secs(10), || {
        Ok(tracer.ended())
    })?;
    // A call that was interrupted by another thread's is shown twice: count its begin only.
    let calls = std::fs::read_to_string(&traced)?;
    let begun = calls
        .lines()
        .filter(|line| line.contains("sync(") && !line.contains("resumed"));
    Ok(Some(begun.count()))
}

#[test]
fn syncs_counted_from_outside_are_as_many_as_appendfsync_says() -> Result<()> {
    let story = Story::begin("fsync");
    let writes = scaled(2000);
    for fsync in ["always", "everysec", "no"] {
        let server = Server::start(&[("appendfsync", fsync)])?;
        let mut connection = server.instance().connect()?;
        let mut took = Duration::ZERO;
        let syncs = count_syncs(&server, || {
            let begun = Instant::now();
            for index in 0..writes {
                redis::cmd("SET")
                    .arg("k")
                    .arg(index)
                    .query::<String>(&mut connection)?;
            }
            took = begun.elapsed();
            Ok(())
        })?;
        let Some(syncs) = syncs else {
            story.says("SKIPPED: strace is missing or may not trace here");
            return Ok(());
        };
        story.says(format_args!(
            "{fsync}: {syncs} syncs for {writes} writes one after another in {} ms",
            took.as_millis()
        ));
        if fsync == "always" {
            ensure!(
                syncs >= writes,
                "{syncs} syncs for {writes} acknowledged writes"
            );
        } else {
            let most = 20 + 5 * took.as_secs() as usize;
            ensure!(syncs <= most, "{syncs} syncs at {fsync} in {took:?}");
        }
    }
    Ok(())
}
