//! Conditions as the Kubernetes API conventions want them: one entry per type, each saying of which
//! generation of the object it speaks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known, for example because nobody answered yet.
    Unknown,
}

impl ConditionStatus {
    /// `True` or `False`.
    pub fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }

    /// The word as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One statement about a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is stated, an adjective or participle: `Ready`, `Paired`, ...
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One CamelCase word, stable across releases.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// For people; ends with the remedy when there is one.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// Generation of the object this speaks of.
    pub observed_generation: i64,
    /// When `status` last changed, RFC 3339.
    pub last_transition_time: String,
}

impl Condition {
    /// Carries the transition time over from the `previous` list when the status did not change.
    #[must_use]
    pub fn keep_transition(mut self, previous: &[Condition]) -> Self {
        let same = previous
            .iter()
            .find(|old| old.kind == self.kind && old.status == self.status);
        if let Some(old) = same {
            self.last_transition_time
                .clone_from(&old.last_transition_time);
        }
        self
    }
}

/// Unix milliseconds as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(unix_ms: u64) -> String {
    let days = (unix_ms / 86_400_000) as i64;
    let (year, month, day) = civil_from_days(days);
    let in_day = unix_ms % 86_400_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        in_day / 3_600_000,
        in_day / 60_000 % 60,
        in_day / 1000 % 60,
        in_day % 1000
    )
}

/// Days since 1970-01-01 to (year, month, day); Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`, for days that are not negative.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted - era * 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: ConditionStatus, at: &str) -> Condition {
        Condition {
            kind: "Ready".into(),
            status,
            reason: "AllServing".into(),
            message: String::new(),
            observed_generation: 3,
            last_transition_time: at.into(),
        }
    }

    #[test]
    fn times_are_written_as_rfc3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_261_439_123), "2026-11-21T11:43:59.123Z");
        assert_eq!(rfc3339(4_102_444_799_999), "2099-12-31T23:59:59.999Z");
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let before = [ready(ConditionStatus::True, "t1")];
        let same = ready(ConditionStatus::True, "t2").keep_transition(&before);
        assert_eq!(same.last_transition_time, "t1");
        let changed = ready(ConditionStatus::False, "t2").keep_transition(&before);
        assert_eq!(changed.last_transition_time, "t2");
    }
}
