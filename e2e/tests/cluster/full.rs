//! Volumes that are full: of a replica, and of the master that `-rw` points at. They grow, and that is all
//! that has to be done.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use tandem_api::double_master::{DoubleMasterStatus, MemberStatus};
use tandem_e2e::cluster::pair::{HEAL_LIMIT, is, member, other, target};
use tandem_e2e::cluster::{Clients, Pair, Stage, wait_until};
use tandem_e2e::story::Instance;

use super::support::{SOME, pass, replicas_of, with_pair};

/// A volume that some seconds of writes fill.
const SMALL: u32 = 96;
const LARGE: u32 = 1024;
/// How long a volume stays full while clients write.
const FULL_FOR: Duration = Duration::from_secs(10);
const VALUE: usize = 20_000;
const BATCH: usize = 25;

#[test]
fn a_replica_whose_volume_is_full_hinders_nobody_and_goes_on_when_it_grows() {
    with_pair("volume full, replica", |stage, _, pair| {
        let slot = pair.writer().unwrap().slot;
        let replica = replicas_of(pair, &slot).unwrap().remove(0);
        stage.shrink_volume(&replica.name, SMALL).unwrap();
        pair.wait_until_ready().unwrap();
        let before = pair.status().unwrap().epochs;
        let clients = Clients::start(pair, "replica").unwrap();
        clients.wait_for_more(SOME).unwrap();

        let filled = fill(pair, &slot, &replica.name).unwrap();
        let status = told_full(pair, &replica.name).unwrap();
        let since = Instant::now();
        assert!(is(&status, "Writable"), "both masters write");
        pass(FULL_FOR);
        clients.wait_for_more(SOME).unwrap();
        // It shows what it took before.
        let door = pair.instance(&replica.name).unwrap();
        reads(door, &filled[..1]).unwrap();
        let behind = door.refusal(&["SET", "full:refused", "x"]).unwrap();
        assert!(behind.contains("read only replica"), "{behind}");
        // A full one is not promoted; it would refuse every write.
        let found = pair.status().unwrap();
        assert_eq!(found.epochs, before);

        stage.grow_volume(&replica.name, LARGE).unwrap();
        let grown = Instant::now();
        pair.wait_until_ready().unwrap();
        let healed = grown.elapsed();
        clients.wait_for_more(SOME).unwrap();
        let told = clients.finish().unwrap();
        let found = pair.status().unwrap();
        assert_eq!(found.epochs, before, "no failover");
        stage.says(format_args!(
            "{}, a replica, full after {} values of {VALUE} bytes, for {:.1} s: longest time without an answer \
             -rw {} ms, -{slot} {} ms; whole {} ms after it grew",
            replica.name,
            filled.len(),
            grown.duration_since(since).as_secs_f64(),
            told.rw_outage(since).as_millis(),
            told.slot_outage(&slot, since).as_millis(),
            healed.as_millis()
        ));
        pair.nothing_is_lost(&told.ledger()).unwrap();
        all_read(pair, &filled).unwrap();
    });
}

#[test]
fn a_master_whose_volume_is_full_is_left_by_rw_and_writes_again_when_it_grows() {
    with_pair("volume full, master", |stage, _, pair| {
        let master = writer_with_small_volume(stage, pair).unwrap();
        let slot = master.slot.clone();
        let peer = pair.master(other(&slot)).unwrap();
        let before = pair.status().unwrap().epochs;
        let clients = Clients::start(pair, "master").unwrap();
        clients.wait_for_more(SOME).unwrap();

        let since = Instant::now();
        let filled = fill(pair, &slot, &master.name).unwrap();
        let full = Instant::now();
        let status = told_full(pair, &master.name).unwrap();
        let shown = member(&status, &master.name).unwrap();
        assert!(
            !shown.writable && shown.reason.contains("no space left"),
            "{shown:?}"
        );
        assert!(is(&status, "Writable"), "its peer writes");
        pair.wait_until("-rw is at the peer", HEAL_LIMIT, |status| {
            target(status, "rw").as_ref() == Some(&peer.name)
        })
        .unwrap();
        switched_for_a_reason(stage, &master.name).unwrap();
        let moved = full.elapsed();
        clients.rw().wait_for_more(SOME).unwrap();
        let door = pair.service(&slot).unwrap();
        let refusal = door.refusal(&["SET", "full:refused", "x"]).unwrap();
        assert!(
            refusal.contains("MISCONF") && refusal.contains("no space left"),
            "{refusal}"
        );
        reads(door, &filled).unwrap();
        pass(FULL_FOR);
        clients.rw().wait_for_more(SOME).unwrap();
        let found = pair.status().unwrap();
        assert_eq!(found.epochs, before, "nobody was promoted");
        reads(door, &filled).unwrap();

        stage.grow_volume(&master.name, LARGE).unwrap();
        let grown = Instant::now();
        pair.wait_until_ready().unwrap();
        let healed = grown.elapsed();
        clients.wait_for_more(SOME).unwrap();
        let told = clients.finish().unwrap();
        let status = pair.status().unwrap();
        assert_eq!(status.epochs, before, "no failover");
        assert_eq!(
            target(&status, "rw"),
            Some(peer.name),
            "-rw stays where it is"
        );
        stage.says(format_args!(
            "{}, the writer, full after {} values of {VALUE} bytes: \"{refusal}\"; -rw at the peer {} ms \
             later; longest time without an answer -rw {} ms, -{slot} {} ms; whole {} ms after it grew",
            master.name,
            filled.len(),
            moved.as_millis(),
            told.rw_outage(since).as_millis(),
            told.slot_outage(&slot, since).as_millis(),
            healed.as_millis()
        ));
        pair.nothing_is_lost(&told.ledger()).unwrap();
        all_read(pair, &filled).unwrap();
    });
}

