//! Commands over a view of the data: reply and effects, without I/O.
//!
//! ```text
//! spec, args ─▶ fast ───────────────────────────▶ reply, effects      one key, nothing special
//!                 │ not for it
//!                 ▼
//!              execute ─▶ one family's function ─▶ reply, draft        everything else; MULTI runs
//!                         string counter hash keys                     several over one draft
//! ```
//! Commands about whole databases (SCAN, KEYS, FLUSHDB, ...), transactions and connections are the
//! node's. Time and randomness come in through [`Env`].

mod argument;
mod counter;
mod expiry;
mod fast;
mod hash;
mod keys;
mod refusal;
mod string;
#[cfg(test)]
#[expect(unreachable_pub, reason = "shared with tests/against_redis.rs")]
mod testing;

#[cfg(test)]
extern crate self as tandem_execute;

pub use fast::fast;
pub use keys::copy::{CopyRequest, copy_across};

use expiry::TimeForm;
use keys::expire::TimeLeft;
use refusal::Done;
use tandem_merge::{Draft, Stamp};
use tandem_proto::{CommandId, CommandSpec, Group, Reply, command};

/// What a command needs from outside.
pub struct Env<'e> {
    /// The clock reading at which the command reads and writes; that of its draft.
    pub now: Stamp,
    /// The wall clock in Unix milliseconds, from which relative times count.
    pub wall_ms: u64,
    /// Gives 64 random bits.
    pub random: &'e mut dyn FnMut() -> u64,
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("now", &self.now)
            .field("wall_ms", &self.wall_ms)
            .finish_non_exhaustive()
    }
}

/// Runs one data command; `args[0]` is its name. Writes exactly one reply. Errors are replies too,
/// and a command that answers one has left no effect in the draft.
///
/// A COPY that names another database is not for here: see [`CopyRequest`].
pub fn execute(
    spec: &CommandSpec,
    args: &[&[u8]],
    draft: &mut Draft<'_>,
    env: &mut Env<'_>,
    reply: &mut Reply<'_>,
) {
    if !spec.accepts(args.len()) {
        command::refuse_arity(spec, reply);
        return;
    }
    let done = run_string(spec.id, args, draft, env, reply)
        .or_else(|| run_hash(spec.id, args, draft, env, reply))
        .or_else(|| run_keys(spec.id, args, draft, env, reply));
    match done {
        Some(Ok(())) => {}
        Some(Err(refusal)) => reply.error_display(refusal),
        None => command::refuse_unknown(args.iter().copied(), reply),
    }
}

/// Whether [`execute`] knows the command.
pub fn is_data_command(id: CommandId) -> bool {
    use CommandId::{Keys, RandomKey, Scan, Wait, WaitAof};
    match id.spec().group {
        Group::String | Group::Hash => true,
        Group::Generic => !matches!(id, Scan | Keys | RandomKey | Wait | WaitAof),
        Group::Server | Group::Transactions | Group::Connection => false,
    }
}

fn run_string(
    id: CommandId,
    args: &[&[u8]],
    draft: &mut Draft<'_>,
    env: &Env<'_>,
    reply: &mut Reply<'_>,
) -> Option<Done> {
    let wall_ms = env.wall_ms;
    Some(match id {
        CommandId::Set => string::set::set(args, draft, wall_ms, reply),
        CommandId::Get => string::get(args, draft, reply),
        CommandId::GetSet => string::getset(args, draft, reply),
        CommandId::GetDel => string::getdel(args, draft, reply),
        CommandId::GetEx => string::set::getex(args, draft, wall_ms, reply),
        CommandId::SetNx => string::setnx(args, draft, reply),
        CommandId::SetEx => {
            string::set::set_ending(args, TimeForm::Seconds, "setex", draft, wall_ms, reply)
        }
        CommandId::PSetEx => string::set::set_ending(
            args,
            TimeForm::Milliseconds,
            "psetex",
            draft,
            wall_ms,
            reply,
        ),
        CommandId::MSet => string::mset(args, draft, reply),
        CommandId::MGet => string::mget(args, draft, reply),
        CommandId::MSetNx => string::msetnx(args, draft, reply),
        CommandId::Append => string::append(args, draft, reply),
        CommandId::StrLen => string::strlen(args, draft, reply),
        CommandId::GetRange | CommandId::SubStr => string::getrange(args, draft, reply),
        CommandId::SetRange => string::setrange(args, draft, reply),
        CommandId::Incr => counter::step(args[1], 1, draft, reply),
        CommandId::Decr => counter::step(args[1], -1, draft, reply),
        CommandId::IncrBy => counter::incrby(args, draft, reply),
        CommandId::DecrBy => counter::decrby(args, draft, reply),
        CommandId::IncrByFloat => counter::incrbyfloat(args, draft, reply),
        _ => return None,
    })
}

