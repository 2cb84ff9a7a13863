//! Clients of a pair: to each of its services some that write and note each acknowledgement.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::pair::Pair;
use super::patience::patience;
use crate::story::ledger::Pace;
use crate::story::{Ledger, Writers};

/// Gaps that are shorter are not noted by a ledger.
const GAP_MIN: Duration = Duration::from_millis(20);

/// How the clients of stories write: a pause that is short against the gaps that are measured, and a
/// client that connects anew when an answer takes half a second.
fn pace() -> Pace {
    Pace {
        pause: Duration::from_millis(2),
        patience: Duration::from_millis(500) * patience(),
    }
}

/// Running clients.
#[derive(Debug)]
pub struct Clients {
    rw: Writers,
    a: Writers,
    b: Writers,
}

impl Clients {
    /// Starts two clients of `-rw` and one of each slot's service. `name` must differ between those
    /// that write to one pair.
    pub fn start(pair: &Pair, name: &str) -> Result<Self> {
        let start = |suffix: &str, count| -> Result<Writers> {
            let door = [pair.service(suffix)?];
            Ok(Writers::start(
                &format!("{name}-{suffix}-"),
                &door,
                count,
                pace(),
            ))
        };
        Ok(Self {
            rw: start("rw", 2)?,
            a: start("a", 1)?,
            b: start("b", 1)?,
        })
    }

    /// Waits until so many more writes to each service were acknowledged.
    pub fn wait_for_more(&self, count: u64) -> Result<()> {
        for writers in [&self.rw, &self.a, &self.b] {
            writers.wait_for_more(count)?;
        }
        Ok(())
    }

    /// The clients of `-rw`.
    pub fn rw(&self) -> &Writers {
        &self.rw
    }

    /// Ends them and gives what they were told.
    pub fn finish(self) -> Result<Told> {
        Ok(Told {
            rw: self.rw.finish()?,
            a: self.a.finish()?,
            b: self.b.finish()?,
        })
    }
}

/// What the clients of each service were told.
#[derive(Debug)]
pub struct Told {
    rw: Ledger,
    a: Ledger,
    b: Ledger,
}

impl Told {
    /// The longest time without an acknowledgement to a client of `-rw` that ended after `since`.
    pub fn rw_outage(&self, since: Instant) -> Duration {
        longest_after(&self.rw, since)
    }

    /// The same for a slot's service.
    pub fn slot_outage(&self, slot: &str, since: Instant) -> Duration {
        longest_after(if slot == "a" { &self.a } else { &self.b }, since)
    }

    /// What all of them were told.
    pub fn ledger(self) -> Ledger {
        let mut all = self.rw;
        all.merge(self.a);
        all.merge(self.b);
        all
    }
}

fn longest_after(ledger: &Ledger, since: Instant) -> Duration {
    ledger
        .gaps()
        .iter()
        .filter(|gap| gap.from + gap.length >= since)
        .map(|gap| gap.length)
        .max()
        .unwrap_or(GAP_MIN)
}
