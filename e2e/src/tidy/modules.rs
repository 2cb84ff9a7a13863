//! The imports between the files of one crate: for each file, which other files define what it
//! names. A re-export is followed to where the thing is defined, so a parent that only declares and
//! re-exports its children is nobody's dependency.

use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// For each module (`log/writer`, the root is empty) the modules that it uses.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// How often a re-export is followed before it is taken for a ring.
const HOPS_MAX: usize = 16;

/// A path with the name under which it is known; the name is `*` for a glob.
type Import = (String, Vec<String>);

#[derive(Debug, Default)]
struct Module {
    imports: Vec<Import>,
    /// Paths of private imports and of code.
    used: Vec<Vec<String>>,
}

/// The graph of a library's files; tests, binaries and `main.rs` are not in it.
pub fn graph(sources: &[&Source]) -> Graph {
    let mut modules = BTreeMap::new();
    for source in sources {
        let Some(path) = source.module().filter(|_| !source.is_test) else {
            continue;
        };
        if path != "main" && !path.starts_with("bin/") {
            let name = if path == "lib" { "" } else { path };
            modules.insert(name.to_owned(), read(&source.code));
        }
    }
    let mut graph = Graph::new();
    for (name, module) in &modules {
        let edges: BTreeSet<String> = module
            .used
            .iter()
            .filter_map(|path| resolve(&modules, name, path, 0))
            .filter(|target| target != name)
            .collect();
        graph.insert(name.clone(), edges);
    }
    graph
}

/// The module that defines what `path`, written in module `from`, names; `None` when it is not of
/// this crate.
fn resolve(
    modules: &BTreeMap<String, Module>,
    from: &str,
    path: &[String],
    hops: usize,
) -> Option<String> {
    let mut here = from.to_owned();
    let mut rest = path;
    let mut anchored = false;
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "crate" => here.clear(),
            "self" => {}
            "super" => here.truncate(parent(&here).len()),
            _ => break,
        }
        anchored = true;
        rest = behind;
    }
    while let Some((name, behind)) = rest.split_first() {
        let child = join(&here, name);
        if modules.contains_key(&child) {
            here = child;
            anchored = true;
            rest = behind;
            continue;
        }
        let known = modules
            .get(&here)?
            .imports
            .iter()
            .find(|(known, _)| known == name);
        return match known {
            Some((_, import)) if anchored && hops < HOPS_MAX => {
                let mut onward = import.clone();
                onward.extend(behind.iter().cloned());
                resolve(modules, &here, &onward, hops + 1)
            }
            _ => anchored.then_some(here),
        };
    }
    anchored.then_some(here)
}

fn parent(module: &str) -> &str {
    module.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}/{name}")
    }
}

/// Words and punctuation of masked code; `::` is one token.
fn tokens(code: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in code.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        match out.last_mut() {
            Some(last) if is_word && in_word => last.push(c),
            Some(last) if c == ':' && last == ":" && !in_word => last.push(c),
            _ if c.is_whitespace() => {}
            _ => out.push(c.to_string()),
        }
        // A space between two colons would join them; rustfmt writes none.
        in_word = is_word;
    }
    out
}

fn read(code: &str) -> Module {
    let tokens = tokens(code);
    let mut module = Module::default();
    let mut at = 0;
    // Depth of braces inside inline modules, whose `super` is this file.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0usize;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|opened| *opened < depth + 1);
            }
            "mod" if tokens.get(at + 2).is_some_and(|token| token == "{") => inline.push(depth + 1),
            "use" => {
                let is_public = tokens[..at].last().is_some_and(|t| t == "pub" || t == ")");
                let mut imports = Vec::new();
                at = use_tree(&tokens, at + 1, &[], &mut imports);
                for (name, path) in imports {
                    let path = lifted(path, inline.len());
                    if !is_public {
                        module.used.push(path.clone());
                    }
                    if inline.is_empty() {
                        module.imports.push((name, path));
                    }
                }
                continue;
            }
            word if starts_path(&tokens, at, word) => {
                let mut path = vec![word.to_owned()];
                while tokens.get(at + 1).is_some_and(|token| token == "::")
                    && tokens.get(at + 2).is_some_and(|token| is_name(token))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                module.used.push(lifted(path, inline.len()));
            }
            _ => {}
        }
        at += 1;
    }
    module
}

