//! A key that is one string or one counter, in one allocation: the hot case.
//!
//! ```text
//! flags u8 | marks u8 | [type: dot, stamp] | [value: dot, stamp] | [ttl: dot, stamp] | [deadline u64]
//!   | [contribution] | key length u8 or u32 | key | value
//! ```
//! A dot is origin u32 and sequence u64. SET writes type, value and deadline under one dot, which
//! then stands once. Whatever does not fit this form is a `General`.

use super::cell::CellView;
use super::counter::Entry;
use super::table::{u32_at, u64_at};
use crate::context::Context;
use crate::effect::{CellId, Effect, Kind, Number};
use crate::origin::{Dot, OriginIndex};
use crate::stamp::{NEVER, Stamp};

const HAS_VALUE: u8 = 1;
const VALUE_DOT: u8 = 2;
const TTL_MASK: u8 = 0b1100;
const TTL_NONE: u8 = 0;
const TTL_NEVER: u8 = 0b0100;
const TTL_SAME_DOT: u8 = 0b1000;
const TTL_OWN_DOT: u8 = 0b1100;
const HAS_ENTRY: u8 = 16;
const LONG_KEY: u8 = 32;
const VOID: u8 = 64;

const DOT_BYTES: usize = 20;
/// Where the stamp of the type's dot lies.
const STAMP_AT: usize = 14;
const ENTRY_BYTES: usize = 4 + 8 + 8 + 9 + 8;

/// A dot and its stamp.
pub(crate) type Written = (Dot, Stamp);

/// The packed form, spread out. Borrowed from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scalar<'a> {
    /// The type cell's one dot; always of type string. `None`: the key holds nothing.
    pub(crate) born: Option<Written>,
    /// The value's one dot.
    pub(crate) value: Option<(Dot, Stamp, &'a [u8])>,
    /// The TTL cell's one dot and its deadline.
    pub(crate) ttl: Option<(Dot, Stamp, Stamp)>,
    /// One origin's contribution, of which nothing was removed.
    pub(crate) entry: Option<(OriginIndex, Entry)>,
    /// The key.
    pub(crate) key: &'a [u8],
}

fn put_written(out: &mut Vec<u8>, dot: Dot, stamp: Stamp) {
    out.extend_from_slice(&dot.origin.0.to_le_bytes());
    out.extend_from_slice(&dot.sequence.to_le_bytes());
    out.extend_from_slice(&stamp.to_le_bytes());
}

fn written_at(bytes: &[u8], at: usize) -> Written {
    let origin = OriginIndex(u32_at(bytes, at));
    (
        Dot {
            origin,
            sequence: u64_at(bytes, at + 4),
        },
        u64_at(bytes, at + 12),
    )
}

fn set_written(bytes: &mut [u8], at: usize, dot: Dot, stamp: Stamp) {
    bytes[at..at + 4].copy_from_slice(&dot.origin.0.to_le_bytes());
    bytes[at + 4..at + 12].copy_from_slice(&dot.sequence.to_le_bytes());
    bytes[at + 12..at + 20].copy_from_slice(&stamp.to_le_bytes());
}

fn number_bytes(number: Number) -> [u8; 9] {
    let (tag, bits) = match number {
        Number::Int(value) => (0, value as u64),
        Number::Float(value) => (1, value.to_bits()),
    };
    let mut out = [tag; 9];
    out[1..].copy_from_slice(&bits.to_le_bytes());
    out
}

fn number_at(bytes: &[u8], at: usize) -> Number {
    let bits = u64_at(bytes, at + 1);
    if bytes[at] == 0 {
        Number::Int(bits as i64)
    } else {
        Number::Float(f64::from_bits(bits))
    }
}

/// Places inside packed bytes, found from the flags.
#[derive(Debug, Clone, Copy)]
struct Places {
    value: usize,
    ttl: usize,
    deadline: usize,
    entry: usize,
    key: usize,
    key_end: usize,
}

#[inline]
fn places(bytes: &[u8]) -> Places {
    let flags = bytes[0];
    let mut at = 2;
    if flags & VOID == 0 {
        at += DOT_BYTES;
    }
    let value = at;
    if flags & VALUE_DOT != 0 {
        at += DOT_BYTES;
    }
    let ttl = at;
    if flags & TTL_MASK == TTL_OWN_DOT {
        at += DOT_BYTES;
    }
    let deadline = at;
    if flags & TTL_SAME_DOT != 0 {
        at += 8;
    }
    let entry = at;
    if flags & HAS_ENTRY != 0 {
        at += ENTRY_BYTES;
    }
    let (key, length) = if flags & LONG_KEY == 0 {
        (at + 1, usize::from(bytes[at]))
    } else {
        (at + 4, u32_at(bytes, at) as usize)
    };
    Places {
        value,
        ttl,
        deadline,
        entry,
        key,
        key_end: key + length,
    }
}

