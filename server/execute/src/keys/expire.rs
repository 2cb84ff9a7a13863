//! When keys end: the EXPIRE family, the TTL family, PERSIST.

#![expect(
    clippy::unnecessary_wraps,
    reason = "commands have one shape, whether they can refuse or not"
)]

use crate::argument::is;
use crate::expiry::{TimeForm, has_come};
use crate::refusal::{Done, Refusal};
use tandem_merge::Draft;
use tandem_merge::stamp::{deadline_of_ms, ms_of};
use tandem_proto::Reply;

/// On what a new end depends.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four options, each given or not"
)]
struct Conditions {
    /// NX: the key has no end yet.
    none: bool,
    /// XX: it has one.
    some: bool,
    /// GT: the new one is later; no end at all is the latest.
    later: bool,
    /// LT: the new one is earlier.
    earlier: bool,
}

impl Conditions {
    /// `parseExtendedExpireArgumentsOrReply` in Redis' `expire.c`. The option that does not exist
    /// comes back, since its error repeats it.
    fn parse<'a>(options: &[&'a [u8]]) -> Result<Result<Self, Refusal>, &'a [u8]> {
        let mut parsed = Self::default();
        for option in options {
            let condition = [
                ("nx", &mut parsed.none),
                ("xx", &mut parsed.some),
                ("gt", &mut parsed.later),
                ("lt", &mut parsed.earlier),
            ]
            .into_iter()
            .find(|(name, _)| is(option, name));
            let Some((_, condition)) = condition else {
                return Err(option);
            };
            *condition = true;
        }
        Ok(
            if parsed.none && (parsed.some || parsed.later || parsed.earlier) {
                Err(Refusal::ExpireConditions)
            } else if parsed.later && parsed.earlier {
                Err(Refusal::ExpireOrders)
            } else {
                Ok(parsed)
            },
        )
    }

    fn hold(self, old_ms: Option<u64>, new_ms: i64) -> bool {
        let old_ms = old_ms.map(|old| old as i64);
        !(self.none && old_ms.is_some()
            || self.some && old_ms.is_none()
            || self.later && old_ms.is_none_or(|old| new_ms <= old)
            || self.earlier && old_ms.is_some_and(|old| new_ms >= old))
    }
}

/// `EXPIRE key seconds [NX | XX] [GT | LT]` and its relatives.
pub(crate) fn expire(
    args: &[&[u8]],
    form: TimeForm,
    command: &'static str,
    draft: &mut Draft<'_>,
    wall_ms: u64,
    reply: &mut Reply<'_>,
) -> Done {
    let key = args[1];
    let conditions = match Conditions::parse(&args[3..]) {
        Ok(conditions) => conditions?,
        Err(option) => {
            reply.error_display(format_args!(
                "ERR Unsupported option {}",
                String::from_utf8_lossy(option)
            ));
            return Ok(());
        }
    };
    let end_ms = form.moment_ms(args[2], wall_ms, command)?;
    let holds = draft.kind(key).is_some() && conditions.hold(end_of(draft, key), end_ms);
    if holds && has_come(end_ms, wall_ms) {
        draft.delete(key);
    } else if holds {
        draft.expire(key, deadline_of_ms(end_ms as u64));
    }
    reply.integer(holds.into());
    Ok(())
}

/// The Unix millisecond at which a key ends.
fn end_of(draft: &Draft<'_>, key: &[u8]) -> Option<u64> {
    draft.deadline(key).map(ms_of)
}

/// How the TTL family shows an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeLeft {
    /// TTL: seconds from now, rounded.
    Seconds,
    /// PTTL: milliseconds from now.
    Milliseconds,
    /// EXPIRETIME: Unix time in seconds, rounded.
    UnixSeconds,
    /// PEXPIRETIME: Unix time in milliseconds.
    UnixMilliseconds,
}

/// `TTL key` and its relatives: -2 without the key, -1 without an end.
pub(crate) fn ttl(
    args: &[&[u8]],
    form: TimeLeft,
    draft: &Draft<'_>,
    wall_ms: u64,
    reply: &mut Reply<'_>,
) -> Done {
    let is_there = draft.kind(args[1]).is_some();
    reply.integer(shown(is_there, end_of(draft, args[1]), form, wall_ms));
    Ok(())
}

/// What the TTL family answers.
pub(crate) fn shown(is_there: bool, end_ms: Option<u64>, form: TimeLeft, wall_ms: u64) -> i64 {
    let Some(end_ms) = end_ms.filter(|_| is_there) else {
        return if is_there { -1 } else { -2 };
    };
    let left_ms = end_ms.saturating_sub(wall_ms);
    let shown = match form {
        TimeLeft::Seconds => (left_ms + 500) / 1000,
        TimeLeft::Milliseconds => left_ms,
        TimeLeft::UnixSeconds => (end_ms + 500) / 1000,
        TimeLeft::UnixMilliseconds => end_ms,
    };
    shown as i64
}

/// `PERSIST key`
pub(crate) fn persist(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    reply.integer(draft.persist(args[1]).into());
    Ok(())
}
