//! The simulator finds bugs: with each of these faults, or without one of these rules, some seed
//! fails, and soon.

use super::attempt;
use tandem_merge::rules::{Rule, without};
use tandem_sim::Sabotage;

/// Seeds within which each fault has to be found.
const SEEDS: u64 = 400;

/// The first seed that fails, and how.
fn first_failure(sabotage: Sabotage) -> Option<(u64, &'static str)> {
    (1..=SEEDS).find_map(|seed| Some((seed, attempt(seed, sabotage).err()?.class)))
}

#[test]
fn each_fault_of_the_shell_is_found() {
    for sabotage in Sabotage::ALL {
        let found = first_failure(sabotage);
        println!("{sabotage:?} is found: {found:?}");
        assert!(found.is_some(), "{sabotage:?} in {SEEDS} seeds");
    }
}

#[test]
fn each_of_these_rules_is_needed() {
    for rule in [Rule::Idempotence, Rule::Contexts, Rule::Watermarks] {
        let _without = without(rule);
        let found = first_failure(Sabotage::None);
        println!("without {rule:?}: {found:?}");
        assert!(found.is_some(), "without {rule:?} in {SEEDS} seeds");
    }
}

#[test]
fn lost_records_are_found_even_where_gaps_are_let_through() {
    let _without = without(Rule::Dense);
    let found = first_failure(Sabotage::LostRecords);
    println!("lost records without a look at gaps: {found:?}");
    assert!(found.is_some_and(|(_, class)| class != "refused"));
}
