//! The house rules hold in this workspace. What breaks one is listed with its file and line;
//! exceptions stand here, each with its reason, and can only become fewer.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use tandem_e2e::tidy::source::{Source, read_workspace, root};
use tandem_e2e::tidy::{
    Exception, Finding, Upward, borders, calls, cycles, links, settle, shape, words,
};

/// Files without a head.
const HEADLESS: &[Exception] = &[
    Exception {
        path: "e2e/src/bench/load/tests.rs",
        about: "must begin",
        reason: "the tests of the file beside it",
    },
    Exception {
        path: "server/replicate/src/handshake/tests.rs",
        about: "must begin",
        reason: "the tests of the file beside it",
    },
    Exception {
        path: "server/replicate/src/message/tests.rs",
        about: "must begin",
        reason: "the tests of the file beside it",
    },
];

/// Lines wider than the limit.
const WIDE: &[Exception] = &[Exception {
    path: "server/proto/src/command/table.rs",
    about: "114 columns",
    reason: "the head of a table",
}];

/// Files longer than the limit.
const LONG_FILES: &[Exception] = &[Exception {
    path: "server/merge/tests/world/world.rs",
    about: "lines",
    reason: "one world with all its faults; oracle and random are out already",
}];

/// Names with an empty word.
const NAMES: &[Exception] = &[Exception {
    path: "operator/api/src/labels.rs",
    about: "MANAGER",
    reason: "value of Kubernetes' own label `managed-by`",
}];

/// Imports against the layers of a crate: the lower file, and the upper one that it should not know.
const UPWARD: &[Upward] = &[
    Upward {
        package: "server/execute",
        from: "hash/random",
        to: "lib",
        reason: "`Env` is defined at the root; it belongs into a leaf",
    },
    Upward {
        package: "server/merge",
        from: "draft/direct",
        to: "draft",
        reason: "`AddError` is defined in the parent; it belongs into a leaf",
    },
    Upward {
        package: "server/merge",
        from: "draft/pending",
        to: "draft/direct",
        reason: "`grown` is shared by both; it belongs into a leaf",
    },
    Upward {
        package: "server/proto",
        from: "command/table",
        to: "command",
        reason: "the row type is defined in the parent of its table",
    },
    Upward {
        package: "server/proto",
        from: "resp/inline",
        to: "resp",
        reason: "the parser's types are defined in the parent",
    },
    Upward {
        package: "server/store",
        from: "database/checkpoint",
        to: "database",
        reason: "`impl Database` in parts; only `Upkeep` goes the other way",
    },
    Upward {
        package: "server/node",
        from: "config/check",
        to: "config",
        reason: "`Config` is defined in the parent of its parts",
    },
    Upward {
        package: "server/node",
        from: "config/keys",
        to: "config",
        reason: "`Config` is defined in the parent of its parts",
    },
    Upward {
        package: "server/node",
        from: "config/runtime",
        to: "config",
        reason: "`Config` is defined in the parent of its parts",
    },
    Upward {
        package: "server/node",
        from: "config/value",
        to: "config",
        reason: "`Config` is defined in the parent of its parts",
    },
];

/// Files touched past the store's door.
const FILE_CALLS: &[Exception] = &[Exception {
    path: "server/store/src/tree.rs",
    about: "std::fs",
    reason: "a tree's directory is the LSM engine's, which has a door of its own",
}];

fn sources() -> Vec<Source> {
    let sources = read_workspace(&root()).unwrap();
    assert!(
        sources.len() > 100,
        "only {} files were found",
        sources.len()
    );
    sources
}

fn packages() -> Vec<borders::Package> {
    let packages = borders::packages(&root()).unwrap();
    assert!(
        packages.len() > 10,
        "only {} crates were found",
        packages.len()
    );
    packages
}

#[track_caller]
fn assert_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} findings:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_none(&settle(shape::heads(&sources()), HEADLESS));
}

#[test]
fn no_file_is_named_mod() {
    assert_none(&shape::no_mod_files(&sources()));
}

#[test]
fn no_line_is_too_wide() {
    assert_none(&settle(shape::widths(&sources()), WIDE));
}

#[test]
fn no_file_is_too_long() {
    assert_none(&settle(shape::lengths(&sources()), LONG_FILES));
}

#[test]
fn every_module_file_is_declared() {
    assert_none(&shape::orphans(&sources()));
}

#[test]
fn names_say_something() {
    assert_none(&settle(words::names(&sources()), NAMES));
}

#[test]
fn open_ends_have_an_issue() {
    assert_none(&words::open_ends(&sources()));
}

#[test]
fn tests_that_are_switched_off_have_an_issue() {
    assert_none(&words::switched_off(&sources()));
}

#[test]
fn pure_crates_touch_no_system() {
    assert_none(&calls::purity(&sources()));
}

#[test]
fn the_store_has_one_door_to_files() {
    assert_none(&settle(calls::one_door_to_files(&sources()), FILE_CALLS));
}

#[test]
fn files_are_replaced_in_one_place() {
    assert_none(&calls::renames(&sources()));
}

#[test]
fn files_of_a_crate_form_layers() {
    assert_none(&cycles::find(&sources(), UPWARD));
}

#[test]
fn crates_keep_their_borders() {
    assert_none(&borders::between_crates(&packages()));
}

#[test]
fn pure_crates_depend_on_pure_code() {
    let packages = packages();
    assert_none(&borders::of_pure_crates(&packages));
    assert_none(&borders::no_client_in_types(&packages));
}

#[test]
fn every_crate_takes_the_lints() {
    assert_none(&borders::lint_tables(&packages()).unwrap());
}

#[test]
fn documents_name_files_that_exist() {
    assert_none(&links::broken(&root()).unwrap());
}