/// A path written inside inline modules, as the file would write it.
fn lifted(mut path: Vec<String>, depth: usize) -> Vec<String> {
    for _ in 0..depth {
        if path.first().is_some_and(|first| first == "super") {
            path.remove(0);
            path.insert(0, "self".to_owned());
            if path.get(1).is_some_and(|second| second == "super") {
                path.remove(0);
            }
        }
    }
    path
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn starts_path(tokens: &[String], at: usize, word: &str) -> bool {
    let before = at
        .checked_sub(1)
        .map_or("", |before| tokens[before].as_str());
    is_name(word)
        && before != "::"
        && before != "."
        && before != "$"
        && before != "pub"
        && tokens.get(at + 1).is_some_and(|token| token == "::")
}

/// Reads one tree of a `use` from `at`; returns the place behind it.
fn use_tree(tokens: &[String], mut at: usize, prefix: &[String], out: &mut Vec<Import>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "*" => {
                out.push(("*".to_owned(), path));
                return behind(tokens, at + 1);
            }
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = use_tree(tokens, at, &path, out);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return behind(tokens, at + 1);
            }
            "as" => {
                let name = tokens.get(at + 1).cloned().unwrap_or_default();
                out.push((name, path));
                return behind(tokens, at + 2);
            }
            name if is_name(name) => {
                path.push(name.to_owned());
                at += 1;
            }
            _ => {
                named(path, out);
                return behind(tokens, at);
            }
        }
    }
    at
}

/// A path that ends in its own name, or in `self`.
fn named(mut path: Vec<String>, out: &mut Vec<Import>) {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(name) = path.last().cloned() {
        out.push((name, path));
    }
}

/// Steps over the semicolon of a whole `use`; commas and braces belong to the tree around.
fn behind(tokens: &[String], at: usize) -> usize {
    at + usize::from(tokens.get(at).is_some_and(|token| token == ";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph_of(files: &[(&str, &str)]) -> Graph {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(&format!("a/src/{path}.rs"), text))
            .collect();
        graph(&sources.iter().collect::<Vec<_>>())
    }

    fn uses(graph: &Graph, module: &str) -> Vec<String> {
        graph[module].iter().cloned().collect()
    }

    #[test]
    fn imports_of_every_form_are_seen() {
        let graph = graph_of(&[
            ("lib", "mod b; mod c; mod d; mod e; mod f; mod g;"),
            (
                "b",
                "use crate::c::{C, deep::D as E};\nuse super::d::*;\nfn f() { crate::e::g(); super::f::h() }",
            ),
            ("c", "mod deep; pub struct C;"),
            ("c/deep", "pub struct D;"),
            ("d", ""),
            ("e", ""),
            (
                "f",
                "use std::fs; use self::x; fn a() { let g = 1; other::thing() }",
            ),
            ("g", "// use crate::b;\n"),
        ]);
        assert_eq!(uses(&graph, "b"), ["c", "c/deep", "d", "e", "f"]);
        assert!(uses(&graph, "f").is_empty());
        assert!(uses(&graph, "g").is_empty());
    }

    #[test]
    fn a_reexport_is_followed_to_its_file() {
        let graph = graph_of(&[
            ("lib", "pub mod log; pub mod store; pub use log::Log;"),
            (
                "log",
                "mod writer; mod reader; pub use writer::{Log, Position};",
            ),
            ("log/writer", "pub struct Log;"),
            ("log/reader", "use super::Position;"),
            ("store", "use crate::Log; use crate::log::Position;"),
        ]);
        assert_eq!(uses(&graph, "store"), ["log/writer"]);
        assert_eq!(uses(&graph, "log/reader"), ["log/writer"]);
        assert!(
            uses(&graph, "log").is_empty(),
            "a parent that re-exports uses nothing"
        );
    }

    #[test]
    fn a_parent_that_defines_something_is_used_and_uses() {
        let graph = graph_of(&[
            ("lib", "mod log;"),
            (
                "log",
                "mod writer; use writer::Writer; pub struct SegmentId; fn f() { writer::g() }",
            ),
            ("log/writer", "use super::SegmentId;"),
        ]);
        assert_eq!(uses(&graph, "log"), ["log/writer"]);
        assert_eq!(uses(&graph, "log/writer"), ["log"]);
    }

    #[test]
    fn an_inline_module_belongs_to_its_file() {
        let graph = graph_of(&[
            ("lib", "mod b; mod c; pub struct Root;"),
            (
                "b",
                "pub struct B; mod inner { use super::B; use super::super::Root; }\nuse super::c;",
            ),
            ("c", ""),
        ]);
        assert_eq!(uses(&graph, "b"), ["", "c"]);
    }
}
