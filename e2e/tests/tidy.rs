//! The house rules hold in this workspace. What breaks one is listed with its file and line;
//! exceptions stand here, each with its reason, and can only become fewer.

use tandem_e2e::tidy::source::{Source, read_workspace, root};
use tandem_e2e::tidy::{
    Exception, Finding, Upward, borders, calls, cycles, links, settle, shape, words,
};

/// Files longer than the limit.
const LONG_FILES: &[Exception] = &[];

/// Imports against the layers of a crate.
const UPWARD: &[Upward] = &[];

/// Files opened past the store's door.
const FILE_CALLS: &[Exception] = &[];

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
#[ignore = "#3: the tree is not tidy yet in this respect"]
fn every_file_says_what_it_is_for() {
    assert_none(&shape::heads(&sources()));
}

#[test]
fn no_file_is_named_mod() {
    assert_none(&shape::no_mod_files(&sources()));
}

#[test]
#[ignore = "#3: the tree is not tidy yet in this respect"]
fn no_line_is_too_wide() {
    assert_none(&shape::widths(&sources()));
}

#[test]
#[ignore = "#3: the tree is not tidy yet in this respect"]
fn no_file_is_too_long() {
    assert_none(&settle(shape::lengths(&sources()), LONG_FILES));
}

#[test]
fn every_module_file_is_declared() {
    assert_none(&shape::orphans(&sources()));
}

#[test]
#[ignore = "#3: the tree is not tidy yet in this respect"]
fn names_say_something() {
    assert_none(&words::names(&sources()));
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
#[ignore = "#3: the tree is not tidy yet in this respect"]
fn the_store_has_one_door_to_files() {
    assert_none(&settle(calls::one_door_to_files(&sources()), FILE_CALLS));
}

#[test]
fn files_are_replaced_in_one_place() {
    assert_none(&calls::renames(&sources()));
}

#[test]
#[ignore = "#3: the tree is not tidy yet in this respect"]
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
