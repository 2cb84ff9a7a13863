//! HRANDFIELD: fields by lot.

use super::is_hash;
use crate::Env;
use crate::argument::{integer_between, is};
use crate::refusal::{Done, Refusal};
use std::borrow::Cow;
use tandem_merge::{Draft, Kind};
use tandem_proto::{Protocol, Reply};

/// Most fields given with repetition: a negative count asks for more than there are, and an answer
/// has to have an end.
pub(crate) const REPEATED_MAX: u64 = 1 << 24;

type Field<'d> = (&'d [u8], Cow<'d, [u8]>);

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(crate) fn hrandfield(
    args: &[&[u8]],
    draft: &Draft<'_>,
    env: &mut Env<'_>,
    reply: &mut Reply<'_>,
) -> Done {
    let key = args[1];
    let Some(count) = args.get(2) else {
        if !is_hash(draft, key)? {
            reply.null();
            return Ok(());
        }
        let chosen = below(draft.element_count(key, Kind::Hash), env);
        match draft.elements(key, Kind::Hash).nth(chosen) {
            Some((field, _)) => reply.bulk(field),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = integer_between(count, -i64::MAX, i64::MAX)?;
    let with_values = match &args[3..] {
        [] => false,
        [option] if is(option, "withvalues") => true,
        _ => return Err(Refusal::Syntax),
    };
    let most = if with_values {
        i64::MAX as u64 / 2
    } else {
        i64::MAX as u64
    };
    if count.unsigned_abs() > most {
        return Err(Refusal::OutOfRange);
    }
    let mut fields: Vec<Field<'_>> = Vec::new();
    if is_hash(draft, key)? && count != 0 {
        if count < 0 && count.unsigned_abs() > REPEATED_MAX {
            return Err(Refusal::OutOfRange);
        }
        fields.extend(draft.elements(key, Kind::Hash));
    }
    if count < 0 && !fields.is_empty() {
        let chosen = count.unsigned_abs() as usize;
        answer_head(chosen, with_values, reply);
        for _ in 0..chosen {
            answer_field(&fields[below(fields.len(), env)], with_values, reply);
        }
        return Ok(());
    }
    let chosen = (count.unsigned_abs() as usize).min(fields.len());
    if chosen < fields.len() {
        draw(&mut fields, chosen, env);
    }
    answer_head(chosen, with_values, reply);
    for field in &fields[..chosen] {
        answer_field(field, with_values, reply);
    }
    Ok(())
}

/// Brings a random choice of `count` fields to the front.
fn draw(fields: &mut [Field<'_>], count: usize, env: &mut Env<'_>) {
    for at in 0..count {
        let other = at + below(fields.len() - at, env);
        fields.swap(at, other);
    }
}

/// A random number below `end`.
fn below(end: usize, env: &mut Env<'_>) -> usize {
    // The high half of the product: even to one in 2^64 / end.
    ((u128::from((env.random)()) * end as u128) >> 64) as usize
}

/// RESP3 has an array of pairs where RESP2 has a flat one.
fn answer_head(count: usize, with_values: bool, reply: &mut Reply<'_>) {
    let is_flat = with_values && reply.protocol() == Protocol::Resp2;
    reply.array(if is_flat { count * 2 } else { count });
}

fn answer_field((field, value): &Field<'_>, with_values: bool, reply: &mut Reply<'_>) {
    if with_values && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(field);
    if with_values {
        reply.bulk(value);
    }
}
