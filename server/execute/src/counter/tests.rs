//! Claims about counters.

use crate::testing::run_cases;

#[test]
fn counters_answer_as_redis_does() {
    let (commands, _) = run_cases(include_str!("../../tests/cases/counter.txt"));
    assert!(commands > 150, "{commands} commands");
}
