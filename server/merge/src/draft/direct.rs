//! Single commands without a [`Draft`](super::Draft): the hot path. The same effects, written
//! straight from the object as it is; no allocation when nothing has to be marked.

use super::AddError;
use super::pending::{Grown, grown_parts};
use crate::effect::{CellId, Effect, EffectWriter, Kind, Marks, Number};
use crate::object::{Amount, Object, Observed, parse_int};
use crate::origin::{OriginIndex, Origins};
use crate::stamp::{NEVER, Stamp};

/// What a command has at hand: the object as it is, and where its effects go.
struct Site<'a> {
    object: Option<&'a Object>,
    key: &'a [u8],
    now: Stamp,
    origins: &'a Origins,
}

impl Site<'_> {
    fn marks(&self, scope: Observed<'_>) -> Vec<u8> {
        let mut marks = Vec::new();
        if let Some(object) = self.object {
            object.observed_marks(scope, false, self.origins, &mut marks);
        }
        marks
    }

    fn clear(&self, out: &mut EffectWriter) {
        let marks = self.marks(Observed::All);
        out.push(&Effect::Clear {
            key: self.key,
            marks: Marks(&marks),
        });
    }

    fn bury(&self, hide: Stamp, out: &mut EffectWriter) {
        if hide > 0 {
            let end = hide.min(self.now);
            let marks = self.marks(Observed::UpTo(end));
            out.push(&Effect::Expire {
                key: self.key,
                end,
                marks: Marks(&marks),
            });
        }
    }

    /// Before a write of a type that the key shows, or that shows nothing. Returns the object as far
    /// as it is still there, and up to where its content has expired.
    fn own(&self, kind: Kind, shown: bool, out: &mut EffectWriter) -> (Option<&Object>, Stamp) {
        let key = self.key;
        let mut left = self.object;
        let hide = left.map_or(0, |object| object.hidden_upto(self.now));
        if shown {
            self.bury(hide, out);
        } else if left.take().is_some() {
            self.clear(out);
        }
        if left.is_some_and(|object| object.has_other_than(kind)) {
            let marks = self.marks(Observed::OtherThan(kind));
            out.push(&Effect::Others {
                key,
                kind,
                marks: Marks(&marks),
            });
        }
        if !shown {
            let (cell, marks) = (CellId::Type(kind), Marks::default());
            out.push(&Effect::Put {
                key,
                cell,
                value: &[],
                marks,
            });
        }
        (left, hide)
    }

    fn put(&self, left: Option<&Object>, cell: CellId<'_>, value: &[u8], out: &mut EffectWriter) {
        let marks = match (left, cell) {
            (Some(_), CellId::Element(kind, name)) => self.marks(Observed::Element(kind, name)),
            _ => Vec::new(),
        };
        out.push(&Effect::Put {
            key: self.key,
            cell,
            value,
            marks: Marks(&marks),
        });
    }
}

/// SET. `deadline` is [`NEVER`] without TTL and must not have passed.
#[inline]
pub fn set_string(
    object: Option<&Object>,
    key: &[u8],
    value: &[u8],
    deadline: Stamp,
    origins: &Origins,
    out: &mut EffectWriter,
) {
    let mut marks = Vec::new();
    if let Some(object) = object {
        object.observed_marks(Observed::All, false, origins, &mut marks);
    }
    out.push(&Effect::SetString {
        key,
        value,
        deadline,
        marks: Marks(&marks),
    });
}

/// A string's new value while type and TTL stay: SET KEEPTTL, APPEND, SETRANGE. A key that shows no
/// string becomes one.
pub fn replace(
    object: Option<&Object>,
    key: &[u8],
    value: &[u8],
    now: Stamp,
    origins: &Origins,
    out: &mut EffectWriter,
) {
    if object.and_then(|object| object.kind(now, origins)) == Some(Kind::String) {
        put_field(object, key, Kind::String, &[], value, now, origins, out);
        return;
    }
    let shown = object.filter(|object| object.kind(now, origins).is_some());
    let deadline = shown
        .and_then(|object| object.visible_deadline(now))
        .unwrap_or(NEVER);
    set_string(object, key, value, deadline, origins, out);
}

/// HSET, SADD, ZADD of one element. False when the key shows another type.
#[expect(
    clippy::too_many_arguments,
    reason = "the hot path borrows everything one by one"
)]
pub fn put_field(
    object: Option<&Object>,
    key: &[u8],
    kind: Kind,
    element: &[u8],
    value: &[u8],
    now: Stamp,
    origins: &Origins,
    out: &mut EffectWriter,
) -> bool {
    let shown = object.and_then(|object| object.kind(now, origins));
    if shown.is_some_and(|shown| shown != kind) {
        return false;
    }
    let site = Site {
        object,
        key,
        now,
        origins,
    };
    let (left, _) = site.own(kind, shown.is_some(), out);
    site.put(left, CellId::Element(kind, element), value, out);
    true
}

