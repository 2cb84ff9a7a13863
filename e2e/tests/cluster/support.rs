//! What the stories of failing share: a pair under load, a fault, and what has to follow.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_api::double_master::{DoubleMasterStatus, MemberStatus};
use tandem_e2e::cluster::pair::{HEAL_LIMIT, master, other, target, usual_spec};
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage, wait_until};

/// Acknowledged writes to each service that make up a load.
pub(crate) const SOME: u64 = 200;

/// Runs a story with two operators and a usual pair.
pub(crate) fn with_pair(name: &'static str, story: impl FnOnce(&Stage, &Operator, &Pair)) {
    let Some(stage) = Stage::begin(name).unwrap() else {
        return;
    };
    let operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    story(&stage, &operator, &pair);
}

/// What a client saw of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    /// Time without an acknowledgement on `-rw`.
    pub(crate) rw: Duration,
    /// The same on the slot's service.
    pub(crate) slot: Duration,
}

/// Hurts the master of a slot under load; `after` is done once the slot is served again. Checks that the
/// pair heals, that status and report agree, that `-rw` follows, and that nothing is lost.
pub(crate) fn survive(
    pair: &Pair,
    what: &str,
    before: &MemberStatus,
    hurt: impl FnOnce() -> Result<()>,
    after: impl FnOnce() -> Result<()>,
) -> Result<Outage> {
    let clients = Clients::start(pair, &name_of(what, before))?;
    clients.wait_for_more(SOME)?;
    let peer = pair.master(other(&before.slot))?;
    let was_writer = target(&pair.status()?, "rw").as_ref() == Some(&before.name);
    let since = Instant::now();
    hurt()?;
    let now = pair.wait_until_served(before)?;
    let served = since.elapsed();
    clients.wait_for_more(SOME)?;
    after()?;
    let failover = pair.wait_until_healed(before)?;
    clients.wait_for_more(SOME)?;
    let told = clients.finish()?;
    let outage = Outage {
        rw: told.rw_outage(since),
        slot: told.slot_outage(&before.slot, since),
    };
    let how = match &failover {
        Some(last) => {
            // The peer may have been lost with the same node; then `-rw` goes to whoever is first, and the
            // status tells of the slot that was restored last.
            let peer_stays = pair.master(&peer.slot)?.name == peer.name;
            let told = (last.slot.as_str(), last.from.as_str());
            ensure!(
                told == (&*before.slot, &*before.name)
                    || (!peer_stays && told == (&*peer.slot, &*peer.name)),
                "the status tells of another failover: {last:?}"
            );
            if was_writer && peer_stays && last.rw_outage_ms.is_some() {
                let status = pair.status()?;
                let behind = target(&status, "rw");
                ensure!(behind.as_ref() == Some(&peer.name), "-rw is on {behind:?}");
            }
            let shown = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| ms.to_string());
            format!(
                "{} took over from {} at epoch {} because {}; by the report -rw away {} ms, all {} ms",
                last.to,
                last.from,
                last.epoch,
                last.cause,
                shown(last.rw_outage_ms),
                shown(last.total_ms)
            )
        }
        None => format!("{} took its role again at epoch {}", now.name, now.epoch),
    };
    pair.stage().says(format_args!(
        "{what}: {} of slot {}, {}: -rw away {} ms, -{} away {} ms, status after {} ms; {how}",
        before.name,
        before.slot,
        if was_writer {
            "the writer"
        } else {
            "not the writer"
        },
        outage.rw.as_millis(),
        before.slot,
        outage.slot.as_millis(),
        served.as_millis(),
    ));
    pair.nothing_is_lost(&told.ledger())?;
    Ok(outage)
}

/// Writers of one story on one pair must not share names.
fn name_of(what: &str, before: &MemberStatus) -> String {
    let word: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
    format!(
        "{word}-{}-{}-{}",
        before.slot,
        before.epoch,
        incarnation(before)
    )
}

fn incarnation(member: &MemberStatus) -> &str {
    member.incarnation.as_deref().unwrap_or("none")
}

/// Epochs of both slots, which only a failover raises.
pub(crate) fn epochs(status: &DoubleMasterStatus) -> Result<(u64, u64)> {
    Ok((master(status, "a")?.epoch, master(status, "b")?.epoch))
}

/// Goes through a disturbance under load that is no reason for a failover, and checks that there was
/// none and that nothing is lost.
pub(crate) fn shrug_off(
    pair: &Pair,
    what: &str,
    disturb: impl FnOnce(&Clients) -> Result<()>,
) -> Result<()> {
    let before = epochs(&pair.status()?)?;
    let word: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
    let clients = Clients::start(pair, &word)?;
    clients.wait_for_more(SOME)?;
    let since = Instant::now();
    disturb(&clients)?;
    clients.wait_for_more(SOME)?;
    let status = pair.wait_until_ready()?;
    let told = clients.finish()?;
    ensure!(
        epochs(&status)? == before,
        "there was a failover: {:?}",
        status.last_failover
    );
    pair.stage().says(format_args!(
        "{what}: no failover; longest time without an answer: -rw {} ms, -a {} ms, -b {} ms",
        told.rw_outage(since).as_millis(),
        told.slot_outage("a", since).as_millis(),
        told.slot_outage("b", since).as_millis(),
    ));
    pair.nothing_is_lost(&told.ledger())
}

/// Lets time pass that a story is about.
pub(crate) fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// The members of a slot that are not its master.
pub(crate) fn replicas_of(pair: &Pair, slot: &str) -> Result<Vec<MemberStatus>> {
    let master = pair.master(slot)?.name;
    let mut members = pair.status()?.members;
    members.retain(|member| member.slot == slot && member.name != master);
    Ok(members)
}

/// Waits until a pod is another one than `id` was.
pub(crate) fn wait_for_another_pod(pair: &Pair, name: &str, id: &str) -> Result<()> {
    wait_until(&format!("another pod {name}"), HEAL_LIMIT, || {
        let now = pair.pod_id(name)?;
        ensure!(now != id, "it is the same pod");
        Ok(())
    })
}