fn run_hash(
    id: CommandId,
    args: &[&[u8]],
    draft: &mut Draft<'_>,
    env: &mut Env<'_>,
    reply: &mut Reply<'_>,
) -> Option<Done> {
    Some(match id {
        CommandId::HSet => hash::hset(args, draft, reply),
        CommandId::HSetNx => hash::hsetnx(args, draft, reply),
        CommandId::HMSet => hash::hmset(args, draft, reply),
        CommandId::HGet => hash::hget(args, draft, reply),
        CommandId::HMGet => hash::hmget(args, draft, reply),
        CommandId::HGetAll => hash::hgetall(args, draft, reply),
        CommandId::HDel => hash::hdel(args, draft, reply),
        CommandId::HExists => hash::hexists(args, draft, reply),
        CommandId::HLen => hash::hlen(args, draft, reply),
        CommandId::HKeys => hash::hkeys(args, draft, reply),
        CommandId::HVals => hash::hvals(args, draft, reply),
        CommandId::HStrLen => hash::hstrlen(args, draft, reply),
        CommandId::HIncrBy => hash::hincrby(args, draft, reply),
        CommandId::HIncrByFloat => hash::hincrbyfloat(args, draft, reply),
        CommandId::HScan => hash::scan::hscan(args, draft, reply),
        CommandId::HRandField => hash::random::hrandfield(args, draft, env, reply),
        _ => return None,
    })
}

fn run_keys(
    id: CommandId,
    args: &[&[u8]],
    draft: &mut Draft<'_>,
    env: &Env<'_>,
    reply: &mut Reply<'_>,
) -> Option<Done> {
    let expire = |form, draft: &mut Draft<'_>, reply: &mut Reply<'_>| {
        keys::expire::expire(args, form, id.spec().name, draft, env.wall_ms, reply)
    };
    let ttl = |form, draft: &Draft<'_>, reply: &mut Reply<'_>| {
        keys::expire::ttl(args, form, draft, env.wall_ms, reply)
    };
    Some(match id {
        CommandId::Del | CommandId::Unlink => keys::del(args, draft, reply),
        CommandId::Exists | CommandId::Touch => keys::exists(args, draft, reply),
        CommandId::Type => keys::type_of(args, draft, reply),
        CommandId::Expire => expire(TimeForm::Seconds, draft, reply),
        CommandId::PExpire => expire(TimeForm::Milliseconds, draft, reply),
        CommandId::ExpireAt => expire(TimeForm::UnixSeconds, draft, reply),
        CommandId::PExpireAt => expire(TimeForm::UnixMilliseconds, draft, reply),
        CommandId::Ttl => ttl(TimeLeft::Seconds, draft, reply),
        CommandId::PTtl => ttl(TimeLeft::Milliseconds, draft, reply),
        CommandId::ExpireTime => ttl(TimeLeft::UnixSeconds, draft, reply),
        CommandId::PExpireTime => ttl(TimeLeft::UnixMilliseconds, draft, reply),
        CommandId::Persist => keys::expire::persist(args, draft, reply),
        CommandId::Rename => keys::rename(args, draft, reply),
        CommandId::RenameNx => keys::renamenx(args, draft, reply),
        CommandId::Copy => keys::copy::copy(args, draft, reply),
        CommandId::Object => keys::object::object(args, draft, reply),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
