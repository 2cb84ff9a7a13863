//! How a file looks: its head, width and length, where it lies, and that somebody declares it.

use super::source::{Finding, Source};
use std::collections::HashSet;

/// Widest line in characters: rustfmt's 100, and what it cannot break.
pub const WIDTH_MAX: usize = 110;
/// Longest file in lines; 400 is the aim.
pub const LINES_MAX: usize = 600;

/// Every file says in its first line what it is for.
pub fn heads(sources: &[Source]) -> Vec<Finding> {
    let lacks = |source: &&Source| !source.text.starts_with("//!");
    let finding =
        |source: &Source| Finding::of(&source.path, "must begin with `//!`: what it is for");
    sources.iter().filter(lacks).map(finding).collect()
}

/// A module is `name.rs` beside its directory.
pub fn no_mod_files(sources: &[Source]) -> Vec<Finding> {
    let is_mod = |source: &&Source| source.path.ends_with("/mod.rs");
    let finding =
        |source: &Source| Finding::of(&source.path, "name it after its directory, beside it");
    sources.iter().filter(is_mod).map(finding).collect()
}

/// No line is wider than [`WIDTH_MAX`], not counting literals: rustfmt leaves those alone.
pub fn widths(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let lines = source.text.lines().zip(source.literals.lines());
        for (at, (line, literals)) in lines.enumerate() {
            let width = line.chars().count() - literals.matches('x').count();
            if width > WIDTH_MAX {
                let text = format!("{width} columns, at most {WIDTH_MAX}");
                findings.push(Finding::at(source, at + 1, text));
            }
        }
    }
    findings
}

/// No file is longer than [`LINES_MAX`].
pub fn lengths(sources: &[Source]) -> Vec<Finding> {
    let finding = |source: &Source| {
        let count = source.text.lines().count();
        let text = format!(
            "{count} lines, at most {LINES_MAX} (aim at 400): split it by what its parts know"
        );
        (count > LINES_MAX).then(|| Finding::of(&source.path, text))
    };
    sources.iter().filter_map(finding).collect()
}

/// Every module file is declared by its parent: an undeclared one is never compiled.
pub fn orphans(sources: &[Source]) -> Vec<Finding> {
    let mut declared = HashSet::new();
    for source in sources {
        let directory = source
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        for line in source.text.lines() {
            if let Some(name) = declaration(line) {
                declared.insert(format!("{}/{name}.rs", source.children_at()));
            }
            if let Some(path) = line.trim().strip_prefix("#[path = \"") {
                let path = path.split('"').next().unwrap_or_default();
                declared.insert(format!("{directory}/{path}"));
            }
        }
    }
    let is_orphan = |source: &&Source| !is_root(source) && !declared.contains(&source.path);
    let finding = |source: &Source| Finding::of(&source.path, "no file declares this module");
    sources.iter().filter(is_orphan).map(finding).collect()
}

/// Name in `mod name;`, whatever its visibility.
fn declaration(line: &str) -> Option<&str> {
    let rest = line.trim().strip_suffix(';')?;
    let (before, name) = rest
        .rsplit_once("mod ")
        .filter(|(_, name)| !name.contains(' '))?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// Whether Cargo finds the file by itself.
fn is_root(source: &Source) -> bool {
    let inside = source
        .path
        .strip_prefix(source.package())
        .unwrap_or_default();
    let parts: Vec<&str> = inside.trim_start_matches('/').split('/').collect();
    matches!(
        parts.as_slice(),
        ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["tests" | "examples" | "benches", _]
            | ["tests" | "examples" | "benches", _, "main.rs"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        let sources = [
            source("a/src/b.rs", "use c;\n"),
            source("a/src/d.rs", "//! D.\n"),
        ];
        assert_eq!(
            heads(&sources).iter().map(|f| &f.path).collect::<Vec<_>>(),
            ["a/src/b.rs"]
        );
    }

    #[test]
    fn a_mod_file_is_found() {
        assert_eq!(no_mod_files(&[source("a/src/b/mod.rs", "//! B.")]).len(), 1);
    }

    #[test]
    fn a_wide_line_is_found_but_a_literal_may_be_wide() {
        let (code, literal) = ("x".repeat(110), "y".repeat(200));
        let wide = format!("//! ok\nlet a = {code};\nf(\"{literal}\");\n// {literal}\n");
        let findings = widths(&[source("a/src/b.rs", &wide)]);
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn width_is_counted_in_characters() {
        let line = format!("// {}\n", "─".repeat(WIDTH_MAX - 3));
        assert!(widths(&[source("a/src/b.rs", &line)]).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        let just = "x\n".repeat(LINES_MAX);
        assert!(lengths(&[source("a/src/b.rs", &just)]).is_empty());
        assert_eq!(
            lengths(&[source("a/src/b.rs", &format!("{just}x\n"))]).len(),
            1
        );
    }

    #[test]
    fn an_undeclared_module_is_found() {
        let sources = [
            source("a/src/lib.rs", "pub mod b;\npub(crate) mod e;\n"),
            source("a/src/b.rs", "#[cfg(test)]\nmod tests;\n"),
            source("a/src/b/tests.rs", ""),
            source("a/src/e.rs", ""),
            source("a/src/b/lost.rs", ""),
            source(
                "a/tests/story.rs",
                "#[path = \"story/told.rs\"]\nmod told;\n",
            ),
            source("a/tests/story/told.rs", ""),
            source("a/tests/world/main.rs", "mod oracle;\n"),
            source("a/tests/world/oracle.rs", ""),
        ];
        let lost: Vec<String> = orphans(&sources).into_iter().map(|f| f.path).collect();
        assert_eq!(lost, ["a/src/b/lost.rs"]);
    }
}
