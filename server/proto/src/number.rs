//! Numbers as text, as strict on the way in and as plain on the way out as Redis is.

use std::fmt::Write as _;

/// Longest float text that is read, as Redis' `MAX_LONG_DOUBLE_CHARS`.
const FLOAT_BYTES_MAX: usize = 5 * 1024;
/// Longest float text that is written: a sign, 17 digits, a point, 17 zeros or an exponent.
const FLOAT_TEXT_MAX: usize = 48;
/// Whole numbers below this are written in full, to the last digit.
const WHOLE_NUMBER_END: f64 = 1e17;
/// Powers of ten from which on, up and down, an exponent is written.
const EXPONENT_FROM: i32 = 17;
const EXPONENT_BELOW: i32 = -17;

/// Reads an integer as Redis' `string2ll`: an optional `-`, no `+`, no blank, no leading zero, and
/// `-0` is none.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) || digits.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19, which a u64 holds.
        value = value * 10 + u64::from(digit);
    }
    if is_negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// Reads a float as Redis does (`strtod` with nothing left over): `inf` and `infinity` in any case
/// and sign are numbers, `nan` is none, and neither is what overflows or vanishes.
///
/// NOTE: hexadecimal floats, which `strtod` knows, are refused.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if text.len() > FLOAT_BYTES_MAX {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mantissa = text
        .split(|byte| matches!(byte, b'e' | b'E'))
        .next()
        .unwrap_or_default();
    let vanished = value == 0.0 && mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    let overflowed = value.is_infinite() && text.iter().any(u8::is_ascii_digit);
    (!value.is_nan() && !vanished && !overflowed).then_some(value)
}

/// Appends a stored float (`INCRBYFLOAT`, `HINCRBYFLOAT`) as Redis shows it: where Redis computes
/// with more digits than an f64 has, a value within one step of one with 15 digits or fewer is
/// taken for that, so that 0.1 + 0.2 is 0.3.
pub fn format_f64(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(FloatText::new().stored(value));
}

/// Appends a float by the shortest digits that read back as the same value, as scores are shown.
pub fn format_f64_exact(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(FloatText::new().exact(value));
}

/// Room for one float as text, so that writing one allocates nothing.
///
/// Plain digits from 1e-17 up to 1e17, an exponent beyond (`1e+17`), `inf`, `-inf`, `nan`, and `0`
/// for either zero.
#[derive(Debug)]
pub(crate) struct FloatText {
    bytes: [u8; FLOAT_TEXT_MAX],
    length: usize,
}

