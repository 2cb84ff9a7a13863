//! MULTI, EXEC, DISCARD, WATCH: several commands as one record per database.

mod overlay;

use super::data::database;
use crate::io::Turn;
use crate::server::Server;
use crate::session::{Session, Transaction, Watched};
use overlay::Overlay;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_execute::{CopyRequest, Env, copy_across, execute, is_data_command};
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, EffectWriter};
use tandem_proto::command::{CommandId, CommandSpec, Flags, lookup};
use tandem_proto::reply::{Protocol, Reply};
use tandem_store::{Locked, StoreError};

/// Bytes of queued commands at which a transaction is refused.
const QUEUED_BYTES_MAX: usize = 64 << 20;

/// Whether a command is carried out at once inside a transaction.
pub(super) fn is_immediate(id: CommandId) -> bool {
    use CommandId as Id;
    matches!(
        id,
        Id::Exec | Id::Discard | Id::Multi | Id::Watch | Id::Quit | Id::Reset
    )
}

/// Questions about all keys: they need the whole database locked.
fn asks_all_keys(id: CommandId) -> bool {
    use CommandId as Id;
    matches!(id, Id::Scan | Id::Keys | Id::RandomKey | Id::DbSize)
}

/// Questions about the server. They lock what a transaction has locked already, so they are answered
/// before that.
fn asks_server(id: CommandId) -> bool {
    use CommandId as Id;
    matches!(
        id,
        Id::Time | Id::Info | Id::Command | Id::Config | Id::SlowLog | Id::LastSave | Id::Role
    )
}

/// Queues a command.
pub(super) fn queue(
    session: &mut Session,
    spec: &'static CommandSpec,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
) {
    let Some(transaction) = &mut session.transaction else {
        return;
    };
    if spec.flags.contains(Flags::NO_MULTI) {
        transaction.broken = true;
        reply.error("ERR Command not allowed inside a transaction");
        return;
    }
    transaction.bytes += args.iter().map(|arg| arg.len() + 24).sum::<usize>();
    if transaction.bytes > QUEUED_BYTES_MAX {
        transaction.broken = true;
        transaction.commands.clear();
        reply.error("ERR transaction is larger than 64 MiB; split it");
        return;
    }
    transaction
        .commands
        .push(args.iter().map(|arg| arg.to_vec()).collect());
    reply.simple("QUEUED");
}

pub(super) fn run(
    server: &Arc<Server>,
    session: &mut Session,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    match id {
        CommandId::Multi if session.transaction.is_some() => {
            reply.error("ERR MULTI calls can not be nested");
        }
        CommandId::Multi => {
            session.transaction = Some(Transaction::default());
            reply.ok();
        }
        CommandId::Discard => {
            if session.transaction.take().is_some() {
                session.watched.clear();
                reply.ok();
            } else {
                reply.error("ERR DISCARD without MULTI");
            }
        }
        CommandId::Watch if session.transaction.is_some() => {
            reply.error("ERR WATCH inside MULTI is not allowed");
        }
        CommandId::Watch => {
            for key in &args[1..] {
                let wall = stamp_of_ms(turn.wall_ms);
                let locked = database(server, session.database)?.lock_one(key, wall)?;
                let watched = Watched {
                    database: session.database,
                    key: key.to_vec(),
                    fingerprint: locked.fingerprint(key),
                };
                session.watched.push(watched);
            }
            reply.ok();
        }
        CommandId::Unwatch => {
            session.watched.clear();
            reply.ok();
        }
        _ => return exec(server, session, reply, turn),
    }
    Ok(())
}

/// One queued command with the database it runs in.
struct Step<'q> {
    spec: &'static CommandSpec,
    args: Vec<&'q [u8]>,
    database: u32,
}

/// What a database is locked for.
#[derive(Default)]
struct Need<'q> {
    keys: Vec<&'q [u8]>,
    whole: bool,
    /// Everything is removed: what contributed to counters has to be known.
    flushed: bool,
}

