//! Words that say nothing, and open ends that nobody keeps track of.

use super::source::{Finding, Source};

/// Words that no file and no item is named with: they say nothing about what is inside.
const EMPTY_WORDS: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "stuff",
];
/// Marks of open ends; the first is allowed with an issue.
const MARKS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const DECLARES: &[&str] = &[
    "mod", "struct", "enum", "trait", "fn", "type", "const", "static", "union",
];

/// No file, module, type, function or constant has one of the empty words in its name.
pub fn names(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if let Some(word) = empty_word(part) {
                findings.push(Finding::of(&source.path, advice(part, word)));
            }
        }
        for (number, line) in source.code_lines() {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|w| !w.is_empty())
                .collect();
            for pair in words.windows(2) {
                if DECLARES.contains(&pair[0])
                    && let Some(word) = empty_word(pair[1])
                {
                    findings.push(Finding::at(source, number, advice(pair[1], word)));
                }
            }
        }
    }
    findings
}

fn advice(name: &str, word: &str) -> String {
    format!("`{name}`: `{word}` says nothing; name what it does or holds")
}

/// The first word of a snake or camel case name that is empty of meaning.
fn empty_word(name: &str) -> Option<&'static str> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    EMPTY_WORDS
        .iter()
        .copied()
        .find(|empty| words.iter().any(|word| word == empty))
}

/// Comments have no open ends but those with an issue, as in `(#12)`.
pub fn open_ends(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        for (at, line) in source.comments.lines().enumerate() {
            for (rank, mark) in MARKS.iter().enumerate() {
                let open = |(place, _): (usize, _)| {
                    let whole = !line[..place].ends_with(|c: char| c.is_alphanumeric())
                        && !line[place + mark.len()..].starts_with(|c: char| c.is_alphanumeric());
                    whole && !(rank == 0 && has_issue(&line[place + mark.len()..]))
                };
                if line.match_indices(mark).any(open) {
                    let text = format!(
                        "`{mark}` without an issue: write `{}(#NUMBER)` or do it",
                        MARKS[0]
                    );
                    findings.push(Finding::at(source, at + 1, text));
                }
            }
        }
    }
    findings
}

fn has_issue(rest: &str) -> bool {
    let number = rest
        .strip_prefix("(#")
        .and_then(|rest| rest.split_once(')'));
    number
        .is_some_and(|(digits, _)| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

/// No test is switched off without an issue that says until when.
pub fn switched_off(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        for (at, line) in source.text.lines().enumerate() {
            if let Some(reason) = line.trim_start().strip_prefix("#[ignore")
                && !reason.contains('#')
            {
                let text =
                    "a test is switched off without an issue: `#[ignore = \"#NUMBER: why\"]`";
                findings.push(Finding::at(source, at + 1, text));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::lines;

    #[test]
    fn empty_words_in_names_are_found() {
        let text =
            "pub fn common_things() {}\nstruct LinkManager;\nlet utils = 1;\nfn utility() {}\n";
        let findings = names(&[Source::new("a/src/string_utils.rs", text)]);
        assert_eq!(lines(&findings), [0, 1, 2]);
    }

    #[test]
    fn a_name_in_a_comment_or_literal_is_no_name() {
        let text = "// struct Manager\nlet a = \"fn helper\";\n";
        assert!(names(&[Source::new("a/src/b.rs", text)]).is_empty());
    }

    #[test]
    fn open_ends_need_an_issue() {
        let text =
            "// TODO later\n// TODO(#12): later\n/// FIXME(#1)\nlet a = \"TODO\";\n// TODO(#)\n";
        assert_eq!(
            lines(&open_ends(&[Source::new("a/src/b.rs", text)])),
            [1, 3, 5]
        );
    }

    #[test]
    fn a_test_switched_off_needs_an_issue() {
        let text = "#[ignore]\nfn a() {}\n#[ignore = \"slow\"]\nfn b() {}\n#[ignore = \"#7: needs raft\"]\n";
        assert_eq!(
            lines(&switched_off(&[Source::new("a/tests/b.rs", text)])),
            [1, 3]
        );
    }
}
