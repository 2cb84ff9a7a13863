//! Claims about strings.

use crate::testing::run_cases;

#[test]
fn strings_answer_as_redis_does() {
    let (commands, _) = run_cases(include_str!("../../tests/cases/string.txt"));
    assert!(commands > 300, "{commands} commands");
}
