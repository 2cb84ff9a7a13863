//! SET, SETEX, PSETEX and GETEX: strings that end, conditions, and what the key held before.

use super::string_at;
use crate::argument::is;
use crate::expiry::{TimeForm, has_come};
use crate::refusal::{Done, Refusal};
use tandem_merge::stamp::deadline_of_ms;
use tandem_merge::{Draft, Kind, NEVER};
use tandem_proto::Reply;

/// On what SET depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// NX: the key is free.
    Free,
    /// XX: the key exists.
    Exists,
}

/// What becomes of the key's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End<'a> {
    /// Nothing said.
    Unsaid,
    /// KEEPTTL
    Keep,
    /// PERSIST
    Persist,
    /// EX, PX, EXAT, PXAT with their argument.
    At(TimeForm, &'a [u8]),
}

/// The options of SET and of GETEX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Options<'a> {
    condition: Option<Condition>,
    gives_old: bool,
    end: End<'a>,
}

/// Which of the two a list of options belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Set,
    GetEx,
}

impl<'a> Options<'a> {
    /// Reads options as `parseExtendedStringArgumentsOrReply` in Redis' `t_string.c` does:
    /// repeating one is no error, contradicting one is.
    fn parse(options: &[&'a [u8]], owner: Owner) -> Result<Self, Refusal> {
        let mut parsed = Self {
            condition: None,
            gives_old: false,
            end: End::Unsaid,
        };
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            if owner == Owner::Set && parsed.take_condition(option)? {
                continue;
            }
            let end = match time_form(option) {
                Some(form) => End::At(form, rest.next().ok_or(Refusal::Syntax)?),
                None if owner == Owner::Set && is(option, "keepttl") => End::Keep,
                None if owner == Owner::GetEx && is(option, "persist") => End::Persist,
                None => return Err(Refusal::Syntax),
            };
            if !parsed.end.may_become(end) {
                return Err(Refusal::Syntax);
            }
            parsed.end = end;
        }
        Ok(parsed)
    }

    /// Takes NX, XX and GET; says whether the option was one of them.
    fn take_condition(&mut self, option: &[u8]) -> Result<bool, Refusal> {
        let condition = if is(option, "nx") {
            Condition::Free
        } else if is(option, "xx") {
            Condition::Exists
        } else {
            self.gives_old |= is(option, "get");
            return Ok(is(option, "get"));
        };
        if self.condition.is_some_and(|other| other != condition) {
            return Err(Refusal::Syntax);
        }
        self.condition = Some(condition);
        Ok(true)
    }
}

impl End<'_> {
    /// Whether a second option about the end agrees with the first: only the same form does.
    fn may_become(self, other: Self) -> bool {
        match (self, other) {
            (Self::Unsaid, _) => true,
            (Self::At(form, _), Self::At(other, _)) => form == other,
            (one, other) => one == other,
        }
    }
}

fn time_form(option: &[u8]) -> Option<TimeForm> {
    let forms = [
        ("ex", TimeForm::Seconds),
        ("px", TimeForm::Milliseconds),
        ("exat", TimeForm::UnixSeconds),
        ("pxat", TimeForm::UnixMilliseconds),
    ];
    forms
        .into_iter()
        .find(|(name, _)| is(option, name))
        .map(|(_, form)| form)
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(crate) fn set(
    args: &[&[u8]],
    draft: &mut Draft<'_>,
    wall_ms: u64,
    reply: &mut Reply<'_>,
) -> Done {
    let (key, value) = (args[1], args[2]);
    let options = Options::parse(&args[3..], Owner::Set)?;
    let end_ms = match options.end {
        End::At(form, text) => Some(form.moment_ahead_ms(text, wall_ms, "set")?),
        End::Unsaid | End::Keep | End::Persist => None,
    };
    let kind = draft.kind(key);
    if options.gives_old {
        match string_at(draft, key)? {
            Some(old) => reply.bulk(&old),
            None => reply.null(),
        }
    }
    let holds = match options.condition {
        None => true,
        Some(Condition::Free) => kind.is_none(),
        Some(Condition::Exists) => kind.is_some(),
    };
    if holds {
        match end_ms {
            Some(end_ms) => set_until(key, value, end_ms, wall_ms, draft),
            None if options.end == End::Keep => set_keeping_end(key, value, kind, draft),
            None => draft.set(key, value, NEVER),
        }
    }
    if !options.gives_old {
        if holds { reply.ok() } else { reply.null() }
    }
    Ok(())
}

/// Sets a string that ends; one whose end has passed leaves nothing behind.
fn set_until(key: &[u8], value: &[u8], end_ms: i64, wall_ms: u64, draft: &mut Draft<'_>) {
    // Redis keeps a string through the millisecond of its end, and so does a deadline.
    match u64::try_from(end_ms) {
        Ok(end_ms) if end_ms >= wall_ms => draft.set(key, value, deadline_of_ms(end_ms)),
        _ => {
            draft.delete(key);
        }
    }
}

fn set_keeping_end(key: &[u8], value: &[u8], kind: Option<Kind>, draft: &mut Draft<'_>) {
    if kind == Some(Kind::String) {
        draft.replace(key, value);
    } else {
        let deadline = draft.deadline(key).unwrap_or(NEVER);
        draft.set(key, value, deadline);
    }
}

/// `SETEX key seconds value`, `PSETEX key milliseconds value`
pub(crate) fn set_ending(
    args: &[&[u8]],
    form: TimeForm,
    command: &'static str,
    draft: &mut Draft<'_>,
    wall_ms: u64,
    reply: &mut Reply<'_>,
) -> Done {
    let end_ms = form.moment_ahead_ms(args[2], wall_ms, command)?;
    set_until(args[1], args[3], end_ms, wall_ms, draft);
    reply.ok();
    Ok(())
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(crate) fn getex(
    args: &[&[u8]],
    draft: &mut Draft<'_>,
    wall_ms: u64,
    reply: &mut Reply<'_>,
) -> Done {
    let key = args[1];
    let options = Options::parse(&args[2..], Owner::GetEx)?;
    let Some(value) = string_at(draft, key)? else {
        reply.null();
        return Ok(());
    };
    let end_ms = match options.end {
        End::At(form, text) => Some(form.moment_ahead_ms(text, wall_ms, "getex")?),
        End::Unsaid | End::Keep | End::Persist => None,
    };
    reply.bulk(&value);
    drop(value);
    match end_ms {
        Some(end_ms) if has_come(end_ms, wall_ms) => {
            draft.delete(key);
        }
        Some(end_ms) => {
            draft.expire(key, deadline_of_ms(end_ms as u64));
        }
        None if options.end == End::Persist => {
            draft.persist(key);
        }
        None => {}
    }
    Ok(())
}