impl<'a> Scalar<'a> {
    /// A key that holds nothing.
    pub(crate) fn void(key: &'a [u8]) -> Self {
        Self {
            born: None,
            value: None,
            ttl: None,
            entry: None,
            key,
        }
    }

    /// What SET leaves: type, value and deadline under one dot.
    pub(crate) fn set(
        key: &'a [u8],
        value: &'a [u8],
        deadline: Stamp,
        (dot, stamp): Written,
    ) -> Self {
        Self {
            born: Some((dot, stamp)),
            value: Some((dot, stamp, value)),
            ttl: Some((dot, stamp, deadline)),
            entry: None,
            key,
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.born.is_none() {
            flags |= VOID;
        }
        if let Some((dot, stamp, _)) = self.value {
            flags |= HAS_VALUE;
            if self.born != Some((dot, stamp)) {
                flags |= VALUE_DOT;
            }
        }
        flags |= match self.ttl {
            None => TTL_NONE,
            Some((dot, stamp, deadline)) if self.born == Some((dot, stamp)) => {
                if deadline == NEVER {
                    TTL_NEVER
                } else {
                    TTL_SAME_DOT
                }
            }
            Some(_) => TTL_OWN_DOT,
        };
        if self.entry.is_some() {
            flags |= HAS_ENTRY;
        }
        if self.key.len() > usize::from(u8::MAX) {
            flags |= LONG_KEY;
        }
        flags
    }

    fn size(&self, flags: u8) -> usize {
        let mut size = 2 + self.key.len() + self.value.map_or(0, |(_, _, value)| value.len());
        size += if flags & LONG_KEY == 0 { 1 } else { 4 };
        size += if flags & VOID == 0 { DOT_BYTES } else { 0 };
        size += if flags & VALUE_DOT != 0 { DOT_BYTES } else { 0 };
        size += if flags & TTL_MASK == TTL_OWN_DOT {
            DOT_BYTES
        } else {
            0
        };
        size += if flags & TTL_SAME_DOT != 0 { 8 } else { 0 };
        size + if flags & HAS_ENTRY != 0 {
            ENTRY_BYTES
        } else {
            0
        }
    }

    /// The packed bytes: one allocation of exactly their size.
    pub(crate) fn pack(&self, marks: u8) -> Box<[u8]> {
        let flags = self.flags();
        let mut out = Vec::with_capacity(self.size(flags));
        out.push(flags);
        out.push(marks);
        if let Some((dot, stamp)) = self.born {
            put_written(&mut out, dot, stamp);
        }
        if flags & VALUE_DOT != 0
            && let Some((dot, stamp, _)) = self.value
        {
            put_written(&mut out, dot, stamp);
        }
        if let Some((dot, stamp, deadline)) = self.ttl {
            if flags & TTL_MASK == TTL_OWN_DOT {
                put_written(&mut out, dot, stamp);
            }
            if flags & TTL_SAME_DOT != 0 {
                out.extend_from_slice(&deadline.to_le_bytes());
            }
        }
        if let Some((origin, entry)) = &self.entry {
            out.extend_from_slice(&origin.0.to_le_bytes());
            out.extend_from_slice(&entry.start.to_le_bytes());
            out.extend_from_slice(&entry.sequence.to_le_bytes());
            out.extend_from_slice(&number_bytes(entry.sum));
            out.extend_from_slice(&entry.stamp.to_le_bytes());
        }
        if flags & LONG_KEY == 0 {
            out.push(self.key.len() as u8);
        } else {
            out.extend_from_slice(&(self.key.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(self.key);
        if let Some((_, _, value)) = self.value {
            out.extend_from_slice(value);
        }
        out.into_boxed_slice()
    }

    /// Spreads packed bytes out.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let flags = bytes[0];
        let places = places(bytes);
        let born = (flags & VOID == 0).then(|| written_at(bytes, 2));
        let value = (flags & HAS_VALUE != 0).then(|| {
            let at = if flags & VALUE_DOT == 0 {
                2
            } else {
                places.value
            };
            let (dot, stamp) = written_at(bytes, at);
            (dot, stamp, &bytes[places.key_end..])
        });
        let ttl = (flags & TTL_MASK != TTL_NONE).then(|| {
            let own = flags & TTL_MASK == TTL_OWN_DOT;
            let (dot, stamp) = written_at(bytes, if own { places.ttl } else { 2 });
            let timed = flags & TTL_SAME_DOT != 0;
            (
                dot,
                stamp,
                if timed {
                    u64_at(bytes, places.deadline)
                } else {
                    NEVER
                },
            )
        });
        let entry = (flags & HAS_ENTRY != 0).then(|| {
            let at = places.entry;
            let entry = Entry::new(
                u64_at(bytes, at + 4),
                u64_at(bytes, at + 12),
                number_at(bytes, at + 20),
                u64_at(bytes, at + 29),
            );
            (OriginIndex(u32_at(bytes, at)), entry)
        });
        Self {
            born,
            value,
            ttl,
            entry,
            key: &bytes[places.key..places.key_end],
        }
    }

    /// The string cell.
    pub(crate) fn view(&self) -> CellView<'a> {
        CellView {
            one: self.value,
            entry: self.entry,
            ..CellView::default()
        }
    }

    /// Whether the context covers every dot of it, and no contribution has to be kept.
    fn is_covered(&self, context: Context<'_>) -> bool {
        self.entry.is_none()
            && self.born.is_none_or(|(dot, _)| context.covers(dot))
            && self.value.is_none_or(|(dot, _, _)| context.covers(dot))
            && self.ttl.is_none_or(|(dot, _, _)| context.covers(dot))
    }
}

/// The key.
#[inline]
pub(crate) fn key(bytes: &[u8]) -> &[u8] {
    let places = places(bytes);
    &bytes[places.key..places.key_end]
}

/// Whether the key holds nothing.
#[inline]
pub(crate) fn is_void(bytes: &[u8]) -> bool {
    bytes[0] & VOID != 0
}

/// The deadline of the TTL cell; 0 when there is none.
#[inline]
pub(crate) fn deadline(bytes: &[u8]) -> Stamp {
    match bytes[0] & TTL_MASK {
        TTL_NONE => 0,
        TTL_NEVER => NEVER,
        _ => u64_at(bytes, places(bytes).deadline),
    }
}

/// Whether the string cell shows anything when expiry is left aside.
#[inline]
pub(crate) fn has_content(bytes: &[u8]) -> bool {
    if bytes[0] & (HAS_VALUE | VALUE_DOT) == HAS_VALUE && u64_at(bytes, STAMP_AT) > 0 {
        return true;
    }
    Scalar::read(bytes).view().is_visible(0)
}

/// The value when the key is a plain string without contribution: the fast way of GET.
#[inline]
pub(crate) fn plain_value(bytes: &[u8]) -> Option<(Stamp, &[u8])> {
    if bytes[0] & (HAS_VALUE | HAS_ENTRY | VALUE_DOT) != HAS_VALUE {
        return None;
    }
    let places = places(bytes);
    Some((u64_at(bytes, STAMP_AT), &bytes[places.key_end..]))
}

/// Whether a contribution is held.
#[inline]
pub(crate) fn has_entry(bytes: &[u8]) -> bool {
    bytes[0] & HAS_ENTRY != 0
}

/// A whole number that one origin counts: the fast way of INCR.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter<'a> {
    pub(crate) origin: OriginIndex,
    pub(crate) start: u64,
    pub(crate) sum: i64,
    /// The value it is counted on.
    pub(crate) base: Option<&'a [u8]>,
}

/// The counter, when there is one.
#[inline]
pub(crate) fn counter(bytes: &[u8]) -> Option<Counter<'_>> {
    if !has_entry(bytes) {
        return None;
    }
    let place = places(bytes);
    let Number::Int(sum) = number_at(bytes, place.entry + 20) else {
        return None;
    };
    Some(Counter {
        origin: OriginIndex(u32_at(bytes, place.entry)),
        start: u64_at(bytes, place.entry + 4),
        sum,
        base: (bytes[0] & HAS_VALUE != 0).then(|| &bytes[place.key_end..]),
    })
}

