//! The commands: what each is called, how many arguments it takes, what it may do and where its
//! keys stand.
//!
//! Every question about a command is answered from its [`CommandSpec`], so that sessions,
//! transactions, replicas and `COMMAND` never disagree.

mod describe;
mod index;
mod table;

pub use describe::{answer_command, refuse_arity, refuse_unknown};
pub use index::lookup;
pub use table::CommandId;

use std::ops::Range;

/// One command, as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandSpec {
    /// Its id.
    pub id: CommandId,
    /// Its name in lower case.
    pub name: &'static str,
    /// Arguments with the name: exactly so many, or, if negative, at least so many.
    pub arity: i32,
    /// What it may do and when it is allowed.
    pub flags: Flags,
    /// Index of the first key argument; 0: it has no keys.
    pub first_key: i32,
    /// Index of the last key argument, inclusive; negative: counted from the end, -1 is the last.
    pub last_key: i32,
    /// Distance from one key to the next.
    pub key_step: i32,
    /// Its family.
    pub group: Group,
    /// The version of Redis that brought it (of Tandem, for its own).
    pub since: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
}

impl CommandSpec {
    /// Whether the command takes `argc` arguments, its name included.
    #[inline]
    pub fn accepts(&self, argc: usize) -> bool {
        if self.arity >= 0 {
            argc == self.arity as usize
        } else {
            argc >= self.arity.unsigned_abs() as usize
        }
    }

    /// Whether it changes data.
    #[inline]
    pub fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }

    /// Gives the indexes of its key arguments among `argc` arguments. Empty where it has none, and
    /// where `argc` ends before the first.
    #[inline]
    pub fn key_indexes(&self, argc: usize) -> std::iter::StepBy<Range<usize>> {
        let first = self.first_key as usize;
        let end = if self.first_key == 0 {
            0
        } else if self.last_key < 0 {
            (argc + 1).saturating_sub(self.last_key.unsigned_abs() as usize)
        } else {
            argc.min(self.last_key as usize + 1)
        };
        (first..end.max(first)).step_by((self.key_step as usize).max(1))
    }
}

impl CommandId {
    /// Gives the command's row.
    #[inline]
    pub fn spec(self) -> &'static CommandSpec {
        &table::TABLE[self as usize]
    }
}

/// Gives all commands, family by family.
pub fn all() -> &'static [CommandSpec] {
    &table::TABLE
}

/// Gives the indexes of the key arguments of `spec` among `argc` arguments.
#[inline]
pub fn keys(spec: &CommandSpec, argc: usize) -> std::iter::StepBy<Range<usize>> {
    spec.key_indexes(argc)
}

/// A family of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Strings and counters.
    String,
    /// Hashes.
    Hash,
    /// Keys, whatever they hold.
    Generic,
    /// MULTI and what belongs to it.
    Transactions,
    /// The connection itself.
    Connection,
    /// The server and its databases.
    Server,
}

impl Group {
    /// Gives the name that `COMMAND DOCS` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::Generic => "generic",
            Self::Transactions => "transactions",
            Self::Connection => "connection",
            Self::Server => "server",
        }
    }
}

/// A set of flags with Redis' meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Changes data; refused on a replica.
    pub const WRITE: Self = Self(1);
    /// Reads data and changes none.
    pub const READONLY: Self = Self(1 << 1);
    /// May need memory; refused when there is none to give.
    pub const DENYOOM: Self = Self(1 << 2);
    /// Changes the server rather than data.
    pub const ADMIN: Self = Self(1 << 3);
    /// Not from a script.
    pub const NOSCRIPT: Self = Self(1 << 4);
    /// Allowed before the data is there.
    pub const LOADING: Self = Self(1 << 5);
    /// Allowed on a replica that has lost its primary and may not serve stale data.
    pub const STALE: Self = Self(1 << 6);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 7);
    /// Allowed before the client has authenticated.
    pub const NO_AUTH: Self = Self(1 << 8);
    /// Not inside a transaction.
    pub const NO_MULTI: Self = Self(1 << 9);
    /// May wait for another client.
    pub const BLOCKING: Self = Self(1 << 10);
    /// Belongs to publish and subscribe.
    pub const PUBSUB: Self = Self(1 << 11);

    /// Names in the order in which Redis lists them.
    const NAMES: [(Self, &'static str); 12] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::NO_MULTI, "no_multi"),
    ];

    /// Gives the flags of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Gives the flags' names, as `COMMAND` shows them.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        Self::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests;
