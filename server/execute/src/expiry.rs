//! Times in arguments: from "so many seconds" to the Unix millisecond at which a key ends.

use crate::argument::integer;
use crate::refusal::Refusal;

/// How an argument names a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// Seconds from now: EX, EXPIRE.
    Seconds,
    /// Milliseconds from now: PX, PEXPIRE.
    Milliseconds,
    /// Unix time in seconds: EXAT, EXPIREAT.
    UnixSeconds,
    /// Unix time in milliseconds: PXAT, PEXPIREAT.
    UnixMilliseconds,
}

impl TimeForm {
    /// Whether it counts from now.
    pub(crate) fn is_relative(self) -> bool {
        matches!(self, Self::Seconds | Self::Milliseconds)
    }

    fn is_seconds(self) -> bool {
        matches!(self, Self::Seconds | Self::UnixSeconds)
    }

    /// Reads the Unix millisecond that `text` names for `command`; it may lie in the past, and
    /// before 1970.
    pub(crate) fn moment_ms(
        self,
        text: &[u8],
        wall_ms: u64,
        command: &'static str,
    ) -> Result<i64, Refusal> {
        let value = integer(text)?;
        self.convert(value, wall_ms)
            .ok_or(Refusal::ExpireTime(command))
    }

    /// As [`moment_ms`](Self::moment_ms), but refuses what is not a positive number, as SET does.
    pub(crate) fn moment_ahead_ms(
        self,
        text: &[u8],
        wall_ms: u64,
        command: &'static str,
    ) -> Result<i64, Refusal> {
        let value = integer(text)?;
        let moment = if value > 0 {
            self.convert(value, wall_ms)
        } else {
            None
        };
        moment.ok_or(Refusal::ExpireTime(command))
    }

    fn convert(self, value: i64, wall_ms: u64) -> Option<i64> {
        let value = if self.is_seconds() {
            value.checked_mul(1000)?
        } else {
            value
        };
        if self.is_relative() {
            value.checked_add_unsigned(wall_ms)
        } else {
            Some(value)
        }
    }
}

/// Whether a moment has come, so that a key with this end is removed instead.
pub(crate) fn has_come(moment_ms: i64, wall_ms: u64) -> bool {
    u64::try_from(moment_ms).map_or(true, |moment| moment <= wall_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL_MS: u64 = 1_700_000_000_000;

    #[test]
    fn times_become_unix_milliseconds() {
        let moment = |form: TimeForm, text: &str| form.moment_ms(text.as_bytes(), WALL_MS, "x");
        assert_eq!(moment(TimeForm::Seconds, "10"), Ok(1_700_000_010_000));
        assert_eq!(moment(TimeForm::Milliseconds, "-10"), Ok(1_699_999_999_990));
        assert_eq!(moment(TimeForm::UnixSeconds, "10"), Ok(10_000));
        assert_eq!(moment(TimeForm::UnixMilliseconds, "-10"), Ok(-10));
        assert_eq!(moment(TimeForm::Seconds, "ten"), Err(Refusal::NotInteger));
        let most = i64::MAX.to_string();
        for form in [
            TimeForm::Seconds,
            TimeForm::Milliseconds,
            TimeForm::UnixSeconds,
        ] {
            assert_eq!(
                moment(form, &most),
                Err(Refusal::ExpireTime("x")),
                "{form:?}"
            );
        }
        assert_eq!(moment(TimeForm::UnixMilliseconds, &most), Ok(i64::MAX));
    }

    #[test]
    fn a_moment_ahead_is_a_positive_number() {
        let moment = |text: &str| TimeForm::Seconds.moment_ahead_ms(text.as_bytes(), WALL_MS, "x");
        assert_eq!(moment("1"), Ok(1_700_000_001_000));
        assert_eq!(moment("0"), Err(Refusal::ExpireTime("x")));
        assert_eq!(moment("-1"), Err(Refusal::ExpireTime("x")));
    }

    #[test]
    fn a_moment_comes_with_its_own_millisecond() {
        assert!(has_come(-1, 0));
        assert!(has_come(10, 10));
        assert!(!has_come(11, 10));
    }
}
