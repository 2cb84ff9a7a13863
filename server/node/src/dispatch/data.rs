//! Commands on named keys: lock, execute, commit.

use crate::io::Turn;
use crate::server::Server;
use crate::session::Session;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_execute::{CopyRequest, Env, copy_across, execute, fast};
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, Objects, Stamp};
use tandem_proto::command::{CommandId, CommandSpec};
use tandem_proto::reply::Reply;
use tandem_store::hash::{KEY_BYTES_MAX, hash_key};
use tandem_store::{Database, Locked, StoreError};

/// Bytes read or written by a command above which it may take its time.
const QUICK_BYTES_MAX: usize = 64 << 10;

/// The session's database, opened if it never was.
pub(super) fn database(server: &Server, number: u32) -> Result<&Arc<Database>, StoreError> {
    let found = server.instance.store.database(number)?;
    found.ok_or_else(|| StoreError::Resync(format!("database {number} does not exist")))
}

/// Runs a command on its keys.
#[inline]
pub(super) fn run(
    server: &Arc<Server>,
    session: &mut Session,
    spec: &'static CommandSpec,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    let database = match server.instance.store.get(session.database) {
        Some(database) => database,
        None => self::database(server, session.database)?,
    };
    let wall = stamp_of_ms(turn.wall_ms);
    if spec.first_key != spec.last_key {
        return several(server, session, database, spec, args, reply, turn);
    }
    let Some(key) = args.get(spec.first_key as usize) else {
        execute_keyless(spec, args, reply, turn);
        return Ok(());
    };
    if key.len() > KEY_BYTES_MAX {
        refuse_long(key, reply);
        return Ok(());
    }
    let hash = turn.ahead.hash.unwrap_or_else(|| hash_key(key));
    let mut locked = database.lock_key(hash, key, wall)?;
    turn.effects.clear();
    let object = locked.present();
    if !spec.is_write() {
        let counter = if object.is_some() {
            &mut turn.hits
        } else {
            &mut turn.misses
        };
        *counter += 1;
    }
    let (now, own, origins) = (locked.now(), locked.own(), locked.origins());
    let random = &mut turn.random;
    let mut draw = || random.next();
    let mut env = Env {
        now,
        wall_ms: turn.wall_ms,
        random: &mut draw,
    };
    let start = reply.written().len();
    let is_fast = fast(
        spec,
        args,
        object,
        own,
        origins,
        &mut env,
        &mut turn.effects,
        reply,
    );
    if is_fast {
        let bytes = reply.written().len() - start + turn.effects.bytes().len();
        turn.is_quick = bytes < QUICK_BYTES_MAX && !locked.has_waited();
    } else {
        let mut draft = Draft::new(&locked, origins, own, now);
        execute(spec, args, &mut draft, &mut env, reply);
        draft.finish(0, &mut turn.effects);
    }
    if let Some(receipt) = locked.commit(&turn.effects)? {
        let number = locked.number();
        session.last_write = Some((number, receipt.dot, receipt.lsn));
        turn.wrote(number, &receipt);
    }
    Ok(())
}

/// Commits the turn's effects and notes the write.
#[inline]
pub(super) fn commit(
    locked: &mut Locked<'_>,
    session: &mut Session,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    if let Some(receipt) = locked.commit(&turn.effects)? {
        let number = locked.number();
        session.last_write = Some((number, receipt.dot, receipt.lsn));
        turn.wrote(number, &receipt);
    }
    Ok(())
}

fn execute_keyless(
    spec: &'static CommandSpec,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) {
    struct Nothing;
    impl Objects for Nothing {
        fn object(&self, _: &[u8]) -> Option<&tandem_merge::Object> {
            None
        }
    }
    let origins = tandem_merge::Origins::default();
    let now = stamp_of_ms(turn.wall_ms);
    let mut draft = Draft::new(&Nothing, &origins, None, now);
    let random = &mut turn.random;
    let mut draw = || random.next();
    let mut env = Env {
        now,
        wall_ms: turn.wall_ms,
        random: &mut draw,
    };
    execute(spec, args, &mut draft, &mut env, reply);
}

fn refuse_long(key: &[u8], reply: &mut Reply<'_>) {
    reply.error_display(format_args!(
        "ERR key is {} bytes long, at most {KEY_BYTES_MAX} are possible; shorten it or hash it",
        key.len()
    ));
}

