//! The hot path: commands on one key, without options that ask questions, straight from the object
//! to effects and reply.
//!
//! Whatever is unusual (another type, a number that is none, an error) is left to
//! [`execute`](crate::execute), which says the same of everything here, only slower.

use crate::Env;
use crate::argument::is;
use crate::counter::{answer_integer, negated};
use crate::expiry::{TimeForm, has_come};
use crate::keys::expire::{TimeLeft, shown};
use crate::refusal::Refusal;
use std::borrow::Cow;
use tandem_merge::stamp::{deadline_of_ms, ms_of};
use tandem_merge::{
    EffectWriter, Kind, NEVER, Number, Object, OriginIndex, Origins, Stamp, direct,
};
use tandem_proto::{CommandId, CommandSpec, Reply, number};

/// What a command on one key has at hand.
struct One<'a> {
    object: Option<&'a Object>,
    own: Option<OriginIndex>,
    origins: &'a Origins,
    now: Stamp,
    wall_ms: u64,
}

/// Runs a command on one key if it is one of the simple ones, and says whether it did. If not,
/// nothing was written anywhere. `object` is what the command's key holds, `own` the writer's
/// origin once it has written; what it would write goes to `out`, empty for a command that changes
/// nothing.
#[expect(
    clippy::too_many_arguments,
    reason = "the hot path borrows everything one by one"
)]
#[inline]
pub fn fast(
    spec: &CommandSpec,
    args: &[&[u8]],
    object: Option<&Object>,
    own: Option<OriginIndex>,
    origins: &Origins,
    env: &mut Env<'_>,
    out: &mut EffectWriter,
    reply: &mut Reply<'_>,
) -> bool {
    let one = One {
        object,
        own,
        origins,
        now: env.now,
        wall_ms: env.wall_ms,
    };
    let done = if spec.is_write() {
        one.write(spec.id, args, out, reply)
    } else {
        one.read(spec.id, args, reply)
    };
    done.is_some()
}