impl FloatText {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; FLOAT_TEXT_MAX],
            length: 0,
        }
    }

    /// The text of [`format_f64`].
    pub(crate) fn stored(&mut self, value: f64) -> &[u8] {
        self.write(value, true)
    }

    /// The text of [`format_f64_exact`].
    pub(crate) fn exact(&mut self, value: f64) -> &[u8] {
        self.write(value, false)
    }

    fn write(&mut self, value: f64, rounds: bool) -> &[u8] {
        self.length = 0;
        if value.is_nan() {
            self.put(b"nan");
        } else if value.is_infinite() {
            self.put(if value > 0.0 { b"inf" } else { b"-inf" });
        } else if value.abs() < WHOLE_NUMBER_END && value.fract() == 0.0 {
            self.put(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            let mut scientific = FloatText::new();
            // NOTE: whole numbers are never rounded; their last digits may count something.
            let is_short = rounds && value.fract() != 0.0 && scientific.try_short(value);
            if !is_short {
                scientific.length = 0;
                let _ = write!(scientific, "{value:e}");
            }
            self.layout(&scientific.bytes[..scientific.length]);
        }
        &self.bytes[..self.length]
    }

    /// Writes 15 significant digits if they stand within one step of `value`.
    fn try_short(&mut self, value: f64) -> bool {
        let _ = write!(self, "{value:.14e}");
        let text = std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default();
        let short: f64 = text.parse().unwrap_or(f64::NAN);
        short.to_bits().abs_diff(value.to_bits()) <= 1
    }

    /// Turns `-d.ddde-dd` into what people read.
    fn layout(&mut self, scientific: &[u8]) {
        let unsigned = scientific.strip_prefix(b"-").unwrap_or(scientific);
        if unsigned.len() < scientific.len() {
            self.put(b"-");
        }
        let mark = unsigned
            .iter()
            .position(|&byte| byte == b'e')
            .unwrap_or(unsigned.len());
        let exponent = unsigned.get(mark + 1..).and_then(parse_i64).unwrap_or(0) as i32;
        let mut digits = [0u8; FLOAT_TEXT_MAX];
        let mut count = 0;
        for &byte in unsigned[..mark].iter().filter(|&&byte| byte != b'.') {
            digits[count] = byte;
            count += 1;
        }
        while count > 1 && digits[count - 1] == b'0' {
            count -= 1;
        }
        self.layout_digits(&digits[..count], exponent);
    }

    fn layout_digits(&mut self, digits: &[u8], exponent: i32) {
        let (first, rest) = digits.split_at(1);
        match exponent {
            EXPONENT_BELOW..0 => {
                self.put(b"0.");
                self.zeros(-exponent - 1);
                self.put(digits);
            }
            0..EXPONENT_FROM if digits.len() as i32 > exponent + 1 => {
                let (whole, fraction) = digits.split_at(exponent as usize + 1);
                self.put(whole);
                self.put(b".");
                self.put(fraction);
            }
            0..EXPONENT_FROM => {
                self.put(digits);
                self.zeros(exponent + 1 - digits.len() as i32);
            }
            _ => {
                self.put(first);
                if !rest.is_empty() {
                    self.put(b".");
                    self.put(rest);
                }
                self.put(if exponent < 0 { b"e-" } else { b"e+" });
                self.put(
                    itoa::Buffer::new()
                        .format(exponent.unsigned_abs())
                        .as_bytes(),
                );
            }
        }
    }

    fn zeros(&mut self, count: i32) {
        for _ in 0..count {
            self.put(b"0");
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        debug_assert!(end <= FLOAT_TEXT_MAX, "a float's text outgrew its room");
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }
}

impl std::fmt::Write for FloatText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_read_as_strictly_as_redis_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-7", -7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "00",
            "-0",
            "-01",
            "1.0",
            "1e3",
            "0x1",
            "a",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn floats_are_read_as_redis_reads_them() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-2", 0.01),
            ("0e-999", 0.0),
            ("inf", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
        ] {
            let read = parse_f64(text.as_bytes()).map(f64::to_bits);
            assert_eq!(read, Some(value.to_bits()), "{text}");
        }
        for text in [
            "", ".", "nan", "-NaN", " 1", "1 ", "1e", "1e400", "-1e400", "1e-400", "1,5", "x",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn floats_are_written_as_people_see_them_in_redis() {
        for (value, stored, exact) in [
            (0.1 + 0.2, "0.3", "0.30000000000000004"),
            (-(0.1 + 0.2), "-0.3", "-0.30000000000000004"),
            (0.1, "0.1", "0.1"),
            (10.5 + 0.1, "10.6", "10.6"),
            (5.0e3, "5000", "5000"),
            (-0.0, "0", "0"),
            (1.0 / 3.0, "0.3333333333333333", "0.3333333333333333"),
            (3.0 - 1e-15, "2.999999999999999", "2.999999999999999"),
            (
                9_007_199_254_740_993.0,
                "9007199254740992",
                "9007199254740992",
            ),
            (
                10_000_000_000_000_002.0,
                "10000000000000002",
                "10000000000000002",
            ),
            (
                99_999_999_999_999_984.0,
                "99999999999999984",
                "99999999999999984",
            ),
            (1e17, "1e+17", "1e+17"),
            (-1.5e300, "-1.5e+300", "-1.5e+300"),
            (1e-5, "0.00001", "0.00001"),
            (1.25e-17, "0.0000000000000000125", "0.0000000000000000125"),
            (
                -1.234_567_890_123_456_7e-17,
                "-0.000000000000000012345678901234567",
                "-0.000000000000000012345678901234567",
            ),
            (1e-18, "1e-18", "1e-18"),
            (
                f64::MIN_POSITIVE,
                "2.2250738585072014e-308",
                "2.2250738585072014e-308",
            ),
            (f64::INFINITY, "inf", "inf"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
        ] {
            let mut text = Vec::new();
            format_f64(value, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), stored);
            let mut text = Vec::new();
            format_f64_exact(value, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), exact);
        }
    }

    proptest! {
        #[test]
        fn every_integer_reads_back(value: i64) {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn every_float_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_normal());
            let mut text = Vec::new();
            format_f64_exact(value, &mut text);
            prop_assert_eq!(parse_f64(&text).map(f64::to_bits), Some(bits));
            text.clear();
            format_f64(value, &mut text);
            let stored = parse_f64(&text).expect("a written float can be read");
            prop_assert!(stored.to_bits().abs_diff(bits) <= 1);
        }
    }
}
