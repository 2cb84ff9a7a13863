//! kill -9, again and again, under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_e2e::story::{Instance, Ledger, Server, Story, Writers, ledger::Pace, scaled};
use tandem_e2e::story::{full_size, wait_until_equal};

use crate::stage::{EQUAL_TIMEOUT, replica_of};

const WRITERS: usize = 4;
/// Writes between two kills, at least.
const WRITES_MIN: u64 = 300;

/// Delays from 0 to 200 ms in no order, the same in each run.
fn moment(number: usize) -> Duration {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Duration::from_millis((mixed >> 33) % 200)
}

/// Writers in rounds; each round ends with its ledger added to the whole.
struct Rounds {
    whole: Ledger,
    number: usize,
}

impl Rounds {
    fn new() -> Self {
        Self {
            whole: Ledger::default(),
            number: 0,
        }
    }

    /// Writes for a while, and has `strike` hit in the middle of it.
    fn run(&mut self, to: Instance, strike: impl FnOnce() -> Result<()>) -> Result<()> {
        let name = format!("r{}", self.number);
        let pace = Pace {
            patience: Duration::from_secs(2),
            ..Pace::default()
        };
        let writers = Writers::start(&name, &[to], WRITERS, pace);
        writers.wait_for_more(WRITES_MIN)?;
        std::thread::sleep(moment(self.number));
        strike()?;
        self.whole.merge(writers.finish()?);
        self.number += 1;
        Ok(())
    }
}

fn killed_server_keeps_all(story: &Story, fsync: &str) -> Result<()> {
    let mut server = Server::start(&[("appendfsync", fsync)])?;
    let instance = server.instance();
    let mut rounds = Rounds::new();
    let kills = scaled(100);
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        rounds.run(instance, || {
            server.kill();
            Ok(())
        })?;
        let begun = Instant::now();
        server.start_again()?;
        slowest = slowest.max(begun.elapsed());
        rounds.whole.check(instance)?;
    }
    let checked = rounds.whole.check(instance)?;
    story.says(format_args!(
        "{fsync}: {kills} kills, {} acknowledged writes, {} values and {} counters all there, \
         {} unanswered; slowest restart {} ms",
        rounds.whole.acknowledged(),
        checked.values,
        checked.counters,
        rounds.whole.unanswered(),
        slowest.as_millis()
    ));
    Ok(())
}

#[test]
fn kills_at_everysec_lose_nothing_acknowledged() -> Result<()> {
    killed_server_keeps_all(&Story::begin("kills at everysec"), "everysec")
}

#[test]
fn kills_at_always_lose_nothing_acknowledged() -> Result<()> {
    killed_server_keeps_all(&Story::begin("kills at always"), "always")
}

#[test]
fn at_70_kills_of_master_and_replica_lose_and_double_nothing() -> Result<()> {
    let story = Story::begin("AT-70");
    let mut primary = Server::start(&[("server-id", "1")])?;
    let mut replica = replica_of(primary.port(), &[])?;
    let both = [primary.instance(), replica.instance()];
    let mut rounds = Rounds::new();
    let kills = scaled(100);
    for kill in 0..kills {
        let hits_primary = (kill * 7) % 3 != 0;
        let victim = if hits_primary {
            &mut primary
        } else {
            &mut replica
        };
        rounds.run(both[0], || {
            victim.kill();
            // A replica comes back while writes go on.
            if hits_primary {
                Ok(())
            } else {
                victim.start_again()
            }
        })?;
        if hits_primary {
            primary.start_again()?;
        }
        if full_size() && kill % 10 == 0 {
            wait_until_equal(&both, EQUAL_TIMEOUT)?;
        }
    }
    let lag = wait_until_equal(&both, EQUAL_TIMEOUT)?;
    let checked = rounds.whole.check_all(&both)?;
    let (full, _) = both[1].resyncs()?;
    ensure!(full == 0, "{full} full resyncs for restarts alone");
    story.says(format_args!(
        "{kills} kills, {} acknowledged writes, {} values and {} counters right on both, equal after {} ms",
        rounds.whole.acknowledged(),
        checked.values,
        checked.counters,
        lag.as_millis()
    ));
    Ok(())
}
