//! Contributions to a counter (DESIGN.md section 2, rule 9): what one origin added to a cell and how
//! much of it removals have taken, joined by a maximum. Never added up on the way.

use crate::effect::{Kind, Number};
use crate::origin::{Dot, Origin, OriginIndex, Origins};
use crate::stamp::Stamp;
use smallvec::SmallVec;
use std::borrow::Cow;

/// No remover yet.
pub(crate) const NOBODY: Dot = Dot {
    origin: OriginIndex(0),
    sequence: 0,
};

/// One origin's contribution to one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Sequence at which this run began; a later run replaces an earlier one.
    pub start: u64,
    /// Sequence of the last change.
    pub sequence: u64,
    /// Sum of the run up to `sequence`.
    pub sum: Number,
    /// Stamp of the last change.
    pub stamp: Stamp,
    /// Up to which sequence removals have taken it; 0 for none.
    pub removed_sequence: u64,
    /// The sum that removals have taken.
    pub removed_sum: Number,
    /// The record that removed last.
    pub remover: Dot,
}

impl Entry {
    /// A contribution that nobody has removed anything of.
    pub fn new(start: u64, sequence: u64, sum: Number, stamp: Stamp) -> Self {
        Self {
            start,
            sequence,
            sum,
            stamp,
            removed_sequence: 0,
            removed_sum: Number::Int(0),
            remover: NOBODY,
        }
    }

    /// Whether something of it has not been removed.
    #[inline]
    pub fn is_alive(&self) -> bool {
        self.removed_sequence < self.sequence
    }

    /// The join of two states of one origin's contribution.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        if self.start != other.start {
            return if self.start > other.start {
                *self
            } else {
                *other
            };
        }
        let added = if self.sequence > other.sequence {
            self
        } else {
            other
        };
        let removed = if self.removed_sequence >= other.removed_sequence {
            self
        } else {
            other
        };
        Self {
            removed_sequence: removed.removed_sequence,
            removed_sum: removed.removed_sum,
            remover: removed.remover,
            ..*added
        }
    }

    /// Takes what a removal had observed: only of the run it speaks of, and only what is new.
    pub(crate) fn remove(&mut self, start: u64, sequence: u64, sum: Number, remover: Dot) {
        if self.start == start && sequence > self.removed_sequence {
            self.removed_sequence = sequence;
            self.removed_sum = sum;
            self.remover = remover;
        }
    }
}

/// A sum under way: whole until a float joins.
#[derive(Debug, Clone, Copy)]
enum Total {
    Int(i128),
    Float(f64),
}

impl Total {
    fn add(self, number: Number) -> Self {
        match (self, number) {
            (Self::Int(sum), Number::Int(value)) => {
                Self::Int(sum.saturating_add(i128::from(value)))
            }
            (Self::Int(sum), Number::Float(value)) => Self::Float(sum as f64 + value),
            (Self::Float(sum), number) => Self::Float(sum + float_of(number)),
        }
    }

    fn subtract(self, number: Number) -> Self {
        match (self, number) {
            (Self::Int(sum), Number::Int(value)) => {
                Self::Int(sum.saturating_sub(i128::from(value)))
            }
            (Self::Int(sum), Number::Float(value)) => Self::Float(sum as f64 - value),
            (Self::Float(sum), number) => Self::Float(sum - float_of(number)),
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Self::Int(a.saturating_add(b)),
            (a, b) => Self::Float(a.float() + b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(sum) => sum as f64,
            Self::Float(sum) => sum,
        }
    }
}

fn float_of(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Float(value) => value,
    }
}

/// One contribution as a reader counts it: whose, its sum, and what was removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) origin: Origin,
    pub(crate) sum: Number,
    pub(crate) removed: Number,
}

impl Share {
    pub(crate) fn of(origin: OriginIndex, entry: &Entry, origins: &Origins) -> Self {
        Self {
            origin: origin_of(origin, origins),
            sum: entry.sum,
            removed: entry.removed_sum,
        }
    }
}

