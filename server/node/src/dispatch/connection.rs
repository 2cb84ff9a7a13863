//! Commands about the connection itself.

use super::flow::Flow;
use crate::info::REDIS_VERSION;
use crate::server::Server;
use crate::session::{Replies, Session};
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::command::CommandId;
use tandem_proto::number::parse_i64;
use tandem_proto::reply::{Protocol, Reply};

/// A database number as a client writes it, if there is such a database.
pub(super) fn database_number(word: &[u8], count: u32) -> Option<u32> {
    parse_i64(word)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n < count)
}

pub(super) fn run(
    server: &Arc<Server>,
    session: &mut Session,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
) -> Flow {
    match id {
        CommandId::Ping => match args.get(1) {
            Some(word) => reply.bulk(word),
            None => reply.simple("PONG"),
        },
        CommandId::Echo => reply.bulk(args[1]),
        CommandId::Select => select(server, session, args[1], reply),
        CommandId::Auth => auth(server, session, &args[1..], reply),
        CommandId::Hello => hello(server, session, args, reply),
        CommandId::Client => client(server, session, args, reply),
        CommandId::Reset => {
            session.reset(server);
            reply.simple("RESET");
        }
        _ => {
            reply.ok();
            return Flow::Close;
        }
    }
    Flow::Next
}

fn select(server: &Server, session: &mut Session, word: &[u8], reply: &mut Reply<'_>) {
    if parse_i64(word).is_none() {
        reply.error("ERR value is not an integer or out of range");
        return;
    }
    match database_number(word, server.instance.store.count()) {
        Some(number) => {
            session.database = number;
            server
                .clients
                .update(session.id, |client| client.database = number);
            reply.ok();
        }
        None => reply.error("ERR DB index is out of range"),
    }
}

/// Checks a password; `None` when none is set.
fn passes(server: &Server, user: Option<&[u8]>, password: &[u8]) -> Option<bool> {
    let config = server.instance.config.read();
    let known_user = user.is_none_or(|user| user == b"default");
    Some(config.takes_password(password)? && known_user)
}

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

fn auth(server: &Server, session: &mut Session, words: &[&[u8]], reply: &mut Reply<'_>) {
    let (user, password) = match words {
        [password] => (None, *password),
        [user, password] => (Some(*user), *password),
        _ => return reply.error("ERR syntax error"),
    };
    match passes(server, user, password) {
        None if user.is_some_and(|user| user == b"default") => reply.ok(),
        None => reply.error(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ),
        Some(true) => {
            session.authenticated = true;
            reply.ok();
        }
        Some(false) => {
            tracing::warn!(peer = %session.peer, "authentication failed");
            reply.error(WRONG_PASSWORD);
        }
    }
}

fn hello(server: &Server, session: &mut Session, args: &[&[u8]], reply: &mut Reply<'_>) {
    let mut protocol = session.protocol;
    let mut words = args[1..].iter();
    if let Some(version) = words.next() {
        protocol = match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return reply.error("NOPROTO unsupported protocol version"),
            None => {
                return reply.error("ERR Protocol version is not an integer or out of range");
            }
        };
    }
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_slice() {
            b"auth" => {
                let (Some(user), Some(password)) = (words.next(), words.next()) else {
                    return reply.error("ERR Syntax error in HELLO option 'auth'");
                };
                match passes(server, Some(user), password) {
                    Some(true) | None => session.authenticated = true,
                    Some(false) => return reply.error(WRONG_PASSWORD),
                }
            }
            b"setname" => match words.next() {
                Some(name) => set_name(server, session, name),
                None => return reply.error("ERR Syntax error in HELLO option 'setname'"),
            },
            other => {
                let other = String::from_utf8_lossy(other).into_owned();
                return reply
                    .error_display(format_args!("ERR Syntax error in HELLO option '{other}'"));
            }
        }
    }
    if !session.authenticated {
        return reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        );
    }
    session.protocol = protocol;
    reply.set_protocol(protocol);
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(session.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(if server.instance.is_writable() {
        b"master"
    } else {
        b"replica"
    });
    reply.bulk(b"modules");
    reply.array(0);
}

fn set_name(server: &Server, session: &mut Session, name: &[u8]) {
    session.name = name.to_vec();
    server
        .clients
        .update(session.id, |client| client.name = name.to_vec());
}

