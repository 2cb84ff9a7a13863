//! Where settings come from: the text of a file, and arguments. Nothing here knows a key.

use super::error::{ConfigError, Origin};
use std::path::{Path, PathBuf};
use tandem_proto::words;

/// A key with its values, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// In lower case.
    pub(super) key: String,
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// What the arguments say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) file: Option<PathBuf>,
    pub(super) settings: Vec<Setting>,
}

/// Reads `[FILE] [--config FILE] [--KEY VALUE...]...`; `--KEY=VALUE` is the same, and is the way to
/// give a value that begins with `--`.
pub(super) fn from_arguments(args: &[String]) -> Result<Invocation, ConfigError> {
    let mut invocation = Invocation {
        file: None,
        settings: Vec::new(),
    };
    let mut args = args.iter().peekable();
    if let Some(first) = args.next_if(|first| !first.starts_with("--")) {
        invocation.file = Some(PathBuf::from(first));
    }
    while let Some(argument) = args.next() {
        let stray = || ConfigError::StrayArgument {
            argument: argument.clone(),
        };
        let option = argument.strip_prefix("--").ok_or_else(stray)?;
        let (key, mut values) = match option.split_once('=') {
            Some((key, value)) => (key, vec![value.to_owned()]),
            None => (option, Vec::new()),
        };
        if key.is_empty() {
            return Err(stray());
        }
        if values.is_empty() {
            while let Some(value) = args.next_if(|next| !next.starts_with("--")) {
                values.push(value.clone());
            }
        }
        let key = key.to_ascii_lowercase();
        if key == "config" {
            take_file(&mut invocation, values)?;
        } else {
            invocation.settings.push(Setting {
                key,
                values,
                origin: Origin::Arguments,
            });
        }
    }
    Ok(invocation)
}

fn take_file(invocation: &mut Invocation, values: Vec<String>) -> Result<(), ConfigError> {
    let mut values = values.into_iter();
    let file = values
        .next()
        .filter(|file| !file.is_empty())
        .ok_or(ConfigError::MissingValue {
            origin: Origin::Arguments,
            key: "config".to_owned(),
            expected: "the path of a configuration file".to_owned(),
        })?;
    if let Some(argument) = values.next() {
        return Err(ConfigError::StrayArgument { argument });
    }
    if let Some(first) = &invocation.file {
        let first = first.display().to_string();
        return Err(ConfigError::SecondFile {
            first,
            second: file,
        });
    }
    invocation.file = Some(PathBuf::from(file));
    Ok(())
}

/// Reads the lines of a file: `key value...` as Redis has them, `key : value` as Pika has them, and
/// lines that are empty or begin with `#`.
pub(super) fn from_file(path: &Path, text: &str) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let origin = Origin::File {
            path: path.to_owned(),
            line: index + 1,
        };
        let Some(words) = split_line(line).map_err(|()| ConfigError::UnbalancedQuotes {
            origin: origin.clone(),
        })?
        else {
            continue;
        };
        let mut words = words.into_iter();
        let Some(key) = words.next() else { continue };
        settings.push(Setting {
            key: key.to_ascii_lowercase(),
            values: words.collect(),
            origin,
        });
    }
    Ok(settings)
}

/// Splits a line into key and values; `None` where it sets nothing: no words, a comment, or Pika's
/// `key :`, which stands for the default.
pub(super) fn split_line(line: &str) -> Result<Option<Vec<String>>, ()> {
    if line.trim_start().starts_with('#') {
        return Ok(None);
    }
    let line = line.trim();
    let key_end = line
        .find(|c: char| c.is_whitespace() || c == ':')
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(key_end);
    let rest = rest.trim_start();
    // `::1` is an address; the colon of Pika's form stands alone.
    let pika_value = rest
        .strip_prefix(':')
        .filter(|value| !value.starts_with(':'));
    let mut words = Vec::new();
    for text in [key, pika_value.unwrap_or(rest)] {
        words::split(text.as_bytes(), |word| {
            words.push(String::from_utf8_lossy(word).into_owned());
        })
        .map_err(|_| ())?;
    }
    let is_default = pika_value.is_some() && words.len() == 1;
    Ok((!words.is_empty() && !is_default).then_some(words))
}
