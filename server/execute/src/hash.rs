//! Hashes: fields and their values. HSCAN is in `hash/scan.rs`, HRANDFIELD in `hash/random.rs`.

pub(crate) mod random;
pub(crate) mod scan;

use crate::argument::{float, integer};
use crate::counter::{answer_integer, exact};
use crate::refusal::{Done, Refusal};
use std::borrow::Cow;
use tandem_merge::{Draft, Kind, Number};
use tandem_proto::Reply;

/// Whether a key holds a hash; refuses another type.
pub(crate) fn is_hash(draft: &Draft<'_>, key: &[u8]) -> Result<bool, Refusal> {
    match draft.kind(key) {
        None => Ok(false),
        Some(Kind::Hash) => Ok(true),
        Some(_) => Err(Refusal::WrongType),
    }
}

fn field<'d>(
    draft: &'d Draft<'_>,
    key: &[u8],
    field: &[u8],
) -> Result<Option<Cow<'d, [u8]>>, Refusal> {
    match draft.element(key, Kind::Hash, field) {
        Some(value) => Ok(Some(value)),
        None => is_hash(draft, key).map(|_| None),
    }
}

/// `HSET key field value [field value ...]`; gives the number of new fields.
pub(crate) fn hset(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let new = set_fields(args, "hset", draft)?;
    reply.integer(new);
    Ok(())
}

/// `HMSET key field value [field value ...]`
pub(crate) fn hmset(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    set_fields(args, "hmset", draft)?;
    reply.ok();
    Ok(())
}

fn set_fields(
    args: &[&[u8]],
    command: &'static str,
    draft: &mut Draft<'_>,
) -> Result<i64, Refusal> {
    let key = args[1];
    let (pairs, []) = args[2..].as_chunks::<2>() else {
        return Err(Refusal::Arity(command));
    };
    is_hash(draft, key)?;
    let mut new = 0;
    for [field, value] in pairs {
        new += i64::from(draft.element(key, Kind::Hash, field).is_none());
        draft.put(key, Kind::Hash, field, value);
    }
    Ok(new)
}

/// `HSETNX key field value`
pub(crate) fn hsetnx(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let is_free = field(draft, args[1], args[2])?.is_none();
    if is_free {
        draft.put(args[1], Kind::Hash, args[2], args[3]);
    }
    reply.integer(is_free.into());
    Ok(())
}

/// `HGET key field`
pub(crate) fn hget(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    match field(draft, args[1], args[2])? {
        Some(value) => reply.bulk(&value),
        None => reply.null(),
    }
    Ok(())
}

/// `HMGET key field [field ...]`
pub(crate) fn hmget(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    is_hash(draft, args[1])?;
    reply.array(args.len() - 2);
    for field in &args[2..] {
        match draft.element(args[1], Kind::Hash, field) {
            Some(value) => reply.bulk(&value),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `HGETALL key`
pub(crate) fn hgetall(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    is_hash(draft, args[1])?;
    reply.map(draft.element_count(args[1], Kind::Hash));
    for (field, value) in draft.elements(args[1], Kind::Hash) {
        reply.bulk(field);
        reply.bulk(&value);
    }
    Ok(())
}

/// `HKEYS key`
pub(crate) fn hkeys(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    is_hash(draft, args[1])?;
    reply.array(draft.element_count(args[1], Kind::Hash));
    for (field, _) in draft.elements(args[1], Kind::Hash) {
        reply.bulk(field);
    }
    Ok(())
}

/// `HVALS key`
pub(crate) fn hvals(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    is_hash(draft, args[1])?;
    reply.array(draft.element_count(args[1], Kind::Hash));
    for (_, value) in draft.elements(args[1], Kind::Hash) {
        reply.bulk(&value);
    }
    Ok(())
}

/// `HDEL key field [field ...]`; gives the number of fields removed.
pub(crate) fn hdel(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    is_hash(draft, args[1])?;
    let gone = args[2..]
        .iter()
        .filter(|field| draft.remove(args[1], Kind::Hash, field))
        .count();
    reply.integer(gone as i64);
    Ok(())
}

/// `HEXISTS key field`
pub(crate) fn hexists(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    reply.integer(field(draft, args[1], args[2])?.is_some().into());
    Ok(())
}

/// `HLEN key`
pub(crate) fn hlen(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    is_hash(draft, args[1])?;
    reply.integer(draft.element_count(args[1], Kind::Hash) as i64);
    Ok(())
}

/// `HSTRLEN key field`
pub(crate) fn hstrlen(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    reply.integer(field(draft, args[1], args[2])?.map_or(0, |value| value.len() as i64));
    Ok(())
}

/// `HINCRBY key field increment`
pub(crate) fn hincrby(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let delta = integer(args[3])?;
    let sum = draft
        .add(args[1], Kind::Hash, args[2], Number::Int(delta))
        .map_err(Refusal::of_field)?;
    answer_integer(sum, reply);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`
pub(crate) fn hincrbyfloat(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let delta = float(args[3])?;
    if !delta.is_finite() {
        return Err(Refusal::IncrementNotFinite);
    }
    let old = field(draft, args[1], args[2])?;
    let value = old.as_deref().map_or(Ok(0.0), float);
    if !(value.map_err(|_| Refusal::FieldNotFloat)? + delta).is_finite() {
        return Err(Refusal::NanOrInfinity);
    }
    let delta = exact(args[3], delta, old.as_deref());
    let sum = draft
        .add(args[1], Kind::Hash, args[2], delta)
        .map_err(Refusal::of_field)?;
    reply.bulk(&sum.to_text());
    Ok(())
}

#[cfg(test)]
mod tests;