/// SET where everything that was there is covered: in place when the size stays.
/// Returns whether it was done.
pub(crate) fn set_string(
    bytes: &mut Box<[u8]>,
    value: &[u8],
    deadline: Stamp,
    (dot, stamp): Written,
    context: Context<'_>,
) -> bool {
    let flags = bytes[0];
    let same_shape = if deadline == NEVER {
        TTL_NEVER
    } else {
        TTL_SAME_DOT
    };
    if flags & !LONG_KEY == HAS_VALUE | same_shape {
        let place = places(bytes);
        if bytes.len() - place.key_end == value.len() {
            if !context.covers(written_at(bytes, 2).0) {
                return false;
            }
            set_written(bytes, 2, dot, stamp);
            if deadline != NEVER {
                bytes[place.deadline..place.deadline + 8].copy_from_slice(&deadline.to_le_bytes());
            }
            bytes[place.key_end..].copy_from_slice(value);
            return true;
        }
    }
    let old = Scalar::read(bytes);
    if !old.is_covered(context) {
        return false;
    }
    *bytes = Scalar::set(old.key, value, deadline, (dot, stamp)).pack(bytes[1]);
    true
}

/// INCR by the origin whose contribution is here already, in place. Returns whether it was done.
pub(crate) fn add(bytes: &mut [u8], origin: OriginIndex, entry: &Entry) -> bool {
    if bytes[0] & HAS_ENTRY == 0 {
        return false;
    }
    let at = places(bytes).entry;
    if OriginIndex(u32_at(bytes, at)) != origin || u64_at(bytes, at + 4) != entry.start {
        return false;
    }
    if entry.sequence >= u64_at(bytes, at + 12) {
        bytes[at + 12..at + 20].copy_from_slice(&entry.sequence.to_le_bytes());
        bytes[at + 20..at + 29].copy_from_slice(&number_bytes(entry.sum));
        bytes[at + 29..at + 37].copy_from_slice(&entry.stamp.to_le_bytes());
    }
    true
}

