//! Arguments as numbers and options, with the refusals that Redis gives.

use crate::refusal::Refusal;
use tandem_proto::number;

/// Reads an integer.
pub(crate) fn integer(text: &[u8]) -> Result<i64, Refusal> {
    number::parse_i64(text).ok_or(Refusal::NotInteger)
}

/// Reads an integer between bounds, both inclusive.
pub(crate) fn integer_between(text: &[u8], least: i64, most: i64) -> Result<i64, Refusal> {
    let value = integer(text)?;
    if value < least || value > most {
        return Err(Refusal::OutOfBounds { least, most });
    }
    Ok(value)
}

/// Reads a float.
pub(crate) fn float(text: &[u8]) -> Result<f64, Refusal> {
    number::parse_f64(text).ok_or(Refusal::NotFloat)
}

/// Whether an option is this word, in any case.
pub(crate) fn is(option: &[u8], word: &str) -> bool {
    option.eq_ignore_ascii_case(word.as_bytes())
}
