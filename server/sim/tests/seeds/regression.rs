//! Seeds that once failed.

use super::attempt;
use tandem_sim::Sabotage;

/// Each with what it found.
const FOUND: [(u64, &str); 8] = [
    (
        18,
        "after a failed fsync a restart took for durable what was on no disk",
    ),
    (
        158,
        "a checkpoint put into the tree what a full disk kept from the log",
    ),
    (
        73,
        "a state merged into the source while it was scanned left a gap behind the scan",
    ),
    (275, "a writer promoted again went on under its old epoch"),
    (
        1_104,
        "a life that had ended was named as the own one in the hello",
    ),
    (
        2_320,
        "a replica's wish to be replaced outlived its promotion",
    ),
    (
        7_140,
        "a hole was not filled from the only instance that could, a mate",
    ),
    (10_600, "the same with another group waiting for it"),
];

#[test]
fn seeds_that_once_failed_pass() {
    for (seed, what) in FOUND {
        let ended = attempt(seed, Sabotage::None);
        assert!(ended.is_ok(), "seed {seed} ({what}): {ended:?}");
    }
}
