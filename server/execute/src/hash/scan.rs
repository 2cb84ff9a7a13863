//! HSCAN: the fields of a hash in the order of a fixed hash of their names, so that a cursor means
//! the same whatever came and went since, and at every instance.
//!
//! ```text
//! 0 ─────── fields by hash ───────▶ 2^53        a cursor is the least hash not given yet; 0 begins and ends
//! ```
//! A field that is there from the first call to the last is given at least once.

use super::is_hash;
use crate::argument::{integer, is};
use crate::refusal::{Done, Refusal};
use siphasher::sip::SipHasher13;
use std::borrow::Cow;
use std::hash::Hasher;
use tandem_merge::{Draft, Kind};
use tandem_proto::{Reply, glob};

/// A hash with no more fields, none of them larger, is given as a whole, as Redis does with its
/// `listpack` encoding (`hash-max-listpack-entries`, `hash-max-listpack-value`).
pub(crate) const SMALL_FIELDS_MAX: usize = 512;
pub(crate) const SMALL_BYTES_MAX: usize = 64;

/// Fields for which COUNT asks when it is not given.
const COUNT_DEFAULT: usize = 10;
/// Most calls for a whole hash with any COUNT: each call looks at all fields.
const CALLS_MAX: usize = 256;

const SEED: (u64, u64) = (0x7461_6e64_656d_0002, 0x6873_6361_6e2d_6f72);
/// Bits of a cursor, so that clients which read it as a float do not round it.
const CURSOR_BITS: u32 = 53;

/// What follows the cursor.
struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
}

impl<'a> Options<'a> {
    fn parse(mut options: &[&'a [u8]]) -> Result<Self, Refusal> {
        let mut parsed = Self {
            pattern: None,
            count: COUNT_DEFAULT,
        };
        while let [name, rest @ ..] = options {
            let [value, rest @ ..] = rest else {
                return Err(Refusal::Syntax);
            };
            if is(name, "count") {
                let count = usize::try_from(integer(value)?).unwrap_or(0);
                if count == 0 {
                    return Err(Refusal::Syntax);
                }
                parsed.count = count;
            } else if is(name, "match") {
                parsed.pattern = Some(value);
            } else {
                return Err(Refusal::Syntax);
            }
            options = rest;
        }
        Ok(parsed)
    }

    fn takes(&self, field: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, field))
    }
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) fn hscan(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let key = args[1];
    let cursor = cursor(args[2])?;
    if !is_hash(draft, key)? {
        answer(0, &[], reply);
        return Ok(());
    }
    let options = Options::parse(&args[3..])?;
    let all = draft.element_count(key, Kind::Hash);
    let (next, mut found) = if is_small(draft, key) {
        (0, ordered(key, 0, draft))
    } else {
        batch(
            ordered(key, cursor, draft),
            options.count.max(all / CALLS_MAX),
        )
    };
    found.sort_unstable_by_key(|one| (one.order, one.field));
    found.retain(|one| options.takes(one.field));
    answer(next, &found, reply);
    Ok(())
}

/// Whether a hash is of the size that Redis keeps as a `listpack`.
pub(crate) fn is_small(draft: &Draft<'_>, key: &[u8]) -> bool {
    draft.element_count(key, Kind::Hash) <= SMALL_FIELDS_MAX
        && draft
            .elements(key, Kind::Hash)
            .all(|(field, value)| field.len().max(value.len()) <= SMALL_BYTES_MAX)
}

/// Reads a cursor as C's `strtoul` does: a sign is allowed, nothing at all is 0.
fn cursor(text: &[u8]) -> Result<u64, Refusal> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return if text.is_empty() {
            Ok(0)
        } else {
            Err(Refusal::Cursor)
        };
    }
    let mut value = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Refusal::Cursor);
        }
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or(Refusal::Cursor)?;
    }
    Ok(if is_negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// A field with its place in the order.
struct Found<'d> {
    order: u64,
    field: &'d [u8],
    value: Cow<'d, [u8]>,
}

/// The place of a field, below 2^53.
fn order(field: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(SEED.0, SEED.1);
    hasher.write(field);
    hasher.finish() >> (u64::BITS - CURSOR_BITS)
}

/// The fields from a cursor on, not sorted yet.
fn ordered<'d>(key: &[u8], cursor: u64, draft: &'d Draft<'_>) -> Vec<Found<'d>> {
    draft
        .elements(key, Kind::Hash)
        .map(|(field, value)| Found {
            order: order(field),
            field,
            value,
        })
        .filter(|one| one.order >= cursor)
        .collect()
}

/// The first `count` fields, with all that share the last one's place, and the cursor for the rest.
fn batch(mut found: Vec<Found<'_>>, count: usize) -> (u64, Vec<Found<'_>>) {
    if found.len() <= count {
        return (0, found);
    }
    let (_, last, _) = found.select_nth_unstable_by_key(count - 1, |one| one.order);
    let last = last.order;
    let before = found.len();
    found.retain(|one| one.order <= last);
    let next = if found.len() < before { last + 1 } else { 0 };
    (next, found)
}

fn answer(next: u64, found: &[Found<'_>], reply: &mut Reply<'_>) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(found.len() * 2);
    for one in found {
        reply.bulk(one.field);
        reply.bulk(&one.value);
    }
}