/// INCRBY, HINCRBY, ZINCRBY and their float forms. Gives the new visible value.
#[expect(
    clippy::too_many_arguments,
    reason = "the hot path borrows everything one by one"
)]
pub fn add(
    object: Option<&Object>,
    key: &[u8],
    kind: Kind,
    element: &[u8],
    delta: Number,
    own: Option<OriginIndex>,
    now: Stamp,
    origins: &Origins,
    out: &mut EffectWriter,
) -> Result<Number, AddError> {
    if let (Kind::String, Number::Int(delta)) = (kind, delta)
        && let Some((start, sum, value)) = count_on(object, delta, own, now)
    {
        let sum = Number::Int(sum);
        out.push(&Effect::Add {
            key,
            kind,
            element,
            start,
            sum,
        });
        return Ok(Number::Int(value));
    }
    let shown = object.and_then(|object| object.kind(now, origins));
    if shown.is_some_and(|shown| shown != kind) || kind == Kind::Set {
        return Err(AddError::WrongType);
    }
    let seen = object.filter(|_| shown.is_some());
    let old = seen.map_or(Amount::Absent, |object| {
        let hide = object.hidden_upto(now);
        object.cell(kind, element).parts(hide, origins).amount(kind)
    });
    let target = sum(kind, old, delta)?;
    let site = Site {
        object,
        key,
        now,
        origins,
    };
    let (left, hide) = site.own(kind, shown.is_some(), out);
    let grown = grown(left, kind, element, delta, own, hide).filter(|_| target.adds);
    let Some(grown) = grown else {
        let value = crate::object::counter::value_of(kind, target.value);
        site.put(left, CellId::Element(kind, element), &value, out);
        return Ok(target.value);
    };
    let Grown { start, sum, .. } = grown;
    out.push(&Effect::Add {
        key,
        kind,
        element,
        start,
        sum,
    });
    Ok(match target.value {
        Number::Float(value) => {
            let view = left
                .map(|object| object.cell(kind, element))
                .unwrap_or_default();
            let parts = grown_parts(&view, Some(grown), hide, origins);
            float_after(parts.amount(kind), value)
        }
        Number::Int(_) => target.value,
    })
}

/// INCR of a plain counter by the origin that counts it: start and new sum of its contribution, and
/// the new visible value. `None` when it is another case, or does not fit.
#[inline]
fn count_on(
    object: Option<&Object>,
    delta: i64,
    own: Option<OriginIndex>,
    now: Stamp,
) -> Option<(u64, i64, i64)> {
    let counter = object?.counter(now)?;
    if own != Some(counter.origin) {
        return None;
    }
    let base = counter.base.map_or(Some(0), parse_int)?;
    let sum = counter.sum.checked_add(delta)?;
    let value = base.checked_add(counter.sum)?.checked_add(delta)?;
    Some((counter.start, sum, value))
}

/// DEL. False when nothing was visible.
pub fn delete(
    object: Option<&Object>,
    key: &[u8],
    now: Stamp,
    origins: &Origins,
    out: &mut EffectWriter,
) -> bool {
    if object
        .and_then(|object| object.kind(now, origins))
        .is_none()
    {
        return false;
    }
    Site {
        object,
        key,
        now,
        origins,
    }
    .clear(out);
    true
}

/// EXPIRE; a deadline that has passed removes the key. False when nothing was visible.
pub fn expire(
    object: Option<&Object>,
    key: &[u8],
    deadline: Stamp,
    now: Stamp,
    origins: &Origins,
    out: &mut EffectWriter,
) -> bool {
    let Some(shown) = object.filter(|object| object.kind(now, origins).is_some()) else {
        return false;
    };
    let site = Site {
        object,
        key,
        now,
        origins,
    };
    if deadline < now {
        site.clear(out);
    } else {
        site.bury(shown.hidden_upto(now), out);
        site.put(None, CellId::Ttl, &deadline.to_le_bytes(), out);
    }
    true
}

/// What an addition comes to.
pub(crate) struct Target {
    /// The new visible value.
    pub(crate) value: Number,
    /// Whether it can be a contribution; else it has to be written as a value.
    pub(crate) adds: bool,
}

/// The value after a float was added, as every reader will reckon it.
pub(crate) fn float_after(amount: Amount, expected: f64) -> Number {
    match amount {
        Amount::Number(number) => Number::Float(number.as_float()),
        Amount::Absent | Amount::Other => Number::Float(expected),
    }
}

/// The new visible value of an addition to what was visible.
pub(crate) fn sum(kind: Kind, old: Amount, delta: Number) -> Result<Target, AddError> {
    let refused = match delta {
        Number::Int(_) if kind != Kind::Zset => AddError::NotInteger,
        _ => AddError::NotFloat,
    };
    let old = match old {
        Amount::Absent if kind == Kind::Zset => Number::Float(0.0),
        Amount::Absent => Number::Int(0),
        Amount::Number(number) => number,
        Amount::Other => return Err(refused),
    };
    if let (Number::Int(old), Number::Int(delta)) = (old, delta) {
        let value = old.checked_add(delta).ok_or(AddError::Overflow)?;
        return Ok(Target {
            value: Number::Int(value),
            adds: true,
        });
    }
    if refused == AddError::NotInteger {
        return Err(refused);
    }
    let value = old.as_float() + delta.as_float();
    let finite = value.is_finite() && delta.as_float().is_finite();
    // A score may be infinite; it is written then, since sums of infinities mean nothing.
    if value.is_nan() || (!finite && kind != Kind::Zset) {
        return Err(AddError::NanOrInfinity);
    }
    Ok(Target {
        value: Number::Float(value),
        adds: finite,
    })
}

/// The own contribution after an addition; `None` when its sum does not fit.
pub(crate) fn grown(
    base: Option<&Object>,
    kind: Kind,
    element: &[u8],
    delta: Number,
    own: Option<OriginIndex>,
    hide: Stamp,
) -> Option<Grown> {
    let old = base.zip(own).and_then(|(base, own)| {
        base.cell(kind, element)
            .live_entries(hide)
            .find(|(whose, _)| *whose == own)
    });
    Some(match old {
        Some((_, entry)) => Grown {
            start: entry.start,
            sum: entry.sum.checked_add(delta)?,
            removed: entry.removed_sum,
            own,
        },
        None => Grown {
            start: 0,
            sum: delta,
            removed: Number::Int(0),
            own,
        },
    })
}
