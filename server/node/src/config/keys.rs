//! The keys: how each is written, read, shown, and whether it changes at run time.

mod read;
mod show;
mod table;

pub(super) use table::KEYS;

use super::Config;
use super::value::Expected;

/// One key.
pub(super) struct Key {
    /// As Redis spells it today, or Pika, or Tandem.
    pub(super) name: &'static str,
    /// Other spellings.
    pub(super) aliases: &'static [&'static str],
    /// Whether `CONFIG SET` changes it.
    pub(super) change: Change,
    /// How it is read.
    pub(super) read: Read,
    /// How `CONFIG GET` shows it: text that `read` takes.
    pub(super) show: fn(&Config) -> String,
}

/// When a key may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// At start only.
    AtStart,
    /// At any time.
    AtRunTime,
    /// At start, and by a command of its own.
    ByCommand(&'static str),
}

/// How a key is read.
#[derive(Clone, Copy)]
pub(super) enum Read {
    /// From one value, which may have blanks.
    One(fn(&mut Config, &str) -> Result<(), Expected>),
    /// From one or more words.
    Words(fn(&mut Config, &[&str]) -> Result<(), Expected>),
}

impl Key {
    /// Sets the key.
    pub(super) fn apply(&self, config: &mut Config, values: &[&str]) -> Result<(), Expected> {
        match (self.read, values) {
            (Read::One(read), [value]) => read(config, value),
            (Read::One(_), _) => Err("one value".to_owned()),
            (Read::Words(read), words) => read(config, words),
        }
    }

    /// Gives the name with all other spellings.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether several lines of the key add up.
    pub(super) fn adds_up(&self) -> bool {
        self.name == "client-output-buffer-limit"
    }
}

/// Whether `CONFIG SET` puts a key in force at once; false for keys that are not known.
pub fn applies_live(key: &str) -> bool {
    find(&key.to_ascii_lowercase()).is_some_and(|key| key.change == Change::AtRunTime)
}

/// Finds a key by any spelling, in lower case.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.spellings().any(|spelling| spelling == name))
}
