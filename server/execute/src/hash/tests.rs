//! Claims about hashes.

use crate::testing::run_cases;

#[test]
fn hashes_answer_as_redis_does() {
    let (commands, _) = run_cases(include_str!("../../tests/cases/hash.txt"));
    assert!(commands > 200, "{commands} commands");
}