fn exec(
    server: &Arc<Server>,
    session: &mut Session,
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<(), StoreError> {
    let Some(transaction) = session.transaction.take() else {
        reply.error("ERR EXEC without MULTI");
        return Ok(());
    };
    let watched = std::mem::take(&mut session.watched);
    if transaction.broken {
        reply.error("EXECABORT Transaction discarded because of previous errors.");
        return Ok(());
    }
    let mut number = session.database;
    let count = server.instance.store.count();
    let mut steps = Vec::new();
    let mut needs: BTreeMap<u32, Need<'_>> = BTreeMap::new();
    for command in &transaction.commands {
        let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let Some(spec) = lookup(args[0]) else {
            continue;
        };
        collect_needs(spec, &args, number, count, server, &mut needs);
        steps.push(Step {
            spec,
            args,
            database: number,
        });
        let step = steps.last();
        if let Some(step) = step
            && step.spec.id == CommandId::Select
            && let Some(chosen) = super::connection::database_number(step.args[1], count)
        {
            number = chosen;
        }
    }
    for watch in &watched {
        needs
            .entry(watch.database)
            .or_default()
            .keys
            .push(&watch.key);
    }
    if steps.iter().any(|step| step.spec.is_write())
        && let Err(refusal) = server.accepts_writes()
    {
        reply.error_display(format_args!(
            "EXECABORT Transaction discarded because of: {refusal}"
        ));
        return Ok(());
    }
    let mut answers = answer_aside(server, session, &steps, reply.protocol(), turn)?;
    let mut locks = lock(server, &needs, turn)?;
    let changed = watched.iter().any(|watch| {
        locks
            .get(&watch.database)
            .is_some_and(|l| l.fingerprint(&watch.key) != watch.fingerprint)
    });
    if changed {
        reply.null_array();
        return Ok(());
    }
    reply.array(steps.len());
    let written = run_steps(server, session, &locks, &steps, &mut answers, reply, turn)?;
    // All databases take their record, or none does.
    for (number, effects) in &written {
        if let Some(locked) = locks.get(number) {
            locked.admits(effects)?;
        }
    }
    for (number, effects) in written {
        if let Some(locked) = locks.get_mut(&number)
            && let Some(receipt) = locked.commit(&effects)?
        {
            session.last_write = Some((number, receipt.dot, receipt.lsn));
            turn.wrote(number, &receipt);
        }
    }
    Ok(())
}

fn collect_needs<'q>(
    spec: &CommandSpec,
    args: &[&'q [u8]],
    number: u32,
    count: u32,
    server: &Server,
    needs: &mut BTreeMap<u32, Need<'q>>,
) {
    match spec.id {
        CommandId::FlushAll => {
            for database in server.instance.store.opened() {
                let need = needs.entry(database.number).or_default();
                (need.whole, need.flushed) = (true, true);
            }
        }
        CommandId::FlushDb => {
            let need = needs.entry(number).or_default();
            (need.whole, need.flushed) = (true, true);
        }
        id if asks_all_keys(id) => needs.entry(number).or_default().whole = true,
        CommandId::Copy => {
            let target = CopyRequest::parse(args).and_then(|request| request.database);
            let other = target
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n < count);
            if let Some(other) = other {
                needs.entry(other).or_default().keys.push(args[2]);
            }
            needs.entry(number).or_default().keys.extend(&args[1..3]);
        }
        _ if is_data_command(spec.id) => {
            let keys = spec.key_indexes(args.len()).map(|at| args[at]);
            needs.entry(number).or_default().keys.extend(keys);
        }
        _ => {}
    }
}

/// Locks databases in order of their number.
fn lock<'s>(
    server: &'s Arc<Server>,
    needs: &BTreeMap<u32, Need<'_>>,
    turn: &Turn,
) -> Result<BTreeMap<u32, Locked<'s>>, StoreError> {
    let wall = stamp_of_ms(turn.wall_ms);
    let mut locks = BTreeMap::new();
    for (number, need) in needs {
        let database = database(server, *number)?;
        let locked = if need.whole {
            let mut locked = database.lock_all(wall);
            if need.flushed {
                locked.load_contributors()?;
            }
            for key in &need.keys {
                locked.load(key)?;
            }
            locked
        } else {
            database.lock_keys(need.keys.iter().copied(), wall)?
        };
        locks.insert(*number, locked);
    }
    Ok(locks)
}

type Written = Vec<(u32, EffectWriter)>;

/// Encoded replies by the number of their step.
type Answers = BTreeMap<usize, Vec<u8>>;

