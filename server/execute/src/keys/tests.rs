//! Claims about keys.

use crate::testing::run_cases;

#[test]
fn keys_answer_as_redis_does() {
    let (commands, _) = run_cases(include_str!("../../tests/cases/keys.txt"));
    assert!(commands > 250, "{commands} commands");
}
