//! Counters: strings that numbers are added to. The sum is the draft's (DESIGN.md section 2, rule 9).

use crate::argument::{float, integer};
use crate::refusal::{Done, Refusal};
use crate::string::string_at;
use tandem_merge::{Draft, Kind, Number};
use tandem_proto::{Reply, number};

/// Below this an f64 tells whole numbers apart: 2^53.
const WHOLE_FLOAT_END: f64 = 9_007_199_254_740_992.0;

/// `INCR key`, `DECR key`
pub(crate) fn step(key: &[u8], delta: i64, draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let sum = draft
        .add(key, Kind::String, &[], Number::Int(delta))
        .map_err(Refusal::of_string)?;
    answer_integer(sum, reply);
    Ok(())
}

/// `INCRBY key increment`
pub(crate) fn incrby(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    step(args[1], integer(args[2])?, draft, reply)
}

/// `DECRBY key decrement`
pub(crate) fn decrby(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    step(args[1], negated(args[2])?, draft, reply)
}

/// Reads a decrement as an increment.
pub(crate) fn negated(text: &[u8]) -> Result<i64, Refusal> {
    integer(text)?
        .checked_neg()
        .ok_or(Refusal::DecrementOverflow)
}

/// `INCRBYFLOAT key increment`
pub(crate) fn incrbyfloat(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    // As in Redis, the type and then the old value are checked before the increment.
    let old = string_at(draft, args[1])?;
    let value = old.as_deref().map_or(Ok(0.0), float)?;
    let delta = float(args[2])?;
    if !(value + delta).is_finite() {
        return Err(Refusal::NanOrInfinity);
    }
    let delta = exact(args[2], delta, old.as_deref());
    let sum = draft
        .add(args[1], Kind::String, &[], delta)
        .map_err(Refusal::of_string)?;
    reply.bulk(&sum.to_text());
    Ok(())
}

/// The increment `text`, read as `delta`, as a whole number where it, the old value and the sum are
/// whole: those stay exact to the last digit, as in the long doubles that Redis reckons with.
pub(crate) fn exact(text: &[u8], delta: f64, old: Option<&[u8]>) -> Number {
    let is_whole = delta.fract() == 0.0 && delta.abs() < WHOLE_FLOAT_END;
    let whole = number::parse_i64(text).or(is_whole.then_some(delta as i64));
    let old = old.map_or(Some(0), number::parse_i64);
    match whole.zip(old) {
        Some((whole, old)) if old.checked_add(whole).is_some() => Number::Int(whole),
        _ => Number::Float(delta),
    }
}

/// Writes the sum of an integer addition.
pub(crate) fn answer_integer(sum: Number, reply: &mut Reply<'_>) {
    match sum {
        Number::Int(value) => reply.integer(value),
        // An integer added to a whole float stays whole.
        Number::Float(value) => reply.integer(value as i64),
    }
}

#[cfg(test)]
mod tests;
