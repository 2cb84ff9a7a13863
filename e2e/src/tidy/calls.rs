//! Which code may touch the system: pure crates never, and data files only through one door.

use super::source::{Finding, Source};

/// Crates whose code decides over plain values only.
pub const PURE: &[&str] = &[
    "server/proto",
    "server/merge",
    "server/execute",
    "server/replicate",
    "operator/plan",
];

/// What pure code must not name: time, randomness, disk and threads are arguments there.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::env",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "RandomState",
    "tokio::",
];

/// Pure crates touch no clock, file, socket or thread outside of tests.
pub fn purity(sources: &[Source]) -> Vec<Finding> {
    let pure = sources
        .iter()
        .filter(|source| PURE.contains(&source.package()) && !source.is_test);
    pure.flat_map(|source| named(source, IMPURE, "a pure crate takes it as an argument"))
        .collect()
}

/// Calls that open, create, rename or remove files.
const FILE_CALLS: &[&str] = &[
    "std::fs",
    "use std::fs",
    "File::open",
    "File::create",
    "OpenOptions",
    "fs::rename",
    "fs::remove",
];

/// In the store only `disk.rs` touches files, so that the simulator's disk sees all of it.
pub fn one_door_to_files(sources: &[Source]) -> Vec<Finding> {
    let outside = |source: &&Source| {
        source.package() == "server/store" && !source.is_test && !source.path.ends_with("/disk.rs")
    };
    let store = sources.iter().filter(outside);
    store
        .flat_map(|source| named(source, FILE_CALLS, "go through `disk::Disk`"))
        .collect()
}

/// A rename replaces a file for good only with syncs before and behind it, so each crate that does
/// it has one place for it.
pub fn renames(sources: &[Source]) -> Vec<Finding> {
    let outside = |source: &&Source| {
        !source.is_test
            && !["/disk.rs", "/atomic.rs"]
                .iter()
                .any(|door| source.path.ends_with(door))
    };
    let shell = sources.iter().filter(outside);
    shell
        .flat_map(|source| named(source, &["fs::rename"], "replace files in one place only"))
        .collect()
}

fn named(source: &Source, banned: &[&str], remedy: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.code_lines() {
        if let Some(call) = banned.iter().find(|call| line.contains(**call)) {
            findings.push(Finding::at(source, number, format!("`{call}`: {remedy}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::lines;

    #[test]
    fn a_clock_in_a_pure_crate_is_found() {
        let text =
            "use std::time::Instant;\nlet a = Instant::now();\nuse std::fs::File;\n// std::fs\n";
        assert_eq!(
            lines(&purity(&[Source::new("server/merge/src/a.rs", text)])),
            [2, 3]
        );
        assert!(purity(&[Source::new("server/node/src/a.rs", text)]).is_empty());
        assert!(purity(&[Source::new("server/merge/tests/a.rs", text)]).is_empty());
    }

    #[test]
    fn tests_inside_a_pure_file_may_touch_the_system() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert!(purity(&[Source::new("server/merge/src/a.rs", text)]).is_empty());
    }

    #[test]
    fn a_file_opened_past_the_door_is_found() {
        let text = "let a = File::create(path)?;\nfs::rename(a, b)?;\n";
        assert_eq!(
            lines(&one_door_to_files(&[Source::new(
                "server/store/src/tree.rs",
                text
            )])),
            [1, 2]
        );
        assert!(one_door_to_files(&[Source::new("server/store/src/disk.rs", text)]).is_empty());
    }

    #[test]
    fn a_bare_rename_is_found() {
        let text = "std::fs::rename(a, b)?;\n";
        assert_eq!(
            lines(&renames(&[Source::new("operator/src/journal.rs", text)])),
            [1]
        );
        assert!(renames(&[Source::new("operator/src/runtime/process/atomic.rs", text)]).is_empty());
    }
}
