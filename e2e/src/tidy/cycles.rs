//! Files that need each other: rings in the imports of a crate. Within a crate, files form layers;
//! nothing but this checks it.
//!
//! A ring that cannot be taken apart at once is let off by its *upward* imports: those that, left
//! out, leave layers. An upward import that is gone, or that closes no ring any more, is a finding.

use super::modules::{Graph, graph};
use super::source::{Finding, Source};
use std::collections::{BTreeMap, BTreeSet};

/// An import against the layers that is let off.
#[derive(Debug, Clone, Copy)]
pub struct Upward {
    /// Directory of the crate.
    pub package: &'static str,
    /// The lower module, which should not know the other; `lib` is the root.
    pub from: &'static str,
    /// The upper module.
    pub to: &'static str,
    /// Why, and until when.
    pub reason: &'static str,
}

/// Rings in any crate beside those that `upward` lets off, and entries of it that nothing needs.
pub fn find(sources: &[Source], upward: &[Upward]) -> Vec<Finding> {
    let mut packages: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.module().is_some()) {
        packages.entry(source.package()).or_default().push(source);
    }
    let mut findings = Vec::new();
    for (package, files) in &packages {
        let mut graph = graph(files);
        let path = format!("{package}/src");
        let let_off: Vec<_> = upward
            .iter()
            .filter(|entry| entry.package == *package)
            .collect();
        for entry in &let_off {
            let removed = graph
                .get_mut(key(entry.from))
                .is_some_and(|to| to.remove(key(entry.to)));
            if !removed {
                let text = format!(
                    "`{}` no longer imports `{}`: remove the entry",
                    entry.from, entry.to
                );
                findings.push(Finding::of(&path, text));
            }
        }
        for entry in &let_off {
            if graph.contains_key(key(entry.to))
                && !reach(&graph, key(entry.to)).contains(key(entry.from))
            {
                let text = format!(
                    "`{}` → `{}` closes no ring: remove the entry",
                    entry.from, entry.to
                );
                findings.push(Finding::of(&path, text));
            }
        }
        findings.extend(
            rings(&graph)
                .iter()
                .map(|ring| Finding::of(&path, describe(ring, &graph))),
        );
    }
    let unknown = upward
        .iter()
        .filter(|entry| !packages.contains_key(entry.package));
    findings
        .extend(unknown.map(|entry| Finding::of(entry.package, "no such crate: remove the entry")));
    findings
}

fn key(module: &str) -> &str {
    if module == "lib" { "" } else { module }
}

fn shown(module: &str) -> &str {
    if module.is_empty() { "lib" } else { module }
}

fn describe(ring: &BTreeSet<String>, graph: &Graph) -> String {
    let mut text = "files need each other; move what both need into a file of its own".to_owned();
    for from in ring {
        let to: Vec<&str> = graph[from].intersection(ring).map(|to| shown(to)).collect();
        text = format!("{text}\n    {} → {}", shown(from), to.join(", "));
    }
    text
}

/// The strongly connected components with more than one module.
fn rings(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|from| (from.as_str(), reach(graph, from)))
        .collect();
    let mut rings: Vec<BTreeSet<String>> = Vec::new();
    for (from, targets) in &reached {
        let ring: BTreeSet<String> = targets
            .iter()
            .filter(|to| reached.get(**to).is_some_and(|back| back.contains(from)))
            .map(|to| (*to).to_owned())
            .collect();
        if !ring.is_empty() && !rings.contains(&ring) {
            rings.push(ring);
        }
    }
    rings
}

/// All modules on a way from `from`, itself only when a way leads back.
fn reach<'g>(graph: &'g Graph, from: &str) -> BTreeSet<&'g str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if reached.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring_of_three() -> [Source; 5] {
        [
            Source::new("a/src/lib.rs", "//! A.\nmod b; mod c; mod d; mod e;"),
            Source::new("a/src/b.rs", "use crate::c::C;"),
            Source::new("a/src/c.rs", "use crate::d::D; pub struct C;"),
            Source::new("a/src/d.rs", "fn f() { crate::b::g() } pub struct D;"),
            Source::new("a/src/e.rs", "use crate::b; use crate::c;"),
        ]
    }

    fn upward(from: &'static str, to: &'static str) -> Upward {
        Upward {
            package: "a",
            from,
            to,
            reason: "a test",
        }
    }

    #[test]
    fn a_ring_is_found_and_layers_are_not() {
        let findings = find(&ring_of_three(), &[]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "a/src");
        assert!(
            findings[0]
                .text
                .ends_with("\n    b → c\n    c → d\n    d → b"),
            "{}",
            findings[0].text
        );
    }

    #[test]
    fn crates_are_looked_at_one_by_one() {
        let sources = [
            Source::new("a/src/lib.rs", "mod b;"),
            Source::new("a/src/b.rs", ""),
            Source::new("c/src/lib.rs", "mod b; use b::B;"),
            Source::new("c/src/b.rs", "use crate::Root; pub struct B;"),
        ];
        let findings = find(&sources, &[]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("lib → b"));
    }

    #[test]
    fn an_upward_import_lets_its_ring_off() {
        assert!(find(&ring_of_three(), &[upward("d", "b")]).is_empty());
    }

    #[test]
    fn an_entry_that_nothing_needs_is_found() {
        let idle = |entry: Upward| find(&ring_of_three(), &[upward("d", "b"), entry]);
        assert!(idle(upward("b", "e"))[0].text.contains("no longer imports"));
        assert!(idle(upward("e", "b"))[0].text.contains("closes no ring"));
        assert!(
            idle(upward("d", "lib"))[0]
                .text
                .contains("no longer imports")
        );
        let elsewhere = Upward {
            package: "gone",
            ..upward("d", "b")
        };
        assert!(idle(elsewhere)[0].text.contains("no such crate"));
    }
}
