//! Strings: reading, writing, adding to and cutting from them. SET and GETEX with their options are
//! in `string/set.rs`.

#![expect(
    clippy::unnecessary_wraps,
    reason = "commands have one shape, whether they can refuse or not"
)]

pub(crate) mod set;

use crate::argument::integer;
use crate::refusal::{Done, Refusal};
use std::borrow::Cow;
use tandem_merge::{Draft, Kind, NEVER};
use tandem_proto::Reply;

/// Longest string: Redis' `proto-max-bulk-len`.
pub(crate) const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The string at a key; refuses another type.
pub(crate) fn string_at<'d>(
    draft: &'d Draft<'_>,
    key: &[u8],
) -> Result<Option<Cow<'d, [u8]>>, Refusal> {
    match draft.kind(key) {
        None => Ok(None),
        Some(Kind::String) => Ok(draft.string(key)),
        Some(_) => Err(Refusal::WrongType),
    }
}

/// Writes the string at a key, or null.
fn answer_string(key: &[u8], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    match string_at(draft, key)? {
        Some(value) => reply.bulk(&value),
        None => reply.null(),
    }
    Ok(())
}

/// `GET key`
pub(crate) fn get(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    answer_string(args[1], draft, reply)
}

/// `MGET key [key ...]`: a key of another type has no string.
pub(crate) fn mget(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    reply.array(args.len() - 1);
    for key in &args[1..] {
        match string_at(draft, key) {
            Ok(Some(value)) => reply.bulk(&value),
            Ok(None) | Err(_) => reply.null(),
        }
    }
    Ok(())
}

/// `GETSET key value`
pub(crate) fn getset(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    answer_string(args[1], draft, reply)?;
    draft.set(args[1], args[2], NEVER);
    Ok(())
}

/// `GETDEL key`
pub(crate) fn getdel(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    answer_string(args[1], draft, reply)?;
    draft.delete(args[1]);
    Ok(())
}

/// `SETNX key value`
pub(crate) fn setnx(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let is_free = draft.kind(args[1]).is_none();
    if is_free {
        draft.set(args[1], args[2], NEVER);
    }
    reply.integer(is_free.into());
    Ok(())
}

/// `MSET key value [key value ...]`
pub(crate) fn mset(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    for [key, value] in pairs(args, "mset")? {
        draft.set(key, value, NEVER);
    }
    reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ...]`: all or none.
pub(crate) fn msetnx(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let pairs = pairs(args, "msetnx")?;
    let all_free = pairs.iter().all(|[key, _]| draft.kind(key).is_none());
    for [key, value] in pairs.iter().filter(|_| all_free) {
        draft.set(key, value, NEVER);
    }
    reply.integer(all_free.into());
    Ok(())
}

fn pairs<'a, 'b>(
    args: &'a [&'b [u8]],
    command: &'static str,
) -> Result<&'a [[&'b [u8]; 2]], Refusal> {
    match args[1..].as_chunks::<2>() {
        (pairs, []) => Ok(pairs),
        _ => Err(Refusal::Arity(command)),
    }
}

/// `APPEND key value`
pub(crate) fn append(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let (key, tail) = (args[1], args[2]);
    let Some(old) = string_at(draft, key)? else {
        draft.set(key, tail, NEVER);
        reply.integer(tail.len() as i64);
        return Ok(());
    };
    if (old.len() + tail.len()) as u64 > STRING_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    reply.integer((old.len() + tail.len()) as i64);
    if !tail.is_empty() {
        let value = [&*old, tail].concat();
        draft.replace(key, &value);
    }
    Ok(())
}

/// `STRLEN key`
pub(crate) fn strlen(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    reply.integer(string_at(draft, args[1])?.map_or(0, |value| value.len() as i64));
    Ok(())
}

/// `GETRANGE key start end`, `SUBSTR key start end`
pub(crate) fn getrange(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    let value = string_at(draft, args[1])?.unwrap_or_default();
    reply.bulk(slice(&value, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both inclusive; negative ones count from the end, -1 is the
/// last. `getrangeCommand` in Redis' `t_string.c`.
fn slice(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let length = value.len() as i64;
    let from_front = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(length - 1));
    if start > end {
        return &[];
    }
    value.get(start as usize..=end as usize).unwrap_or_default()
}

/// `SETRANGE key offset value`
pub(crate) fn setrange(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let (key, patch) = (args[1], args[3]);
    let offset = u64::try_from(integer(args[2])?).map_err(|_| Refusal::Offset)?;
    let old = string_at(draft, key)?;
    if patch.is_empty() {
        reply.integer(old.map_or(0, |value| value.len() as i64));
        return Ok(());
    }
    let end = offset.saturating_add(patch.len() as u64);
    if end > STRING_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let (offset, end) = (offset as usize, end as usize);
    let exists = old.is_some();
    let old = old.unwrap_or_default();
    let mut value = Vec::with_capacity(old.len().max(end));
    value.extend_from_slice(&old);
    value.resize(old.len().max(end), 0);
    value[offset..end].copy_from_slice(patch);
    drop(old);
    if exists {
        draft.replace(key, &value);
    } else {
        draft.set(key, &value, NEVER);
    }
    reply.integer(value.len() as i64);
    Ok(())
}

#[cfg(test)]
mod tests;
