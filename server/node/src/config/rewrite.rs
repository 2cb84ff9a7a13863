//! `CONFIG REWRITE`: the configuration as a file's text.

use super::keys::{self, Key, Read};
use super::{Config, source};
use std::collections::BTreeSet;
use tandem_proto::words;

/// Stands before the lines that a rewrite adds.
const MARK: &str = "# Written by CONFIG REWRITE";

impl Config {
    /// Renders the configuration over a file's present text, which may be empty: comments and keys
    /// without meaning stay as they are, lines of known keys get the value in force, and what
    /// differs from its default and has no line is added at the end. Loading the result gives this
    /// configuration again.
    ///
    /// Passwords are in it; the file must not be readable by others.
    #[must_use]
    pub fn rewrite(&self, present: &str) -> String {
        let mut written: BTreeSet<&str> = BTreeSet::new();
        let mut lines: Vec<String> = Vec::new();
        for line in present.lines() {
            let words = source::split_line(line).ok().flatten();
            let name = words.and_then(|words| words.into_iter().next());
            let name = name
                .map(|name| name.to_ascii_lowercase())
                .unwrap_or_default();
            match keys::find(&name) {
                None => lines.push(line.to_owned()),
                Some(key) if written.insert(key.name) => {
                    lines.extend(self.render(key, &name));
                }
                // A later line of the same key: the first has all of it.
                Some(_) => {}
            }
        }
        let defaults = Self::default();
        let added: Vec<String> = keys::KEYS
            .iter()
            .filter(|key| !written.contains(key.name) && (key.show)(self) != (key.show)(&defaults))
            .filter(|key| !self.is_in_a_file_of_its_own(key.name))
            .filter_map(|key| self.render(key, key.name))
            .collect();
        if !added.is_empty() && !lines.iter().any(|line| line == MARK) {
            lines.push(MARK.to_owned());
        }
        lines.extend(added);
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// A password that was read from a file stays there.
    fn is_in_a_file_of_its_own(&self, key: &str) -> bool {
        match key {
            "requirepass" | "requirepass-previous" => self.requirepass_file.is_some(),
            "masterauth" => self.masterauth_file.is_some(),
            _ => false,
        }
    }

    /// Gives a key's line; none for words that are not there.
    fn render(&self, key: &Key, name: &str) -> Option<String> {
        let value = (key.show)(self);
        match key.read {
            Read::One(_) => Some(format!("{name} {}", words::quote(&value))),
            Read::Words(_) if value.is_empty() => None,
            Read::Words(_) => Some(format!("{name} {value}")),
        }
    }
}
