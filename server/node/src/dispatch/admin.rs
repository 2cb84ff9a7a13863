//! Commands about the server.

use super::data;
use super::flow::Flow;
use crate::info;
use crate::io::Turn;
use crate::server::Server;
use crate::session::Session;
use std::sync::Arc;
use tandem_merge::stamp::stamp_of_ms;
use tandem_proto::command::{CommandId, answer_command};
use tandem_proto::number::parse_i64;
use tandem_proto::reply::Reply;
use tandem_store::StoreError;

pub(super) fn run(
    server: &Arc<Server>,
    session: &mut Session,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<Flow, StoreError> {
    match id {
        CommandId::Command => answer_command(args, reply),
        CommandId::Info => {
            let sections: Vec<String> = args[1..]
                .iter()
                .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
                .collect();
            let text = info::render(server, &sections);
            reply.verbatim(*b"txt", text.as_bytes());
        }
        CommandId::Config => config(server, args, reply),
        CommandId::Time => {
            let micros = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| d.as_micros());
            reply.array(2);
            reply.bulk((micros / 1_000_000).to_string().as_bytes());
            reply.bulk((micros % 1_000_000).to_string().as_bytes());
        }
        CommandId::SlowLog => slowlog(server, args, reply),
        CommandId::Memory => return memory(server, session, args, reply, turn),
        CommandId::Debug => return debug(server, session, args, reply, turn),
        CommandId::Shutdown => {
            let known = args[1..].iter().all(|word| {
                matches!(
                    word.to_ascii_lowercase().as_slice(),
                    b"nosave" | b"save" | b"now" | b"force"
                )
            });
            if !known {
                reply.error("ERR syntax error");
                return Ok(Flow::Next);
            }
            server.shut_down();
            return Ok(Flow::Close);
        }
        _ => reply.error("ERR command is not available here"),
    }
    Ok(Flow::Next)
}

/// MEMORY USAGE key [SAMPLES count]
fn memory(
    server: &Arc<Server>,
    session: &Session,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &Turn,
) -> Result<Flow, StoreError> {
    let key = match args {
        [_, sub, key] | [_, sub, key, _, _] if sub.eq_ignore_ascii_case(b"usage") => key,
        _ => {
            reply.error(
                "ERR unknown subcommand or wrong number of arguments. Try MEMORY USAGE key.",
            );
            return Ok(Flow::Next);
        }
    };
    let wall = stamp_of_ms(turn.wall_ms);
    let locked = data::database(server, session.database)?.lock_one(key, wall)?;
    let shown = tandem_merge::Objects::object(&locked, key)
        .filter(|object| object.kind(locked.now(), locked.origins_ref()).is_some());
    match shown {
        Some(object) => reply.integer((object.heap_bytes() + size_of_val(object)) as i64),
        None => reply.null(),
    }
    Ok(Flow::Next)
}

fn slowlog(server: &Server, args: &[&[u8]], reply: &mut Reply<'_>) {
    match args[1].to_ascii_lowercase().as_slice() {
        b"len" => reply.integer(server.slowlog.len() as i64),
        b"reset" => {
            server.slowlog.reset();
            reply.ok();
        }
        b"get" => {
            let count = match args.get(2).map(|word| parse_i64(word)) {
                None => 10,
                Some(Some(-1)) => usize::MAX,
                Some(Some(count)) if count >= 0 => count as usize,
                _ => return reply.error("ERR count should be greater than or equal to -1"),
            };
            let commands = server.slowlog.newest(count);
            reply.array(commands.len());
            for command in commands {
                reply.array(6);
                reply.integer(command.id as i64);
                reply.integer(command.at as i64);
                reply.integer(command.took.as_micros() as i64);
                reply.array(command.args.len());
                for arg in &command.args {
                    reply.bulk(arg);
                }
                reply.bulk(command.peer.to_string().as_bytes());
                reply.bulk(&command.name);
            }
        }
        _ => reply.error("ERR unknown subcommand. Try SLOWLOG GET, LEN or RESET."),
    }
}

fn config(server: &Arc<Server>, args: &[&[u8]], reply: &mut Reply<'_>) {
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    match (args[1].to_ascii_lowercase().as_slice(), &args[2..]) {
        (b"get", patterns) if !patterns.is_empty() => {
            let config = server.instance.config.read();
            let mut found = std::collections::BTreeMap::new();
            for pattern in patterns {
                found.extend(config.matching(pattern));
            }
            reply.map(found.len());
            for (name, value) in found {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
        (b"set", words) if !words.is_empty() && words.len().is_multiple_of(2) => {
            let words: Vec<String> = words.iter().map(|word| text(word)).collect();
            let (pairs, _) = words.as_chunks::<2>();
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|[k, v]| (k.as_str(), v.as_str())).collect();
            let result = server.instance.config.write().set(&pairs);
            match result {
                Ok(effect) => {
                    for warning in &effect.warnings {
                        tracing::warn!(warning = warning.as_str(), "CONFIG SET");
                    }
                    server.reconfigured(&effect);
                    reply.ok();
                }
                Err(error) => reply.error_display(format_args!("ERR {error}")),
            }
        }
        (b"resetstat", []) => {
            server.stats.reset();
            reply.ok();
        }
        (b"rewrite", []) => match server.rewrite_config() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error_display(format_args!("ERR Rewriting config file: {error}")),
        },
        _ => reply.error(
            "ERR unknown subcommand or wrong number of arguments. Try CONFIG GET, SET, REWRITE or RESETSTAT.",
        ),
    }
}

/// DEBUG: what tests and tools of Redis users call, as far as it means something here.
fn debug(
    server: &Arc<Server>,
    session: &Session,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<Flow, StoreError> {
    let wall = stamp_of_ms(turn.wall_ms);
    match (args[1].to_ascii_lowercase().as_slice(), &args[2..]) {
        (b"digest", []) => {
            let mut sum = 0u128;
            for database in server.instance.store.opened() {
                let (digest, _) = database.digest(database.now(wall))?;
                sum = sum.wrapping_add(digest.rotate_left(database.number % 128));
            }
            reply.simple(&format!("{sum:032x}"));
        }
        (b"checkpoint", []) => {
            for database in server.instance.store.opened() {
                while !database.checkpoint()? {}
            }
            reply.ok();
        }
        (b"object", [key]) => {
            let locked = data::database(server, session.database)?.lock_one(key, wall)?;
            let held = tandem_merge::Objects::object(&locked, key);
            match held.filter(|object| !object.is_void()) {
                Some(object) => reply.simple(&format!(
                    "bytes:{} deadline:{} contributions:{}",
                    object.heap_bytes(),
                    object.deadline(),
                    object.has_contributions()
                )),
                None => reply.error("ERR no such key"),
            }
        }
        (b"sleep", [seconds]) => {
            let seconds: Option<f64> =
                std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok());
            let Some(seconds) = seconds.filter(|s| (0.0..=600.0).contains(s)) else {
                reply.error("ERR value is not a valid float between 0 and 600");
                return Ok(Flow::Next);
            };
            return Ok(Flow::Elsewhere(Box::pin(async move {
                tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
                b"+OK\r\n".to_vec()
            })));
        }
        (b"set-active-expire", [mode]) => {
            server.sweeping.store(*mode != b"0", std::sync::atomic::Ordering::Relaxed);
            reply.ok();
        }
        _ => reply.error(
            "ERR unknown DEBUG subcommand; there are DIGEST, CHECKPOINT, OBJECT key, SLEEP seconds, SET-ACTIVE-EXPIRE 0|1",
        ),
    }
    Ok(Flow::Next)
}
