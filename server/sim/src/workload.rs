//! What clients do: contended keys at random, and elements of the life's own set for the ledger.

use crate::failure::Failure;
use crate::instance::Instance;
use crate::ledger::{Ledger, key_of};
use crate::random::Random;
use std::sync::Arc;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, EffectWriter, Kind, NEVER, Number, Stamp};
use tandem_store::{Database, Receipt, StoreError};

const KEYS: usize = 6;

fn name(number: usize) -> Vec<u8> {
    format!("k{number}").into_bytes()
}

/// Runs one command as one record; `None` when it changed nothing or was refused for now.
fn command(
    database: &Arc<Database>,
    wall: Stamp,
    keys: &[Vec<u8>],
    change: impl FnOnce(&mut Draft<'_>),
) -> Result<Option<Receipt>, Failure> {
    let mut locked = database.lock_keys(keys.iter().map(Vec::as_slice), wall)?;
    let mut effects = EffectWriter::default();
    {
        let origins = locked.origins();
        let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
        change(&mut draft);
        draft.finish(0, &mut effects);
    }
    answered(locked.commit(&effects))
}

fn answered(result: Result<Option<Receipt>, StoreError>) -> Result<Option<Receipt>, Failure> {
    match result {
        Err(StoreError::Log(_) | StoreError::NotWriter) => Ok(None),
        other => Ok(other?),
    }
}

fn flush(database: &Arc<Database>, wall: Stamp) -> Result<Option<Receipt>, Failure> {
    let mut locked = database.lock_all(wall);
    locked.load_contributors()?;
    let mut effects = EffectWriter::default();
    {
        let origins = locked.origins();
        let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
        draft.flush(locked.contributors());
        draft.finish(0, &mut effects);
    }
    answered(locked.commit(&effects))
}

/// One command at a writer. Returns whether it became a record.
pub(crate) fn act(
    at: usize,
    instance: &Instance,
    ledger: &mut Ledger,
    flushes: bool,
    now_ms: u64,
    random: &mut Random,
) -> Result<bool, Failure> {
    let (Some(database), Some(life)) = (&instance.database, instance.own()) else {
        return Ok(false);
    };
    let wall = instance.wall(now_ms);
    if random.below(3) == 0 {
        let (key, number) = (key_of(life), ledger.next());
        let element = number.to_string();
        let receipt = command(database, wall, std::slice::from_ref(&key), |draft| {
            draft.put(&key, Kind::Set, element.as_bytes(), &[]);
        })?;
        if let Some(receipt) = receipt {
            ledger.tried(at, life, number, receipt.lsn);
        }
        return Ok(receipt.is_some());
    }
    let (key, other) = (name(random.below(KEYS)), name(random.below(KEYS)));
    let field = format!("f{}", random.below(4)).into_bytes();
    let number = random.below(1_000);
    let mut value = format!("{}-{number}-{}", life.server_id, ledger.next()).into_bytes();
    if random.below(20) == 0 {
        value.resize(random.pick(&[3_000, 40_000]), b'x');
    }
    let now = database.now(wall);
    let ttl = stamp_of_ms(1 + random.below(3_000) as u64);
    let kind = random.pick(&[Kind::Hash, Kind::Set]);
    let keys = [key.clone(), other.clone()];
    let content = if kind == Kind::Set { &[] } else { &value[..] };
    let receipt = match random.below(100) {
        0..20 => command(database, wall, &keys, |draft| {
            draft.set(&key, &value, NEVER);
        })?,
        20..28 => command(database, wall, &keys, |draft| {
            draft.set(&key, &value, now + ttl);
        })?,
        28..45 => command(database, wall, &keys, |draft| {
            let by = Number::Int(number as i64);
            let _refused = draft.add(&key, Kind::String, &[], by).is_err();
        })?,
        45..60 => command(database, wall, &keys, |draft| {
            draft.put(&key, kind, &field, content);
        })?,
        60..66 => command(database, wall, &keys, |draft| {
            let by = Number::Int(number as i64);
            let _refused = draft.add(&key, Kind::Hash, &field, by).is_err();
        })?,
        66..74 => command(database, wall, &keys, |draft| {
            draft.remove(&key, kind, &field);
        })?,
        74..84 => command(database, wall, &keys, |draft| {
            draft.delete(&key);
        })?,
        84..88 => command(database, wall, &keys, |draft| {
            draft.expire(&key, now + ttl);
        })?,
        88..90 => command(database, wall, &keys, |draft| {
            draft.persist(&key);
        })?,
        90..93 => command(database, wall, &keys, |draft| {
            draft.rename(&key, &other);
        })?,
        93..95 => command(database, wall, &keys, |draft| {
            draft.copy(&key, &other);
        })?,
        95 if flushes => flush(database, wall)?,
        _ => answered(database.append_mark(wall, false, &[]).map(Some))?,
    };
    Ok(receipt.is_some())
}
