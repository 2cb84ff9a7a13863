//! From a parsed command to its reply.

use crate::io::Turn;
use crate::server::{Job, Server};
use crate::session::Session;
use smallvec::SmallVec;
use std::sync::Arc;
use tandem_merge::draft::direct;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Kind, NEVER, Number, Objects};
use tandem_proto::command::{CommandId, lookup};
use tandem_proto::number::parse_i64;
use tandem_proto::reply::Reply;
use tandem_proto::resp::ArgsView;

/// What the connection does next.
pub enum Flow {
    /// Goes on.
    Next,
    /// Sends what there is and closes.
    Close,
    /// Waits for a job's reply.
    Elsewhere(Job),
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flow")
    }
}

/// Runs one command.
pub fn run(
    server: &Arc<Server>,
    session: &mut Session,
    args: ArgsView<'_>,
    output: &mut Vec<u8>,
    turn: &mut Turn,
) -> Flow {
    let mut reply = Reply::new(output, session.protocol);
    let Some(spec) = lookup(args.get(0)) else {
        reply.error("ERR unknown command");
        return Flow::Next;
    };
    let args: SmallVec<[&[u8]; 8]> = args.iter().collect();
    if let Err(error) = one(server, session, spec.id, &args, &mut reply, turn) {
        reply.error_display(format_args!("ERR {error}"));
    }
    Flow::Next
}

fn one(
    server: &Arc<Server>,
    session: &mut Session,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), tandem_store::StoreError> {
    let number = session.database;
    if id == CommandId::Ping {
        reply.simple("PONG");
        return Ok(());
    }
    let Some(database) = server.instance.store.database(number)? else { return Ok(()) };
    let Some(key) = args.get(1) else {
        reply.array(0);
        return Ok(());
    };
    let mut locked = database.lock_one(key, stamp_of_ms(turn.wall_ms))?;
    let now = locked.now();
    let origins = locked.origins();
    let object = locked.object(key);
    turn.effects.clear();
    let out = &mut turn.effects;
    match id {
        CommandId::Get => {
            match object.and_then(|o| o.string(now, &origins)) {
                Some(value) => reply.bulk(&value),
                None => reply.null(),
            }
            return Ok(());
        }
        CommandId::HGet => {
            match object.and_then(|o| o.element(Kind::Hash, args[2], now, &origins)) {
                Some(value) => reply.bulk(&value),
                None => reply.null(),
            }
            return Ok(());
        }
        CommandId::Set => {
            direct::set_string(object, key, args[2], NEVER, &origins, out);
            reply.ok();
        }
        CommandId::Incr | CommandId::IncrBy => {
            let own = locked.own();
            let by = args.get(2).and_then(|a| parse_i64(a)).unwrap_or(1);
            match direct::add(object, key, Kind::String, b"", Number::Int(by), own, now, &origins, out) {
                Ok(Number::Int(value)) => reply.integer(value),
                Ok(Number::Float(value)) => reply.bulk_float(value),
                Err(error) => reply.error_display(format_args!("ERR {error}")),
            }
        }
        CommandId::HSet => {
            let had = object.and_then(|o| o.element(Kind::Hash, args[2], now, &origins)).is_some();
            direct::put_field(object, key, Kind::Hash, args[2], args[3], now, &origins, out);
            reply.integer(i64::from(!had));
        }
        CommandId::Del => {
            let had = direct::delete(object, key, now, &origins, out);
            reply.integer(i64::from(had));
        }
        _ => reply.error("ERR not in the spike"),
    }
    if let Some(receipt) = locked.commit(&turn.effects)? {
        drop(locked);
        turn.wrote(number, &receipt);
    }
    Ok(())
}