/// Answers what asks about the server, before anything is locked.
fn answer_aside(
    server: &Arc<Server>,
    session: &mut Session,
    steps: &[Step<'_>],
    protocol: Protocol,
    turn: &mut Turn,
) -> Result<Answers, StoreError> {
    let mut answers = Answers::new();
    for (at, step) in steps.iter().enumerate() {
        if !asks_server(step.spec.id) {
            continue;
        }
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, protocol);
        let (id, args) = (step.spec.id, step.args.as_slice());
        match id {
            CommandId::Role => {
                super::replication::run(server, id, args, &mut reply, turn);
            }
            CommandId::LastSave => {
                super::saving::run(server, id, args, &mut reply);
            }
            _ => {
                super::admin::run(server, session, id, args, &mut reply, turn)?;
            }
        }
        answers.insert(at, bytes);
    }
    Ok(answers)
}

fn run_steps(
    server: &Arc<Server>,
    session: &mut Session,
    locks: &BTreeMap<u32, Locked<'_>>,
    steps: &[Step<'_>],
    answers: &mut Answers,
    reply: &mut Reply<'_>,
    turn: &mut Turn,
) -> Result<Written, StoreError> {
    let mut drafts: BTreeMap<u32, Draft<'_>> = locks
        .iter()
        .map(|(number, l)| (*number, Draft::new(l, l.origins_ref(), l.own(), l.now())))
        .collect();
    for (at, step) in steps.iter().enumerate() {
        if let Some(answer) = answers.remove(&at) {
            reply.raw(&answer);
            continue;
        }
        if step.spec.id == CommandId::Select {
            super::connection::run(server, session, step.spec.id, &step.args, reply);
            continue;
        }
        let random = &mut turn.random;
        let mut draw = || random.next();
        let wall_ms = turn.wall_ms;
        match step.spec.id {
            CommandId::FlushDb | CommandId::FlushAll => {
                for (number, draft) in &mut drafts {
                    let whole = step.spec.id == CommandId::FlushAll || *number == step.database;
                    if whole && let Some(locked) = locks.get(number) {
                        draft.flush(locked.contributors());
                    }
                }
                reply.ok();
            }
            CommandId::Copy if copies_across(step) => {
                copy_step(&mut drafts, step, reply);
            }
            id if is_data_command(id) => {
                let Some(draft) = drafts.get_mut(&step.database) else {
                    reply.error("ERR database is not open");
                    continue;
                };
                let now = draft.now();
                let mut env = Env {
                    now,
                    wall_ms,
                    random: &mut draw,
                };
                execute(step.spec, &step.args, draft, &mut env, reply);
            }
            CommandId::Ping | CommandId::Echo | CommandId::Client => {
                super::connection::run(server, session, step.spec.id, &step.args, reply);
            }
            id if asks_all_keys(id) => {
                let found = drafts.get(&step.database).zip(locks.get(&step.database));
                if let Some((draft, locked)) = found {
                    Overlay { locked, draft }.answer(id, &step.args, draw(), reply)?;
                } else {
                    reply.error("ERR database is not open");
                }
            }
            _ => reply.error("ERR Command not allowed inside a transaction"),
        }
    }
    Ok(drafts
        .into_iter()
        .map(|(number, draft)| {
            let mut effects = EffectWriter::default();
            draft.finish(0, &mut effects);
            (number, effects)
        })
        .collect())
}

fn copies_across(step: &Step<'_>) -> bool {
    CopyRequest::parse(&step.args)
        .and_then(|request| request.database)
        .is_some_and(|target| i64::from(target) != i64::from(step.database))
}

fn copy_step(drafts: &mut BTreeMap<u32, Draft<'_>>, step: &Step<'_>, reply: &mut Reply<'_>) {
    let request = CopyRequest::parse(&step.args);
    let target = request
        .and_then(|r| r.database)
        .and_then(|n| u32::try_from(n).ok());
    let Some((request, target)) = request.zip(target) else {
        reply.error("ERR value is out of range");
        return;
    };
    let Some(mut into) = drafts.remove(&target) else {
        reply.error("ERR value is out of range");
        return;
    };
    if let Some(source) = drafts.get(&step.database) {
        copy_across(&request, source, &mut into, reply);
    }
    drafts.insert(target, into);
}
