//! Commands about all keys of a database.

use super::data::{commit, database};
use crate::io::Turn;
use crate::server::Server;
use crate::session::Session;
use std::sync::Arc;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, Kind, Stamp};
use tandem_proto::command::CommandId;
use tandem_proto::glob;
use tandem_proto::number::parse_i64;
use tandem_proto::reply::Reply;
use tandem_store::{Locked, StoreError};

pub(super) fn run(
    server: &Arc<Server>,
    session: &mut Session,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    let database = database(server, session.database)?;
    let now = database.now(stamp_of_ms(turn.wall_ms));
    match id {
        CommandId::Scan => return scan(server, session, args, reply, now),
        CommandId::Keys => {
            let origins = database.commit().history.origins.clone();
            let mut found = Vec::new();
            database.cells.visit_all(|_, object| {
                if object.kind(now, &origins).is_some() && glob::matches(args[1], object.key()) {
                    found.push(object.key().to_vec());
                }
                true
            })?;
            reply.array(found.len());
            for key in found {
                reply.bulk(&key);
            }
        }
        CommandId::RandomKey => match database.random_key(now, &mut || turn.random.next())? {
            Some(key) => reply.bulk(&key),
            None => reply.null(),
        },
        CommandId::DbSize => reply.integer(database.cells.keys()),
        CommandId::FlushDb => flush(server, session, &[session.database], args, reply, turn)?,
        _ => {
            let open: Vec<u32> = server.instance.store.opened().map(|d| d.number).collect();
            flush(server, session, &open, args, reply, turn)?;
        }
    }
    Ok(())
}

/// FLUSHDB and FLUSHALL: one record per database.
fn flush(
    server: &Arc<Server>,
    session: &mut Session,
    numbers: &[u32],
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    let option = args.get(1).map(|word| word.to_ascii_lowercase());
    if args.len() > 2 || option.is_some_and(|o| o != b"async" && o != b"sync") {
        reply.error("ERR syntax error");
        return Ok(());
    }
    for number in numbers {
        let mut locked = database(server, *number)?.lock_all(stamp_of_ms(turn.wall_ms));
        locked.load_contributors()?;
        match flush_at_once(&mut locked, session, turn) {
            Err(StoreError::TooLarge { .. }) => flush_in_parts(&mut locked, session, turn)?,
            done => done?,
        }
    }
    reply.ok();
    Ok(())
}

/// FLUSHDB where so many counters are removed that one record cannot say so: they go first.
fn flush_in_parts(
    locked: &mut Locked<'_>,
    session: &mut Session,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    let keys: Vec<Vec<u8>> = locked.contributors().map(|o| o.key().to_vec()).collect();
    locked.shed(keys.iter().map(|key| (key.as_slice(), Stamp::MAX)))?;
    flush_at_once(locked, session, turn)
}

/// Removes all keys by one record.
fn flush_at_once(
    locked: &mut Locked<'_>,
    session: &mut Session,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    turn.effects.clear();
    {
        let mut draft = Draft::new(&*locked, locked.origins_ref(), locked.own(), locked.now());
        draft.flush(locked.contributors());
        draft.finish(0, &mut turn.effects);
    }
    commit(locked, session, turn)
}

/// The type that SCAN asks for; `None` when no type has that name: nothing is of it.
type Wanted = Option<Kind>;

/// What SCAN asks for.
pub(super) struct ScanRequest<'a> {
    pub(super) cursor: u64,
    pub(super) count: usize,
    pattern: Option<&'a [u8]>,
    /// A type's name was given; the type, when there is one of that name.
    kind: Option<Wanted>,
}

impl<'a> ScanRequest<'a> {
    pub(super) fn parse(args: &[&'a [u8]]) -> Result<Self, &'static str> {
        let cursor = std::str::from_utf8(args[1])
            .ok()
            .and_then(|text| text.parse().ok());
        let cursor = cursor.ok_or("ERR invalid cursor")?;
        let mut request = Self {
            cursor,
            count: 10,
            pattern: None,
            kind: None,
        };
        let mut words = args[2..].iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or("ERR syntax error")?;
            match word.to_ascii_lowercase().as_slice() {
                b"match" => request.pattern = Some(value),
                b"count" => {
                    let count =
                        parse_i64(value).ok_or("ERR value is not an integer or out of range")?;
                    request.count = usize::try_from(count)
                        .ok()
                        .filter(|c| *c > 0)
                        .ok_or("ERR syntax error")?;
                }
                b"type" => {
                    let name = value.to_ascii_lowercase();
                    let kind = Kind::ALL
                        .into_iter()
                        .find(|kind| kind.name().as_bytes() == name);
                    request.kind = Some(kind);
                }
                _ => return Err("ERR syntax error"),
            }
        }
        Ok(request)
    }

    pub(super) fn wants(&self, key: &[u8], kind: Kind) -> bool {
        self.kind.is_none_or(|wanted| wanted == Some(kind))
            && self
                .pattern
                .is_none_or(|pattern| glob::matches(pattern, key))
    }
}

fn scan(
    server: &Arc<Server>,
    session: &Session,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    now: Stamp,
) -> Result<(), StoreError> {
    let request = match ScanRequest::parse(args) {
        Ok(request) => request,
        Err(refusal) => {
            reply.error(refusal);
            return Ok(());
        }
    };
    let database = database(server, session.database)?;
    let origins = database.commit().history.origins.clone();
    let mut found = Vec::new();
    let next = database.scan(request.cursor, request.count, |object| {
        let kind = object.kind(now, &origins);
        if kind.is_some_and(|kind| request.wants(object.key(), kind)) {
            found.push(object.key().to_vec());
        }
    })?;
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    for key in found {
        reply.bulk(&key);
    }
    Ok(())
}
