//! Random worlds against the oracle; and each rule left out, to show that it is needed.
//!
//! `TANDEM_WORLDS=n` runs more of them, `TANDEM_WORLD_SEED=n` starts at that seed. A failure prints
//! seed and shortest trace.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of a test fail the test"
)]

mod oracle;
mod random;
mod world;
mod written_out;

use tandem_merge::rules::{Rule, without};
use world::{Failure, World};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn one(seed: u64, steps: Option<u32>, rule: Option<Rule>) -> Result<(), Failure> {
    World::new(seed, steps, rule).run()
}

/// The trace of the shortest run of this seed that fails in this way.
fn shortest(seed: u64, failure: &Failure) -> String {
    let most = World::new(seed, None, None).steps;
    for steps in 0..=most {
        let mut world = World::new(seed, Some(steps), None);
        world.verbose = true;
        if let Err(found) = world.run()
            && found.class == failure.class
        {
            return format!("{}seed {seed}, {steps} steps: {found:?}", world.trace);
        }
    }
    format!("seed {seed}: {failure:?}")
}

#[test]
fn every_world_converges_to_what_the_oracle_says() {
    let first = number("TANDEM_WORLD_SEED", 0);
    let count = number("TANDEM_WORLDS", 3000);
    let half = count / 2;
    std::thread::scope(|scope| {
        for part in [first..first + half, first + half..first + count] {
            scope.spawn(move || {
                for seed in part {
                    if let Err(failure) = one(seed, None, None) {
                        panic!("{}", shortest(seed, &failure));
                    }
                }
            });
        }
    });
}

/// Leaves the rule out until a world goes wrong; garbage alone does not count.
fn found_within(rule: Rule, seeds: std::ops::Range<u64>) {
    let _out = without(rule);
    for seed in seeds.clone() {
        if let Err(failure) = one(seed, None, Some(rule))
            && failure.class != "garbage stays"
        {
            println!("{rule:?}: seed {seed}: {}", failure.class);
            return;
        }
    }
    panic!("{rule:?} left out was not noticed in worlds {seeds:?}");
}

macro_rules! needed {
    ($($name:ident: $rule:ident within $seeds:expr;)*) => {$(
        #[test]
        fn $name() {
            found_within(Rule::$rule, $seeds);
        }
    )*};
}

needed! {
    applying_only_the_next_sequence_is_needed: Dense within 0..5_000;
    waiting_for_the_context_is_needed: ContextCheck within 0..20_000;
    skipping_what_is_held_is_needed: Idempotence within 0..1_000;
    holes_are_needed: Holes within 0..5_000;
    repairing_holes_in_order_is_needed: RepairOrder within 22_000..40_000;
    contexts_in_states_are_needed: Contexts within 0..20_000;
    unique_lives_are_needed: Incarnation within 0..5_000;
    watermarks_are_needed: Watermarks within 0..1_000;
    waiting_for_the_owner_is_needed: Owner within 0..10_000;
    hearing_every_member_is_needed: Heard within 0..10_000;
    keeping_late_content_is_needed: LateContent within 0..5_000;
    taking_other_types_away_is_needed: Types within 0..10_000;
    a_side_tree_is_needed: SideTree within 0..5_000;
}