fn several(
    server: &Arc<Server>,
    session: &mut Session,
    database: &Arc<Database>,
    spec: &'static CommandSpec,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    if spec.id == CommandId::Copy
        && let Some(request) = CopyRequest::parse(args)
        && let Some(target) = request.database
        && i64::from(target) != i64::from(session.database)
    {
        return copy_between(server, session, &request, target, reply, turn);
    }
    let keys = || spec.key_indexes(args.len()).map(|at| args[at]);
    if let Some(long) = keys().find(|key| key.len() > KEY_BYTES_MAX) {
        refuse_long(long, reply);
        return Ok(());
    }
    let mut locked = database.lock_keys(keys(), stamp_of_ms(turn.wall_ms))?;
    turn.effects.clear();
    let now = locked.now();
    {
        let mut draft = Draft::new(&locked, locked.origins_ref(), locked.own(), now);
        let random = &mut turn.random;
        let mut draw = || random.next();
        let mut env = Env {
            now,
            wall_ms: turn.wall_ms,
            random: &mut draw,
        };
        execute(spec, args, &mut draft, &mut env, reply);
        draft.finish(0, &mut turn.effects);
    }
    match commit(&mut locked, session, turn) {
        Err(StoreError::TooLarge { .. })
            if matches!(spec.id, CommandId::Del | CommandId::Unlink) =>
        {
            remove_in_parts(&mut locked, keys(), session, turn)
        }
        done => done,
    }
}

/// DEL of what one record cannot remove: counters first, then key by key.
fn remove_in_parts<'k>(
    locked: &mut Locked<'_>,
    keys: impl Iterator<Item = &'k [u8]> + Clone,
    session: &mut Session,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    locked.shed(keys.clone().map(|key| (key, Stamp::MAX)))?;
    for key in keys {
        turn.effects.clear();
        {
            let (origins, own) = (locked.origins_ref(), locked.own());
            let mut draft = Draft::new(&*locked, origins, own, locked.now());
            draft.sweep(key);
            draft.finish(0, &mut turn.effects);
        }
        commit(locked, session, turn)?;
    }
    Ok(())
}

/// COPY into another database: one record there.
fn copy_between(
    server: &Arc<Server>,
    session: &mut Session,
    request: &CopyRequest<'_>,
    target: i32,
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    let target = u32::try_from(target)
        .ok()
        .filter(|n| *n < server.instance.store.count());
    let Some(target) = target else {
        reply.error("ERR value is out of range");
        return Ok(());
    };
    let wall = stamp_of_ms(turn.wall_ms);
    let (from, to) = (
        database(server, session.database)?,
        database(server, target)?,
    );
    // Databases are locked in order of their number, so that two copies cannot wait for each other.
    let (source, mut into) = if session.database < target {
        let source = from.lock_one(request.source, wall)?;
        (source, to.lock_one(request.target, wall)?)
    } else {
        let into = to.lock_one(request.target, wall)?;
        (from.lock_one(request.source, wall)?, into)
    };
    turn.effects.clear();
    {
        let read = Draft::new(&source, source.origins_ref(), source.own(), source.now());
        let mut write = Draft::new(&into, into.origins_ref(), into.own(), into.now());
        copy_across(request, &read, &mut write, reply);
        write.finish(0, &mut turn.effects);
    }
    drop(source);
    commit(&mut into, session, turn)
}

/// Adds a turn's counts to the server's.
pub fn settle(server: &Server, turn: &mut Turn) {
    let stats = &server.stats;
    for (total, count) in stats.families.iter().zip(&mut turn.families) {
        total.fetch_add(std::mem::take(count), Ordering::Relaxed);
    }
    stats
        .hits
        .fetch_add(std::mem::take(&mut turn.hits), Ordering::Relaxed);
    stats
        .misses
        .fetch_add(std::mem::take(&mut turn.misses), Ordering::Relaxed);
    stats
        .input_bytes
        .fetch_add(std::mem::take(&mut turn.input_bytes), Ordering::Relaxed);
    stats
        .output_bytes
        .fetch_add(std::mem::take(&mut turn.output_bytes), Ordering::Relaxed);
}
