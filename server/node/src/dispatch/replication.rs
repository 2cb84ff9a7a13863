//! Commands about roles, links and acknowledgements.

use super::flow::Flow;
use crate::handover::{self, Request};
use crate::info;
use crate::instance::wall_ms;
use crate::io::Turn;
use crate::links::Links;
use crate::meta::{Peer, StoredRole, Target};
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::command::CommandId;
use tandem_proto::number::parse_i64;
use tandem_proto::reply::Reply;
use tandem_proto::status::{LinkKind, LinkState};

pub(super) fn run(
    server: &Arc<Server>,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Flow {
    let Some(links) = server.links() else {
        reply.error("LOADING links are not up yet; try again");
        return Flow::Next;
    };
    match id {
        CommandId::Role => role(server, links, reply),
        CommandId::Tandem => return tandem(server, links, args, reply, turn),
        CommandId::Failover => failover(server, args, reply),
        _ => {
            slaveof(links, args, reply);
            server.judge_links();
        }
    }
    Flow::Next
}

/// ROLE: a master with its replicas and their offsets, or a replica with the state of its link.
fn role(server: &Server, links: &Links, reply: &mut Reply<'_>) {
    let meta = server.instance.meta();
    let (dialled, receivers) = links.status();
    let held = info::offset(server);
    if meta.role == StoredRole::Writer {
        let replicas: Vec<_> = receivers
            .iter()
            .filter(|one| one.kind == LinkKind::Replica)
            .collect();
        reply.array(3);
        reply.bulk(b"master");
        reply.integer(held as i64);
        reply.array(replicas.len());
        for replica in replicas {
            reply.array(3);
            reply.bulk(replica.host.as_bytes());
            reply.bulk(replica.port.to_string().as_bytes());
            let offset = held.saturating_sub(replica.lag_records);
            reply.bulk(offset.to_string().as_bytes());
        }
        return;
    }
    let link = dialled.iter().find(|one| one.kind == LinkKind::Replica);
    let state = match link.map(|link| link.state) {
        Some(LinkState::Streaming) => "connected",
        Some(LinkState::FullResync) => "sync",
        Some(LinkState::Connecting) => "connecting",
        Some(LinkState::LostPlace | LinkState::Refused) | None => "connect",
    };
    let nowhere = Target {
        host: String::new(),
        port: 0,
    };
    let primary = meta.follow.unwrap_or(nowhere);
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(primary.host.as_bytes());
    reply.integer(i64::from(primary.port));
    reply.bulk(state.as_bytes());
    reply.integer(held as i64);
}

/// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]
fn failover(server: &Arc<Server>, args: &[&[u8]], reply: &mut Reply<'_>) {
    if let [_, word] = args
        && word.eq_ignore_ascii_case(b"abort")
    {
        return match server.failover.abort() {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(refusal),
        };
    }
    match failover_request(&args[1..]).and_then(|request| handover::begin(server, &request)) {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal),
    }
}

fn failover_request(words: &[&[u8]]) -> Result<Request, &'static str> {
    let mut request = Request::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_slice() {
            b"to" if request.target.is_none() => {
                let (host, to) = words.next().zip(words.next()).ok_or("ERR syntax error")?;
                let port = port(to).ok_or("ERR value is out of range")?;
                request.target = Some(Target {
                    host: text(host),
                    port,
                });
            }
            b"force" if request.target.is_some() => request.force = true,
            b"timeout" if request.patience.is_none() => {
                let ms = words.next().and_then(|word| parse_i64(word));
                let ms = ms.ok_or("ERR value is not an integer or out of range")?;
                let ms = u64::try_from(ms).ok().filter(|ms| *ms > 0);
                let ms = ms.ok_or("ERR FAILOVER timeout must be greater than 0")?;
                request.patience = Some(Duration::from_millis(ms));
            }
            _ => return Err("ERR syntax error"),
        }
    }
    if request.force && request.patience.is_none() {
        return Err(
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        );
    }
    Ok(request)
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn port(word: &[u8]) -> Option<u16> {
    parse_i64(word)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
}

fn settle<E: std::fmt::Display>(result: Result<(), E>, reply: &mut Reply<'_>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error_display(error),
    }
}

fn slaveof(links: &Links, args: &[&[u8]], reply: &mut Reply<'_>) {
    if args.len() == 3
        && args[1].eq_ignore_ascii_case(b"no")
        && args[2].eq_ignore_ascii_case(b"one")
    {
        return settle(links.slaveof_no_one(), reply);
    }
    let force = match args.get(3) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"force") => true,
        Some(_) => return reply.error("ERR syntax error; use SLAVEOF host port [force]"),
    };
    match port(args[2]) {
        Some(port) => settle(links.slaveof(&text(args[1]), port, force), reply),
        None => reply.error("ERR Invalid master port"),
    }
}

