//! Random worlds: every seed converges, keeps what it answered, and sends no echo.
//!
//! `TANDEM_SIM_SECONDS` bounds the time; `TANDEM_SIM_SEED` replays one seed and prints what happened.

mod finds;
mod regression;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tandem_sim::{Failure, Report, Sabotage, run, trace};

/// Time of this test when nobody says how long, in seconds.
const SECONDS: u64 = 20;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A panic is a failure as any other, with the seed that it needs.
fn attempt(seed: u64, sabotage: Sabotage) -> Result<Report, Failure> {
    catch_unwind(AssertUnwindSafe(|| run(seed, sabotage)))
        .unwrap_or_else(|_| Err(Failure::new("panic", "see above")))
}

#[test]
fn every_seed_converges_and_keeps_what_it_answered() {
    if let Some(seed) = number("TANDEM_SIM_SEED") {
        let (trace, ended) = trace(seed, Sabotage::None);
        println!("{trace}");
        println!("seed {seed}: {ended:?}");
        assert!(ended.is_ok(), "seed {seed}");
        return;
    }
    let seconds = number("TANDEM_SIM_SECONDS").unwrap_or(SECONDS);
    let first = number("TANDEM_SIM_FIRST").unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = first;
    let mut failed = Vec::new();
    let mut sum = Report::default();
    while Instant::now() < end {
        match attempt(seed, Sabotage::None) {
            Ok(report) => add(&mut sum, &report),
            Err(failure) => {
                println!("seed {seed} failed: {:.600}", failure.to_string());
                failed.push(seed);
            }
        }
        seed += 1;
    }
    println!("{} seeds from {first} on: {sum:?}", seed - first);
    assert!(
        failed.is_empty(),
        "replay with TANDEM_SIM_SEED={}: {failed:?}",
        failed[0]
    );
}

fn add(sum: &mut Report, one: &Report) {
    sum.instances += one.instances;
    sum.records += one.records;
    sum.answered += one.answered;
    sum.applied += one.applied;
    sum.switched += one.switched;
    sum.lost_places += one.lost_places;
    sum.starts += one.starts;
    sum.holes += one.holes;
    sum.damages += one.damages;
    sum.promotions += one.promotions;
    sum.checkpoints += one.checkpoints;
    sum.purged += one.purged;
    sum.healing_steps += one.healing_steps;
}
