//! Plans applied to a simulated world: whatever is killed, hung, delayed or done twice, cordoned,
//! deleted, rolled, scaled or asked for, no two instances ever write under one epoch, nothing written
//! is missing at the end, `-rw` is not left at nobody, and the plan gets idle.

mod carry;
mod chaos;
mod disturb;
mod world;

use chaos::run;

/// Seeds of an ordinary run; `TANDEM_PLAN_SEEDS` asks for more.
const SEEDS: u64 = 300;

#[test]
fn any_chaos_converges_and_never_has_two_owners_of_an_epoch() {
    let seeds = std::env::var("TANDEM_PLAN_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(SEEDS);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    (worker..seeds)
                        .step_by(4)
                        .filter_map(|seed| {
                            run(seed).err().map(|error| format!("seed {seed}: {error}"))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let shown: Vec<&String> = failures.iter().take(3).collect();
    assert!(
        failures.is_empty(),
        "{} of {seeds} seeds fail: {shown:#?}",
        failures.len()
    );
    println!("{seeds} seeds converged");
}

/// Replays one seed: `TANDEM_PLAN_SEED=7 cargo test -p tandem-plan --test convergence replay`.
#[test]
fn replay() {
    let seed = std::env::var("TANDEM_PLAN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    if let Err(error) = run(seed.unwrap_or(0)) {
        panic!("{error}");
    }
}
