//! From a parsed command to its reply: who may run what, and which room carries it out.
//!
//! ```text
//! run ─ lookup, arity, auth, role ─┬─ queued by MULTI ───────────────▶ transaction
//!                                  ├─ keys: one, several ────────────▶ data      (execute crate)
//!                                  ├─ the whole database ────────────▶ keyspace
//!                                  ├─ about the connection ──────────▶ connection
//!                                  └─ about the server ──────────────▶ admin, replication
//! ```

mod admin;
mod ahead;
mod connection;
mod data;
mod flow;
mod keyspace;
mod replication;
mod saving;
mod transaction;
mod waiting;

pub use ahead::Ahead;
pub use data::settle;
pub use flow::{Flow, Job};

use crate::io::Turn;
use crate::server::Server;
use crate::session::{Replies, Session};
use crate::stats::Family;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_proto::command::{CommandId, CommandSpec, Flags, refuse_arity, refuse_unknown};
use tandem_proto::reply::Reply;
use tandem_proto::resp::ArgsView;
use tandem_store::StoreError;
use tandem_store::log::LogError;

/// What a command takes at most that is known to be quick; several of them share one look at the
/// clock, unless what counts as slow is less.
const QUICK_MAX: Duration = Duration::from_millis(1);

/// A command's arguments; the first is its name.
type Words<'a> = SmallVec<[&'a [u8]; 8]>;

/// Runs one command, which `turn.ahead` tells of, and writes its reply.
pub fn run(
    server: &Arc<Server>,
    session: &mut Session,
    args: ArgsView<'_>,
    output: &mut Vec<u8>,
    turn: &mut Turn,
) -> Flow {
    let before = output.len();
    let silent = session.replies;
    let mut reply = Reply::new(output, session.protocol);
    let args: Words<'_> = args.iter().collect();
    turn.families[Family::of(turn.ahead.spec) as usize] += 1;
    turn.is_quick = false;
    let flow = route(server, session, &args, &mut reply, turn);
    if silent != Replies::On && !matches!(flow, Flow::Elsewhere(_) | Flow::Later) {
        output.truncate(before);
        if silent == Replies::SkipNext && session.replies == Replies::SkipNext {
            session.replies = Replies::On;
        }
    }
    if !turn.is_quick || turn.slow < QUICK_MAX {
        let now = Instant::now();
        let took = now.duration_since(turn.clock);
        turn.clock = now;
        if took >= turn.slow {
            server
                .slowlog
                .note(took, &args, session.peer, &session.name);
        }
    }
    flow
}

#[inline]
fn route(
    server: &Arc<Server>,
    session: &mut Session,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Flow {
    let Some(spec) = turn.ahead.spec else {
        break_transaction(session);
        refuse_unknown(args.iter().copied(), reply);
        return Flow::Next;
    };
    session.touch(spec.name);
    if !spec.accepts(args.len()) {
        break_transaction(session);
        refuse_arity(spec, reply);
        return Flow::Next;
    }
    if !session.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
        reply.error("NOAUTH Authentication required.");
        return Flow::Next;
    }
    if spec.is_write() || spec.id == CommandId::Exec {
        if server.failover.is_pausing() && session.is_about_to_write(spec) {
            return Flow::Later;
        }
        if spec.is_write()
            && let Err(refusal) = server.accepts_writes()
        {
            break_transaction(session);
            reply.error(&refusal);
            return Flow::Next;
        }
    }
    if server.is_stale() && !spec.flags.contains(Flags::STALE) {
        break_transaction(session);
        reply.error(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        );
        return Flow::Next;
    }
    if session.transaction.is_some() && !transaction::is_immediate(spec.id) {
        transaction::queue(session, spec, args, reply);
        return Flow::Next;
    }
    carry_out(server, session, spec, args, reply, turn)
}

fn break_transaction(session: &mut Session) {
    if let Some(transaction) = &mut session.transaction {
        transaction.broken = true;
    }
}

/// Carries a command out in its room.
#[inline]
fn carry_out(
    server: &Arc<Server>,
    session: &mut Session,
    spec: &'static CommandSpec,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Flow {
    let start = reply.written().len();
    let done = if spec.first_key > 0 && tandem_execute::is_data_command(spec.id) {
        data::run(server, session, spec, args, reply, turn).map(|()| Flow::Next)
    } else {
        elsewhere(server, session, spec, args, reply, turn)
    };
    done.unwrap_or_else(|error| {
        reply.rewind(start);
        refuse(&error, reply);
        Flow::Next
    })
}

fn elsewhere(
    server: &Arc<Server>,
    session: &mut Session,
    spec: &'static CommandSpec,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<Flow, StoreError> {
    use CommandId as Id;
    match spec.id {
        Id::Scan | Id::Keys | Id::RandomKey | Id::DbSize | Id::FlushDb | Id::FlushAll => {
            keyspace::run(server, session, spec.id, args, reply, turn).map(|()| Flow::Next)
        }
        Id::Multi | Id::Exec | Id::Discard | Id::Watch | Id::Unwatch => {
            transaction::run(server, session, spec.id, args, reply, turn).map(|()| Flow::Next)
        }
        Id::Ping
        | Id::Echo
        | Id::Hello
        | Id::Auth
        | Id::Select
        | Id::Client
        | Id::Quit
        | Id::Reset => Ok(connection::run(server, session, spec.id, args, reply)),
        Id::Wait | Id::WaitAof => Ok(waiting::run(server, session, spec.id, args, reply)),
        Id::Save | Id::BgSave | Id::BgRewriteAof | Id::LastSave => {
            Ok(saving::run(server, spec.id, args, reply))
        }
        Id::SlaveOf | Id::ReplicaOf | Id::Tandem | Id::Role | Id::Failover => {
            Ok(replication::run(server, spec.id, args, reply, turn))
        }
        _ => admin::run(server, session, spec.id, args, reply, turn),
    }
}

/// Writes what a client is told when the store fails.
fn refuse(error: &StoreError, reply: &mut Reply<'_>) {
    match error {
        StoreError::Log(LogError::Full) => reply.error(
            "MISCONF no space left on the log's device: writes are refused until there is space again",
        ),
        StoreError::Log(LogError::Poisoned) => reply.error(
            "MISCONF the log failed to persist: writes are refused until this server is restarted",
        ),
        StoreError::Log(LogError::Starved) => reply.error(
            "MISCONF the log failed to persist for want of space: free space on its device, then \
             restart this server; until then writes are refused",
        ),
        StoreError::NotWriter => {
            reply.error("READONLY You can't write against a read only replica.");
        }
        StoreError::TooLarge { .. } => reply.error_display(format_args!("ERR {error}")),
        error => {
            tracing::error!(error = error as &dyn std::error::Error, "command failed");
            let mut text = format!("ERR {error}");
            let mut cause = std::error::Error::source(error);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            reply.error(&text);
        }
    }
}