pub(crate) fn origin_of(index: OriginIndex, origins: &Origins) -> Origin {
    origins.origin(index).unwrap_or(Origin {
        server_id: 0,
        epoch: 0,
        incarnation: 0,
    })
}

/// The base plus all shares, in the order of origins; `None` when the base is no number, so that
/// contributions are not shown.
fn total(kind: Kind, base: Option<&[u8]>, shares: &mut [Share]) -> Option<Number> {
    let base = match base {
        None => Total::Int(0),
        Some(value) => match parse_number(kind, value)? {
            Number::Int(value) => Total::Int(i128::from(value)),
            Number::Float(value) => Total::Float(value),
        },
    };
    shares.sort_by_key(|share| share.origin);
    let mut sum = Total::Int(0);
    for share in shares {
        let part = Total::Int(0).add(share.sum).subtract(share.removed);
        sum = sum.plus(part);
    }
    let value = match base.plus(sum) {
        Total::Int(value) => {
            let low = i128::from(i64::MIN);
            let high = i128::from(i64::MAX);
            Number::Int(value.clamp(low, high) as i64)
        }
        Total::Float(value) => Number::Float(value),
    };
    Some(match (kind, value) {
        (Kind::Zset, value) => {
            let score = float_of(value);
            Number::Float(if score.is_nan() { 0.0 } else { score })
        }
        (_, value) => value,
    })
}

/// What an element's stored bytes are worth as a number: a score for sorted sets, text otherwise.
pub fn parse_number(kind: Kind, value: &[u8]) -> Option<Number> {
    if kind == Kind::Zset {
        return value
            .try_into()
            .ok()
            .map(|bytes| Number::Float(f64::from_le_bytes(bytes)));
    }
    parse_int(value)
        .map(Number::Int)
        .or_else(|| parse_float(value).map(Number::Float))
}

/// Reads an integer as Redis does: decimal, no plus, no blanks, no leading zeros.
pub fn parse_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !plain {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a finite float as Redis does: no blanks around it, never NaN.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    if text.len() > 256 {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// What a number looks like as an element's bytes: eight bytes of score for sorted sets, text
/// otherwise.
pub(crate) fn value_of(kind: Kind, number: Number) -> Vec<u8> {
    if kind == Kind::Zset {
        float_of(number).to_le_bytes().to_vec()
    } else {
        number.to_text()
    }
}

/// What a cell's visible content is worth as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    /// Nothing is visible: counts as zero.
    Absent,
    /// A number.
    Number(Number),
    /// Something that is no number.
    Other,
}

/// A cell's visible content: the value that wins, and the contributions that count.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) shares: SmallVec<[Share; 2]>,
}

impl<'a> Parts<'a> {
    /// What a reader sees.
    pub(crate) fn shown(mut self, kind: Kind) -> Option<Cow<'a, [u8]>> {
        if self.shares.is_empty() {
            return self.value.map(Cow::Borrowed);
        }
        match total(kind, self.value, &mut self.shares) {
            Some(number) => Some(Cow::Owned(value_of(kind, number))),
            None => self.value.map(Cow::Borrowed),
        }
    }

    /// What it is worth, without printing it.
    pub(crate) fn amount(mut self, kind: Kind) -> Amount {
        if self.shares.is_empty() {
            let Some(value) = self.value else {
                return Amount::Absent;
            };
            return parse_number(kind, value).map_or(Amount::Other, Amount::Number);
        }
        match total(kind, self.value, &mut self.shares) {
            Some(Number::Float(value)) if kind != Kind::Zset => Amount::Number(whole(value)),
            Some(number) => Amount::Number(number),
            None => Amount::Other,
        }
    }
}

/// A float that prints as an integer is one.
fn whole(value: f64) -> Number {
    const LIMIT: f64 = 9.2e18;
    if value.fract() == 0.0 && value.abs() < LIMIT {
        Number::Int(value as i64)
    } else {
        Number::Float(value)
    }
}