impl One<'_> {
    fn read(&self, id: CommandId, args: &[&[u8]], reply: &mut Reply<'_>) -> Option<()> {
        match (id, args) {
            (CommandId::Get, [_, _]) => match self.object {
                None => reply.null(),
                Some(object) => match object.string(self.now, self.origins) {
                    Some(value) => reply.bulk(&value),
                    None => self.is_free().then(|| reply.null())?,
                },
            },
            (CommandId::HGet, [_, _, field]) => match self.field(field).ok()? {
                Some(value) => reply.bulk(&value),
                None => reply.null(),
            },
            (CommandId::Exists, [_, _]) => reply.integer((!self.is_free()).into()),
            (CommandId::StrLen, [_, _]) => {
                let value = self.seen(Kind::String).ok()?;
                let value = value.and_then(|object| object.string(self.now, self.origins));
                reply.integer(value.map_or(0, |value| value.len() as i64));
            }
            (CommandId::HExists, [_, _, field]) => {
                reply.integer(self.field(field).ok()?.is_some().into());
            }
            (CommandId::HLen, [_, _]) => {
                let count = self.seen(Kind::Hash).ok()?.map_or(0, |object| {
                    object.element_count(Kind::Hash, self.now, self.origins)
                });
                reply.integer(count as i64);
            }
            (CommandId::Ttl, [_, _]) => self.answer_time(TimeLeft::Seconds, reply),
            (CommandId::PTtl, [_, _]) => self.answer_time(TimeLeft::Milliseconds, reply),
            _ => return None,
        }
        Some(())
    }

    fn write(
        &self,
        id: CommandId,
        args: &[&[u8]],
        out: &mut EffectWriter,
        reply: &mut Reply<'_>,
    ) -> Option<()> {
        use CommandId::{
            Decr, DecrBy, Del, Expire, HIncrBy, HSet, Incr, IncrBy, PExpire, PSetEx, Set, SetEx,
            SetNx, Unlink,
        };
        match (id, args) {
            (Set, [_, key, value]) => self.set(key, value, NEVER, out, reply),
            (Set, [_, key, value, option, time]) => {
                let form = if is(option, "ex") {
                    TimeForm::Seconds
                } else if is(option, "px") {
                    TimeForm::Milliseconds
                } else {
                    return None;
                };
                self.set(key, value, self.deadline(form, time)?, out, reply);
            }
            (SetEx, [_, key, time, value]) => {
                let deadline = self.deadline(TimeForm::Seconds, time)?;
                self.set(key, value, deadline, out, reply);
            }
            (PSetEx, [_, key, time, value]) => {
                let deadline = self.deadline(TimeForm::Milliseconds, time)?;
                self.set(key, value, deadline, out, reply);
            }
            (SetNx, [_, key, value]) => {
                let is_free = self.is_free();
                if is_free {
                    direct::set_string(self.object, key, value, NEVER, self.origins, out);
                }
                reply.integer(is_free.into());
            }
            (Incr, [_, key]) => self.add(key, Kind::String, &[], 1, out, reply)?,
            (Decr, [_, key]) => self.add(key, Kind::String, &[], -1, out, reply)?,
            (IncrBy, [_, key, delta]) => {
                let delta = number::parse_i64(delta)?;
                self.add(key, Kind::String, &[], delta, out, reply)?;
            }
            (DecrBy, [_, key, delta]) => {
                let delta = negated(delta).ok()?;
                self.add(key, Kind::String, &[], delta, out, reply)?;
            }
            (HIncrBy, [_, key, field, delta]) => {
                let delta = number::parse_i64(delta)?;
                self.add(key, Kind::Hash, field, delta, out, reply)?;
            }
            (HSet, [_, key, field, value]) => self.put_field(key, field, value, out, reply)?,
            (Del | Unlink, [_, key]) => {
                let is_gone = direct::delete(self.object, key, self.now, self.origins, out);
                reply.integer(is_gone.into());
            }
            (Expire, [_, key, time]) => self.expire(key, TimeForm::Seconds, time, out, reply)?,
            (PExpire, [_, key, time]) => {
                self.expire(key, TimeForm::Milliseconds, time, out, reply)?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether the key shows nothing.
    fn is_free(&self) -> bool {
        self.object
            .is_none_or(|object| object.kind(self.now, self.origins).is_none())
    }

    /// The object, if the key shows anything; refuses another type.
    fn seen(&self, kind: Kind) -> Result<Option<&Object>, Refusal> {
        let shown = self
            .object
            .and_then(|object| object.kind(self.now, self.origins));
        match shown {
            None => Ok(None),
            Some(shown) if shown == kind => Ok(self.object),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    /// The value of a field; refuses a key of another type.
    fn field(&self, field: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        let object = self.seen(Kind::Hash)?;
        Ok(object.and_then(|object| object.element(Kind::Hash, field, self.now, self.origins)))
    }

    fn answer_time(&self, form: TimeLeft, reply: &mut Reply<'_>) {
        let end_ms = self
            .object
            .and_then(|object| object.visible_deadline(self.now))
            .map(ms_of);
        reply.integer(shown(!self.is_free(), end_ms, form, self.wall_ms));
    }

    /// The deadline that a relative time names; `None` unless it lies ahead.
    fn deadline(&self, form: TimeForm, time: &[u8]) -> Option<Stamp> {
        let end_ms = form.moment_ahead_ms(time, self.wall_ms, "").ok()?;
        let deadline = deadline_of_ms(u64::try_from(end_ms).ok()?);
        (deadline >= self.now).then_some(deadline)
    }

    fn set(
        &self,
        key: &[u8],
        value: &[u8],
        deadline: Stamp,
        out: &mut EffectWriter,
        reply: &mut Reply<'_>,
    ) {
        direct::set_string(self.object, key, value, deadline, self.origins, out);
        reply.ok();
    }

    fn add(
        &self,
        key: &[u8],
        kind: Kind,
        element: &[u8],
        delta: i64,
        out: &mut EffectWriter,
        reply: &mut Reply<'_>,
    ) -> Option<()> {
        let delta = Number::Int(delta);
        let Self {
            object,
            own,
            origins,
            now,
            ..
        } = *self;
        let sum = direct::add(object, key, kind, element, delta, own, now, origins, out).ok()?;
        answer_integer(sum, reply);
        Some(())
    }

    fn put_field(
        &self,
        key: &[u8],
        field: &[u8],
        value: &[u8],
        out: &mut EffectWriter,
        reply: &mut Reply<'_>,
    ) -> Option<()> {
        let is_new = self.field(field).ok()?.is_none();
        let Self {
            object,
            origins,
            now,
            ..
        } = *self;
        direct::put_field(object, key, Kind::Hash, field, value, now, origins, out);
        reply.integer(is_new.into());
        Some(())
    }

    fn expire(
        &self,
        key: &[u8],
        form: TimeForm,
        time: &[u8],
        out: &mut EffectWriter,
        reply: &mut Reply<'_>,
    ) -> Option<()> {
        let end_ms = form.moment_ms(time, self.wall_ms, "").ok()?;
        if has_come(end_ms, self.wall_ms) {
            return None;
        }
        let deadline = deadline_of_ms(end_ms as u64);
        let is_set = direct::expire(self.object, key, deadline, self.now, self.origins, out);
        reply.integer(is_set.into());
        Some(())
    }
}

#[cfg(test)]
mod tests;
