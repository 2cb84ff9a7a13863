//! How long `-rw` is away, as a client sees it: printed, not asserted.

use std::time::Duration;

use rustix::process::Signal;
use tandem_e2e::story::ledger::Pace;
use tandem_e2e::story::local::{Member, send};
use tandem_e2e::story::{Ledger, Local, Story, Writers, full_size};

use super::support::{
    measuring_patience, new_master, nothing_is_lost, wait_until_restored, writer,
};

/// Writers whose pause is short against the gaps of 20 ms and more that a ledger notes.
const PACE: Pace = Pace {
    pause: Duration::from_millis(1),
    patience: Duration::from_secs(5),
};

#[test]
fn rw_comes_back_after_kills() {
    let story = Story::begin("-rw over kills");
    let rounds = if full_size() { 20 } else { 5 };
    measure(&story, rounds, |_, old| {
        send(old.pid.unwrap(), Signal::KILL).unwrap();
    });
}

#[test]
fn rw_comes_back_after_hangs() {
    let story = Story::begin("-rw over hangs");
    let rounds = if full_size() { 10 } else { 3 };
    measure(&story, rounds, |local, old| {
        send(old.pid.unwrap(), Signal::STOP).unwrap();
        new_master(local, old);
        send(old.pid.unwrap(), Signal::CONT).unwrap();
    });
}

fn measure(story: &Story, rounds: usize, hurt: impl Fn(&Local, &Member)) {
    let local = Local::start("double-master.yaml", measuring_patience()).unwrap();
    let mut all = Ledger::default();
    let mut outages = Vec::new();
    for round in 0..rounds {
        outages.push(one_round(&local, round, &mut all, &hurt));
    }
    outages.sort();
    story.says(format_args!(
        "{rounds} rounds, patience {}: -rw away for {} ms p50, {} ms p99, longest {} ms; each {:?}",
        measuring_patience(),
        outages[outages.len() / 2].as_millis(),
        outages[(outages.len() * 99).div_ceil(100) - 1].as_millis(),
        outages[outages.len() - 1].as_millis(),
        outages.iter().map(Duration::as_millis).collect::<Vec<_>>(),
    ));
    nothing_is_lost(story, &local, &all);
}

/// Hurts the writer of `-rw` once; gives the longest time without an acknowledgement.
fn one_round(
    local: &Local,
    round: usize,
    all: &mut Ledger,
    hurt: impl Fn(&Local, &Member),
) -> Duration {
    let rw = local.service("rw").unwrap();
    let old = writer(local);
    let writers = Writers::start(&format!("o{round}"), &[rw], 2, PACE);
    writers.wait_for_more(300).unwrap();
    hurt(local, &old);
    writers.wait_for_more(300).unwrap();
    wait_until_restored(local, &old.slot, old.epoch);
    let ledger = writers.finish().unwrap();
    let outage = ledger.longest_gap();
    all.merge(ledger);
    outage
}