/// A master that `-rw` points at, and whose volume is small: a replica's is made so, the replica takes the
/// slot over, and the peer's switchover brings `-rw` to it.
fn writer_with_small_volume(stage: &Stage, pair: &Pair) -> Result<MemberStatus> {
    let first = pair.writer()?;
    let slot = other(&first.slot);
    let replica = replicas_of(pair, slot)?.remove(0).name;
    stage.shrink_volume(&replica, SMALL)?;
    pair.wait_until_ready()?;
    let before = pair.master(slot)?;
    pair.request("switchover", &format!("{slot}={replica}"))?;
    pair.wait_until_healed(&before)?;
    pair.request("switchover", &first.slot)?;
    pair.wait_until_healed(&first)?;
    let writer = pair.writer()?;
    ensure!(writer.name == replica, "-rw points at {}", writer.name);
    Ok(writer)
}

/// Writes to a slot until an instance says that its volume is full; gives the keys that were
/// acknowledged.
fn fill(pair: &Pair, slot: &str, until_full: &str) -> Result<Vec<String>> {
    let door = pair.service(slot)?;
    let watched = pair.instance(until_full)?;
    let mut filled = Vec::new();
    let limit = usize::try_from(SMALL)? * 1_000_000 * 2 / (VALUE * BATCH);
    for batch in 0..limit {
        if watched.status()?.volume_full {
            return Ok(filled);
        }
        let mut connection = door.connect_with(Duration::from_secs(3))?;
        let keys = (0..BATCH).map(|key| format!("fill:{}", batch * BATCH + key));
        let keys: Vec<String> = keys.collect();
        let mut pipeline = redis::pipe();
        for key in &keys {
            pipeline.cmd("SET").arg(key).arg(value_of(key)).ignore();
        }
        // The master that fills up answers none of the batch that met the end of its volume.
        match pipeline.query::<()>(&mut connection) {
            Ok(()) => filled.extend(keys),
            Err(error) if watched.status()?.volume_full => {
                pair.stage()
                    .says(format_args!("the filling ended with: {error}"));
                return Ok(filled);
            }
            Err(error) => return Err(error).context("the slot does not take writes"),
        }
    }
    anyhow::bail!("{until_full} took {} values and is not full", filled.len())
}

/// Bytes that differ from key to key and do not compress.
fn value_of(key: &str) -> String {
    let mut state = key
        .bytes()
        .fold(7_u64, |sum, byte| sum * 31 + u64::from(byte));
    let mut value = String::with_capacity(VALUE);
    while value.len() < VALUE {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        value.push(char::from(b' ' + ((state >> 33) % 90) as u8));
    }
    value
}

/// The last value that was acknowledged, and the first.
fn reads(door: Instance, filled: &[String]) -> Result<()> {
    for key in [filled.first(), filled.last()].into_iter().flatten() {
        let found: Option<String> = door.ask(&["GET", key])?;
        ensure!(found == Some(value_of(key)), "{key} is another on {door}");
    }
    Ok(())
}

/// All of them, on every instance.
fn all_read(pair: &Pair, filled: &[String]) -> Result<()> {
    for door in pair.instances()? {
        let mut connection = door.connect()?;
        for keys in filled.chunks(BATCH) {
            let found: Vec<Option<String>> = redis::cmd("MGET").arg(keys).query(&mut connection)?;
            for (key, found) in keys.iter().zip(found) {
                ensure!(found == Some(value_of(key)), "{key} is lost on {door}");
            }
        }
    }
    Ok(())
}

/// The status names the instance and what is wrong with it.
fn told_full(pair: &Pair, name: &str) -> Result<DoubleMasterStatus> {
    pair.wait_until("the status tells of a full volume", HEAL_LIMIT, |status| {
        status.conditions.iter().any(|one| {
            (one.kind.as_str(), one.reason.as_str()) == ("Ready", "VolumeFull")
                && one.status == tandem_api::ConditionStatus::False
                && one.message.contains(name)
        })
    })
}

/// An Event says from where `-rw` went, and why.
fn switched_for_a_reason(stage: &Stage, from: &str) -> Result<()> {
    let words = format!("the volume of {from} is full");
    wait_until("an Event tells why -rw moved", HEAL_LIMIT, || {
        let events: Vec<Event> = stage.list("")?;
        let told = events.iter().any(|event| {
            let note = event.note.as_deref().unwrap_or_default();
            event.reason.as_deref() == Some("WriterSwitched") && note.contains(&words)
        });
        ensure!(told, "none of {} does", events.len());
        Ok(())
    })
}
