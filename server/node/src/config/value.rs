//! Reading single values. An error is the end of a sentence that begins with "give".

use super::address::{Address, BindAddress};
use super::{GIB, KIB, MIB, PORT_MAX};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// A year; no interval is sensibly longer.
pub(super) const SECONDS_MAX: u64 = 366 * 86_400;

/// What a key takes, in words.
pub(super) type Expected = String;

/// A whole number in decimal digits.
pub(super) fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, Expected>
where
    T: FromStr + PartialOrd + Display,
{
    // A sign of plus, which `FromStr` takes, is none of a configuration's.
    let parsed = if text.starts_with('+') {
        None
    } else {
        text.parse().ok()
    };
    parsed
        .filter(|value| range.contains(value))
        .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

/// A client port.
pub(super) fn port(text: &str) -> Result<u16, Expected> {
    number(text, 1..=PORT_MAX).map_err(|expected| format!("{expected} (links use the port + 2000)"))
}

/// A size in bytes with Redis' units: `k` is 1000, `kb` is 1024, and so on.
pub(super) fn size(text: &str, range: RangeInclusive<u64>) -> Result<u64, Expected> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" => Some(1000),
        "kb" => Some(KIB),
        "m" => Some(1_000_000),
        "mb" => Some(MIB),
        "g" => Some(1_000_000_000),
        "gb" => Some(GIB),
        _ => None,
    };
    let bytes = unit
        .zip(count.parse::<u64>().ok())
        .and_then(|(unit, n)| n.checked_mul(unit));
    bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| {
        let (start, end) = (in_units(*range.start()), in_units(*range.end()));
        if *range.end() == u64::MAX {
            format!("a size of {start} or more, such as 512mb or 1gb")
        } else {
            format!("a size from {start} to {end}, such as 64mb")
        }
    })
}

fn in_units(bytes: u64) -> String {
    for (unit, name) in [(GIB, "gb"), (MIB, "mb"), (KIB, "kb")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// Whole seconds.
pub(super) fn seconds(text: &str, range: RangeInclusive<u64>) -> Result<Duration, Expected> {
    number(text, range)
        .map(Duration::from_secs)
        .map_err(|expected| format!("{expected}, in seconds"))
}

/// Whole seconds, where 0 is never.
pub(super) fn seconds_or_never(text: &str, seconds_max: u64) -> Result<Option<Duration>, Expected> {
    let duration = seconds(text, 0..=seconds_max)?;
    Ok((!duration.is_zero()).then_some(duration))
}

/// `yes` or `no`; 1 and 0, which old Pika files have, are taken too.
pub(super) fn flag(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "1" => Ok(true),
        "no" | "0" => Ok(false),
        _ => Err("yes or no".to_owned()),
    }
}

/// One of some words, in any case. Of a value's several words the first is the one that is shown.
pub(super) fn choice<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, Expected> {
    let found = words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("one of {}", words.join(", "))
    })
}

/// A host name or IP address.
pub(super) fn host(text: &str) -> Result<String, Expected> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let is_name = !bare.is_empty()
        && bare.len() <= 253
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    is_name
        .then(|| bare.to_owned())
        .ok_or_else(|| "a host name or IP address".to_owned())
}

/// `HOST PORT`, Pika's `HOST:PORT`, or `no one` (none).
pub(super) fn address(words: &[&str]) -> Result<Option<Address>, Expected> {
    let expected = || format!("HOST PORT, with a port from 1 to {PORT_MAX}, or `no one`");
    let (host_text, port_text) = match words {
        [""] => return Ok(None),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => {
            return Ok(None);
        }
        [host, port] => (*host, *port),
        [joined] => joined.rsplit_once(':').ok_or_else(expected)?,
        _ => return Err(expected()),
    };
    let host = host(host_text).map_err(|_| expected())?;
    let port = port(port_text).map_err(|_| expected())?;
    Ok(Some(Address { host, port }))
}

/// Addresses to listen on.
pub(super) fn bind(words: &[&str]) -> Result<Vec<BindAddress>, Expected> {
    let expected = || "IP addresses, such as `127.0.0.1 -::1`, or `*` for all".to_owned();
    let addresses: Option<Vec<_>> = words.iter().map(|word| BindAddress::parse(word)).collect();
    addresses
        .filter(|addresses| !addresses.is_empty())
        .ok_or_else(expected)
}

/// The id of a data set.
pub(super) fn cluster_id(text: &str) -> Result<Option<String>, Expected> {
    if text.is_empty() {
        return Ok(None);
    }
    let is_id = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id
        .then(|| Some(text.to_ascii_lowercase()))
        .ok_or_else(|| {
            "40 hexadecimal digits, or `\"\"` for the one in the data directory".to_owned()
        })
}
