//! Reading what only one key has.

use super::super::value::{self, Expected};
use super::super::{OutputBufferLimit, OutputBufferLimits};
use std::path::PathBuf;

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// Reads groups of `CLASS HARD SOFT SECONDS`; classes that are not named keep their bounds.
pub(super) fn output_limits(
    limits: &mut OutputBufferLimits,
    words: &[&str],
) -> Result<(), Expected> {
    let expected = "CLASS HARD SOFT SECONDS, such as `replica 256mb 64mb 60`, \
                    where CLASS is normal, replica or pubsub";
    let mut read = *limits;
    let (groups, []) = words.as_chunks::<4>() else {
        return Err(expected.to_owned());
    };
    for [class, hard, soft, seconds] in groups {
        let limit = OutputBufferLimit {
            hard_bytes: value::size(hard, 0..=u64::MAX).map_err(|_| expected)?,
            soft_bytes: value::size(soft, 0..=u64::MAX).map_err(|_| expected)?,
            soft_duration: value::seconds(seconds, 0..=value::SECONDS_MAX).map_err(|_| expected)?,
        };
        match class.to_ascii_lowercase().as_str() {
            "normal" => read.normal = limit,
            "replica" | "slave" => read.replica = limit,
            "pubsub" => read.pubsub = limit,
            _ => return Err(expected.to_owned()),
        }
    }
    if groups.is_empty() {
        return Err(expected.to_owned());
    }
    *limits = read;
    Ok(())
}