/// EXPIRE or PERSIST where the TTL cell has a dot of its own, in place. Returns whether it was done.
pub(crate) fn put_deadline(
    bytes: &mut [u8],
    deadline: Stamp,
    (dot, stamp): Written,
    context: Context<'_>,
) -> bool {
    if bytes[0] & TTL_MASK != TTL_OWN_DOT {
        return false;
    }
    let place = places(bytes);
    let (old, old_stamp) = written_at(bytes, place.ttl);
    // NOTE a TTL under the type's dot is stored without one: that form has to be made anew.
    if (old != dot && !context.covers(old))
        || written_at(bytes, 2) == (dot, stamp)
        || (old, old_stamp) == written_at(bytes, 2)
    {
        return false;
    }
    set_written(bytes, place.ttl, dot, stamp);
    bytes[place.deadline..place.deadline + 8].copy_from_slice(&deadline.to_le_bytes());
    true
}

/// A string's new value under a dot of its own (APPEND, SETRANGE, SETBIT), in place when the size
/// stays. Returns whether it was done.
pub(crate) fn put_value(
    bytes: &mut [u8],
    value: &[u8],
    (dot, stamp): Written,
    context: Context<'_>,
) -> bool {
    if bytes[0] & (HAS_VALUE | VALUE_DOT) != HAS_VALUE | VALUE_DOT {
        return false;
    }
    let place = places(bytes);
    let old = written_at(bytes, place.value).0;
    if bytes.len() - place.key_end != value.len()
        || (old != dot && !context.covers(old))
        || written_at(bytes, 2) == (dot, stamp)
    {
        return false;
    }
    set_written(bytes, place.value, dot, stamp);
    bytes[place.key_end..].copy_from_slice(value);
    true
}

/// The packed form after an effect without marks, when that form still holds everything.
pub(crate) fn changed<'a>(
    old: Scalar<'a>,
    effect: &Effect<'a>,
    (dot, stamp): Written,
    context: Context<'_>,
) -> Option<Scalar<'a>> {
    let free = |held: Option<Dot>| held.is_none_or(|held| held == dot || context.covers(held));
    let born = old.born.is_some();
    match effect {
        Effect::Clear { .. } | Effect::Flush { .. } if old.is_covered(context) => {
            Some(Scalar::void(old.key))
        }
        Effect::Others {
            kind: Kind::String, ..
        } => Some(old),
        Effect::Put {
            cell: CellId::Type(Kind::String),
            ..
        } if free(old.born.map(|(dot, _)| dot)) => Some(Scalar {
            born: Some((dot, stamp)),
            ..old
        }),
        Effect::Put {
            cell: CellId::Ttl,
            value,
            ..
        } if born && free(old.ttl.map(|(dot, _, _)| dot)) => {
            let deadline = Stamp::from_le_bytes((*value).try_into().ok()?).max(stamp);
            Some(Scalar {
                ttl: Some((dot, stamp, deadline)),
                ..old
            })
        }
        Effect::Put {
            cell: CellId::Element(Kind::String, []),
            value,
            ..
        } if born && free(old.value.map(|(dot, _, _)| dot)) => Some(Scalar {
            value: Some((dot, stamp, value)),
            ..old
        }),
        Effect::Add {
            kind: Kind::String,
            element: [],
            start,
            sum,
            ..
        } if born && old.entry.is_none() => {
            let start = if *start == 0 { dot.sequence } else { *start };
            let entry = Entry::new(start, dot.sequence, *sum, stamp);
            Some(Scalar {
                entry: Some((dot.origin, entry)),
                ..old
            })
        }
        _ => None,
    }
}