fn client(server: &Server, session: &mut Session, args: &[&[u8]], reply: &mut Reply<'_>) {
    let sub = args[1].to_ascii_lowercase();
    match (sub.as_slice(), &args[2..]) {
        (b"id", []) => reply.integer(session.id as i64),
        (b"getname", []) if session.name.is_empty() => reply.null(),
        (b"getname", []) => reply.bulk(&session.name.clone()),
        (b"setname", [name]) => {
            if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
                return reply.error(
                    "ERR Client names cannot contain spaces, newlines or special characters.",
                );
            }
            set_name(server, session, name);
            reply.ok();
        }
        (b"setinfo", [what, value]) => match what.to_ascii_lowercase().as_slice() {
            b"lib-name" => {
                session.library.0 = value.to_vec();
                reply.ok();
            }
            b"lib-ver" => {
                session.library.1 = value.to_vec();
                reply.ok();
            }
            _ => reply.error("ERR Unrecognized option for CLIENT SETINFO"),
        },
        (b"info", []) => {
            let line = describe(session);
            reply.verbatim(*b"txt", line.as_bytes());
        }
        (b"list", _) => {
            let text: String = server
                .clients
                .list()
                .iter()
                .map(|(id, c)| line(*id, c))
                .collect();
            reply.verbatim(*b"txt", text.as_bytes());
        }
        (b"kill", words) => kill(server, session.id, words, reply),
        (b"reply", [mode]) => {
            match mode.to_ascii_lowercase().as_slice() {
                b"on" => session.replies = Replies::On,
                b"off" => session.replies = Replies::Off,
                b"skip" => session.replies = Replies::SkipNext,
                _ => return reply.error("ERR syntax error"),
            }
            reply.ok();
        }
        (b"no-evict" | b"no-touch", [mode]) => match mode.to_ascii_lowercase().as_slice() {
            b"on" | b"off" => reply.ok(),
            _ => reply.error("ERR syntax error"),
        },
        (b"unpause", []) => reply.ok(),
        (b"tracking", [mode]) if mode.eq_ignore_ascii_case(b"off") => reply.ok(),
        (b"trackinginfo" | b"tracking" | b"caching" | b"getredir" | b"pause" | b"unblock", _) => {
            reply.error_display(format_args!(
                "ERR CLIENT {} is not supported by this server",
                String::from_utf8_lossy(&sub).to_uppercase()
            ));
        }
        _ => reply.error_display(format_args!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try CLIENT HELP.",
            String::from_utf8_lossy(args[1])
        )),
    }
}

fn line(id: u64, client: &crate::clients::Client) -> String {
    format!(
        "id={id} addr={} name={} age={} flags=N db={} user=default\n",
        client.peer,
        String::from_utf8_lossy(&client.name),
        client.since.elapsed().as_secs(),
        client.database
    )
}

fn describe(session: &Session) -> String {
    format!(
        "id={} addr={} laddr={} name={} age={} idle={} db={} resp={} cmd={} lib-name={} lib-ver={}\n",
        session.id,
        session.peer,
        session.local.map(|a| a.to_string()).unwrap_or_default(),
        String::from_utf8_lossy(&session.name),
        session.since.elapsed().as_secs(),
        session
            .idle()
            .min(Duration::from_secs(u64::from(u32::MAX)))
            .as_secs(),
        session.database,
        if session.protocol == Protocol::Resp3 {
            3
        } else {
            2
        },
        session.last_command,
        String::from_utf8_lossy(&session.library.0),
        String::from_utf8_lossy(&session.library.1),
    )
}

/// CLIENT KILL addr, or by ID and ADDR filters.
fn kill(server: &Server, own: u64, words: &[&[u8]], reply: &mut Reply<'_>) {
    let clients = server.clients.list();
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    if let [address] = words {
        let address = text(address);
        let found = clients
            .iter()
            .find(|(_, client)| client.peer.to_string() == address);
        match found {
            Some((id, client)) => {
                client.inbox.post(crate::io::Post::Kill(*id));
                reply.ok();
            }
            None => reply.error("ERR No such client"),
        }
        return;
    }
    let mut wanted: Vec<u64> = clients.iter().map(|(id, _)| *id).collect();
    let mut skips_own = true;
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() {
        return reply.error("ERR syntax error");
    }
    for [filter, value] in pairs {
        match filter.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = parse_i64(value).unwrap_or(0) as u64;
                wanted.retain(|candidate| *candidate == id);
            }
            b"addr" => {
                let address = text(value);
                wanted.retain(|candidate| {
                    clients
                        .iter()
                        .any(|(id, c)| id == candidate && c.peer.to_string() == address)
                });
            }
            b"skipme" => match value.to_ascii_lowercase().as_slice() {
                b"yes" => skips_own = true,
                b"no" => skips_own = false,
                _ => return reply.error("ERR syntax error"),
            },
            // Links have ports of their own: every client is a normal one.
            b"type" => match value.to_ascii_lowercase().as_slice() {
                b"normal" => {}
                b"master" | b"slave" | b"replica" | b"pubsub" => wanted.clear(),
                _ => {
                    let value = text(value);
                    return reply.error_display(format_args!("ERR Unknown client type '{value}'"));
                }
            },
            b"user" => {
                if *value != b"default" {
                    let value = text(value);
                    return reply.error_display(format_args!("ERR No such user '{value}'"));
                }
            }
            _ => return reply.error("ERR syntax error"),
        }
    }
    wanted.retain(|id| !(skips_own && *id == own));
    let mut killed = 0;
    for (id, client) in clients.iter().filter(|(id, _)| wanted.contains(id)) {
        client.inbox.post(crate::io::Post::Kill(*id));
        killed += 1;
    }
    reply.integer(killed);
}