fn tandem(
    server: &Arc<Server>,
    links: &Arc<Links>,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &Turn,
) -> Flow {
    let sub = args[1].to_ascii_lowercase();
    let number = |word: &[u8]| parse_i64(word).and_then(|n| u64::try_from(n).ok());
    match (sub.as_slice(), &args[2..]) {
        (b"status", []) => {
            let status = crate::report::status(server, links);
            reply.bulk(&serde_json::to_vec(&status).unwrap_or_default());
        }
        (b"promote", [epoch, rest @ ..]) => match number(epoch) {
            Some(epoch) => return promote(server, links, epoch, rest),
            None => reply.error("ERR epoch is not a number"),
        },
        (b"demote", [epoch]) => {
            let epoch = number(epoch).unwrap_or(0);
            let result = server.instance.stop_writing(|meta| {
                meta.epoch = meta.epoch.max(epoch);
                meta.role = StoredRole::Waiting;
            });
            settle(result.map_err(|error| format!("ERR {error}")), reply);
        }
        (b"follow", [epoch, host, to]) => match (number(epoch), port(to)) {
            (Some(epoch), Some(port)) => {
                settle(links.follow(epoch, Target { host: text(host), port }), reply);
            }
            _ => reply.error("ERR use TANDEM FOLLOW epoch host port"),
        },
        (b"peer", [none]) if none.eq_ignore_ascii_case(b"none") => {
            settle(links.set_peer(None), reply);
        }
        (b"peer", [host, to, id]) => match (port(to), number(id)) {
            (Some(port), Some(id)) => {
                let target = Target { host: text(host), port };
                settle(links.set_peer(Some(Peer { target, server_id: id as u32 })), reply);
            }
            _ => reply.error("ERR use TANDEM PEER host port server-id"),
        },
        (b"members", ids) => {
            let ids: Vec<u32> = ids.iter().filter_map(|id| number(id)).map(|id| id as u32).collect();
            let result = server.instance.update(|meta| meta.members = ids);
            settle(result.map_err(|error| format!("ERR {error}")), reply);
        }
        (b"instances", ids) => {
            let ids: Vec<String> = ids.iter().map(|id| text(id)).collect();
            let result = server.instance.set_siblings(&ids);
            settle(result.map_err(|error| format!("ERR {error}")), reply);
        }
        (b"digest", words) => {
            let chosen = words.first().and_then(|word| number(word)).unwrap_or(0) as u32;
            let Some(database) = server.instance.store.get(chosen) else {
                reply.bulk(format!("{:032x}", 0).as_bytes());
                return Flow::Next;
            };
            let now = database.now(tandem_merge::stamp::stamp_of_ms(turn.wall_ms));
            match database.digest(now) {
                Ok((digest, _)) => reply.bulk(format!("{digest:032x}").as_bytes()),
                Err(error) => reply.error_display(format_args!("ERR {error}")),
            }
        }
        _ => reply.error(
            "ERR unknown TANDEM subcommand; there are STATUS, PROMOTE, DEMOTE, FOLLOW, PEER, MEMBERS, INSTANCES, DIGEST",
        ),
    }
    Flow::Next
}

/// How long a promotion collects unless it is told.
const PROMOTION_PATIENCE: Duration = Duration::from_secs(1);

/// Collects what the named instances hold, then opens for writes.
fn promote(server: &Arc<Server>, links: &Arc<Links>, epoch: u64, words: &[&[u8]]) -> Flow {
    let mut targets = Vec::new();
    let mut deadline = PROMOTION_PATIENCE;
    for pair in words.chunks(2) {
        let [word, value] = pair else { continue };
        if word.eq_ignore_ascii_case(b"from")
            && let Some((host, to)) = text(value).rsplit_once(':')
            && let Ok(port) = to.parse()
        {
            targets.push(Target {
                host: host.to_owned(),
                port,
            });
        } else if word.eq_ignore_ascii_case(b"timeout") {
            deadline = Duration::from_millis(parse_i64(value).unwrap_or(1000).max(0) as u64);
        }
    }
    let (server, links) = (Arc::clone(server), Arc::clone(links));
    Flow::Elsewhere(Box::pin(async move {
        let begun = wall_ms();
        let collected = if targets.is_empty() {
            0
        } else {
            links.collect(targets, deadline).await.records
        };
        match server.instance.become_writer(epoch) {
            Ok(origin) => {
                let body = serde_json::json!({
                    "epoch": epoch,
                    "incarnation": format!("{:016x}", origin.incarnation),
                    "collected_records": collected,
                    "elapsed_ms": wall_ms().saturating_sub(begun),
                })
                .to_string();
                format!("${}\r\n{body}\r\n", body.len()).into_bytes()
            }
            Err(error) => format!("-{error}\r\n").into_bytes(),
        }
    }))
}