impl Number {
    /// As a float.
    pub fn as_float(self) -> f64 {
        float_of(self)
    }

    /// The sum, or `None` when it does not fit 64 bits or is not finite.
    pub fn checked_add(self, delta: Self) -> Option<Self> {
        match (self, delta) {
            (Self::Int(a), Self::Int(b)) => a.checked_add(b).map(Self::Int),
            (a, b) => {
                let sum = float_of(a) + float_of(b);
                sum.is_finite().then_some(Self::Float(sum))
            }
        }
    }

    /// The text Redis prints: integers plainly, floats without exponent and trailing zeros. A sum
    /// that needs all 17 digits of a double shows its binary rounding and is printed with 15
    /// (Redis reckons INCRBYFLOAT in long doubles and prints 17 decimals of them).
    pub fn to_text(self) -> Vec<u8> {
        match self {
            Self::Int(value) => value.to_string().into_bytes(),
            Self::Float(value) => float_text(value).into_bytes(),
        }
    }
}

fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    let shortest = format!("{value:e}");
    let digits = shortest
        .bytes()
        .take_while(|byte| *byte != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    let rounded = if digits > 16 && value.fract() != 0.0 {
        format!("{value:.14e}").parse().unwrap_or(value)
    } else {
        value
    };
    let mut text = format!("{rounded}");
    if text.find('.').is_some_and(|point| text.len() - point > 18) {
        text = format!("{rounded:.17}");
        let kept = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(kept);
    }
    if text == "-0" { "0".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_redis_prints_them() {
        let cases = [
            (10.5 + 0.1, "10.6"),
            (0.1 + 0.2, "0.3"),
            (1.0 - 1.1, "-0.1"),
            (5200.0, "5200"),
            (17_179_869_185.5, "17179869185.5"),
            (-0.0, "0"),
            (1e-20, "0"),
            (1.234_567_890_123_456, "1.234567890123456"),
            (1e20, "100000000000000000000"),
        ];
        for (value, text) in cases {
            assert_eq!(
                String::from_utf8(Number::Float(value).to_text()).unwrap(),
                text
            );
        }
    }

    #[test]
    fn integers_are_read_strictly() {
        for good in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_int(good.as_bytes()), good.parse().ok());
        }
        for bad in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "9223372036854775808",
            "1.0",
            "1e3",
        ] {
            assert_eq!(parse_int(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn sums_do_not_depend_on_the_order_in_which_origins_became_known() {
        let share = |server_id, sum| Share {
            origin: Origin {
                server_id,
                epoch: 0,
                incarnation: 0,
            },
            sum: Number::Float(sum),
            removed: Number::Int(0),
        };
        let (a, b, c) = (share(1, 1e16), share(2, 1.0), share(3, -1e16));
        let sum = |mut shares: [Share; 3]| total(Kind::Hash, Some(b"0.5"), &mut shares);
        assert_ne!(
            f64::to_bits(1e16 + 1.0 - 1e16),
            f64::to_bits(1e16 - 1e16 + 1.0),
            "the order matters for these"
        );
        let expected = sum([a, b, c]);
        for other in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            assert_eq!(sum(other), expected);
        }
    }

    #[test]
    fn a_later_run_replaces_an_earlier_one_and_removals_join_by_maximum() {
        let first = Entry::new(1, 4, Number::Int(9), 4);
        let second = Entry::new(6, 6, Number::Int(2), 6);
        assert_eq!(first.join(&second), second);
        let mut removed = Entry::new(1, 2, Number::Int(5), 2);
        let by = Dot {
            origin: OriginIndex(1),
            sequence: 7,
        };
        removed.remove(1, 2, Number::Int(5), by);
        let joined = removed.join(&first);
        assert_eq!(
            (joined.sum, joined.removed_sum),
            (Number::Int(9), Number::Int(5))
        );
        assert_eq!(joined, first.join(&removed));
        removed.remove(3, 9, Number::Int(5), by);
        assert_eq!(removed.removed_sequence, 2);
    }
}
