//! What can be wrong with a configuration: where it stands, what it is, what to do.

use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// By `--KEY VALUE`.
    Arguments,
    /// By `CONFIG SET`.
    ConfigSet,
    /// Nowhere: a default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "`{}` line {line}", path.display()),
            Self::Arguments => f.write_str("command line"),
            Self::ConfigSet => f.write_str("CONFIG SET"),
            Self::Default => f.write_str("configuration"),
        }
    }
}

/// Why a configuration was refused. Each message names the place, the key and the remedy; none
/// shows a password.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read configuration file `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of a password cannot be read.
    #[error(
        "failed to read the password file `{}` of `{key}`; give a file that this user may read, or \
         remove the key", path.display()
    )]
    ReadSecret {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of a password holds none.
    #[error(
        "the password file `{}` of `{key}` holds no password; put it on the first line, or remove the \
         key", path.display()
    )]
    EmptySecret {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The line's quotes do not pair.
    #[error("{origin}: a quote is not closed, or closed inside a word; write key \"value\"")]
    UnbalancedQuotes {
        /// Where.
        origin: Origin,
    },
    /// An argument that belongs to no key.
    #[error("command line: `{argument}` belongs to no key; write --KEY VALUE")]
    StrayArgument {
        /// The argument.
        argument: String,
    },
    /// More than one configuration file.
    #[error("command line: `{first}` and `{second}` both name a configuration file; give one")]
    SecondFile {
        /// The first.
        first: String,
        /// The other.
        second: String,
    },
    /// A key nobody knows.
    #[error("{origin}: `{key}` is no configuration key; {}", advice(*nearest))]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// The known key that is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// A key whose promise is not kept here, so that ignoring it would be dangerous.
    #[error("{origin}: `{key}` is not supported: {reason}")]
    UnsupportedKey {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// A key without a value.
    #[error("{origin}: `{key}` has no value; give {expected}")]
    MissingValue {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// What it takes.
        expected: String,
    },
    /// More values than the key takes.
    #[error("{origin}: `{key}` takes one value, not {count}; {}", surplus_advice(*has_comment))]
    SurplusValues {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// How many were given.
        count: usize,
        /// Whether the surplus looks like a comment.
        has_comment: bool,
    },
    /// A value the key does not take.
    #[error("{origin}: `{key}` cannot be `{value}`; give {expected}")]
    WrongValue {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// A key set twice, differently.
    #[error("{origin}: `{key}` was set to another value at {first}; keep one of the two")]
    Contradiction {
        /// Where it was set again.
        origin: Origin,
        /// The key, as written there.
        key: String,
        /// Where it was set first.
        first: Origin,
    },
    /// Settings that do not go together.
    #[error("{origin}: {problem}; {remedy}")]
    Combination {
        /// Where one of them was made.
        origin: Origin,
        /// What is wrong; names the keys.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A key that `CONFIG SET` does not change.
    #[error("`{key}` can't be changed at run time; {remedy}")]
    NotSettable {
        /// The key.
        key: String,
        /// What to do instead.
        remedy: String,
    },
}

fn advice(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(key) => format!("did you mean `{key}`?"),
        None => "remove it; `CONFIG GET *` lists the keys there are".to_owned(),
    }
}

fn surplus_advice(has_comment: bool) -> &'static str {
    if has_comment {
        "put the comment on a line of its own"
    } else {
        "put a value with blanks into double quotes"
    }
}
