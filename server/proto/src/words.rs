//! Lines of words, quoted as Redis' `sdssplitargs` has it: inline commands and configuration files.
//!
//! `"..."` knows `\n \r \t \b \a \xHH` and `\` before any other byte; `'...'` knows `\'` only. A
//! quote may open inside a word, and what follows a closing quote must be a blank or the end.

use crate::error::ProtocolError;

/// Splits a line into words by Redis' quoting rules and gives each, unquoted, to `take`. A NUL
/// ends the line, as it does in Redis.
pub fn split(line: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), ProtocolError> {
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut rest = line;
    let mut word = Vec::new();
    loop {
        let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Ok(());
        }
        word.clear();
        rest = take_word(rest, &mut word)?;
        take(&word);
    }
}

/// C's `isspace`, which knows the vertical tab that Rust's ASCII blanks leave out.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match *rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [b'"', ref quoted @ ..] => return take_double_quoted(quoted, word),
            [b'\'', ref quoted @ ..] => return take_single_quoted(quoted, word),
            [byte, ref after @ ..] => {
                word.push(byte);
                rest = after;
            }
        }
    }
}

fn take_double_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, after) = match *rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', ref after @ ..] => return closed(after),
            [b'\\', b'x', high, low, ref after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex_digit(high) << 4 | hex_digit(low), after)
            }
            [b'\\', escaped, ref after @ ..] => (unescaped(escaped), after),
            [byte, ref after @ ..] => (byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn take_single_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, after) = match *rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\\', b'\'', ref after @ ..] => (b'\'', after),
            [b'\'', ref after @ ..] => return closed(after),
            [byte, ref after @ ..] => (byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

/// A closing quote ends its word: a blank or the end must follow.
fn closed(after: &[u8]) -> Result<&[u8], ProtocolError> {
    match after.first() {
        Some(&byte) if !is_blank(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(after),
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

/// Writes a word so that [`split`] gives it back: bare when that is possible, else in double
/// quotes.
#[must_use]
pub fn quote(word: &str) -> String {
    use std::fmt::Write as _;
    let is_bare = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '\'' | '#');
    // A colon at the start could be taken for the one between key and value of a Pika file.
    if !word.is_empty() && !word.starts_with(':') && word.chars().all(is_bare) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Result<Vec<String>, ProtocolError> {
        let mut found = Vec::new();
        split(line.as_bytes(), |word| {
            found.push(String::from_utf8_lossy(word).into_owned());
        })?;
        Ok(found)
    }

    #[test]
    fn words_split_as_redis_splits_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t ", &[]),
            ("get  key", &["get", "key"]),
            ("set k \"a b\\n\\x41\\\"\"", &["set", "k", "a b\nA\""]),
            ("set k 'a \\' \\n b'", &["set", "k", "a ' \\n b"]),
            ("pre\"quoted\" end", &["prequoted", "end"]),
            ("a '' \"\"", &["a", "", ""]),
            ("\"\\xzz\\q\"", &["xzzq"]),
            ("back\\slash", &["back\\slash"]),
            ("cut\0off", &["cut"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), *expected, "{line:?}");
        }
    }

    #[test]
    fn open_and_glued_quotes_are_unbalanced() {
        for line in ["a \"b", "a 'b", "a \"b\"c", "a 'b'c", "\"a\\", "\"", "'"] {
            assert_eq!(
                words(line),
                Err(ProtocolError::UnbalancedQuotes),
                "{line:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_splits_back_into_itself(word in "[^\0]*") {
            prop_assert_eq!(words(&quote(&word)).unwrap(), vec![word]);
        }
    }
}
