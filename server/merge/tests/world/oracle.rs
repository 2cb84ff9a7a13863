//! What everybody must see, by set formulas over the records that somebody kept and what their
//! writers really held. Slow, and shares no code with the merge.

use std::collections::BTreeMap;
use tandem_merge::site::{Held, Record, Shown};
use tandem_merge::{CellId, Effect, EffectReader, Kind, NEVER, Number, Origin};

/// A cell's name: key, then what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) key: Vec<u8>,
    pub(crate) part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Type(Kind),
    Ttl,
    Element(Kind, Vec<u8>),
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Flush,
    Clear(Vec<u8>),
    Expire(Vec<u8>, u64),
    Others(Vec<u8>, Kind),
    Put(Cell, Vec<u8>),
    Remove(Cell),
    /// Start of the run, and what this record alone added.
    Add(Cell, u64, f64),
}

/// A record, and what its writer held when it wrote.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) origin: Origin,
    pub(crate) sequence: u64,
    pub(crate) stamp: u64,
    pub(crate) acts: Vec<Act>,
    pub(crate) held: Held,
}

pub(crate) fn covers(held: &Held, origin: &Origin, sequence: u64) -> bool {
    held.get(origin).is_some_and(|row| {
        sequence <= row.high
            && !row
                .holes
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&sequence))
    })
}

/// Whether `b` holds all that `a` holds.
pub(crate) fn within(a: &Held, b: &Held) -> bool {
    a.iter().all(|(origin, row)| {
        b.get(origin) == Some(row)
            || (1..=row.high).all(|n| !covers(a, origin, n) || covers(b, origin, n))
    })
}

fn float(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Float(value) => value,
    }
}

/// Sums of all runs so far: an addition ships the whole sum of its run, so what a record added alone
/// is the difference to the record before.
pub(crate) type Runs = BTreeMap<(Origin, Cell), (u64, f64)>;

/// A record as the oracle knows it.
pub(crate) fn entry(record: &Record, held: Held, runs: &mut Runs) -> Entry {
    let mut acts = Vec::new();
    let mut reader = EffectReader::new(&record.effects);
    while let Some(effect) = reader.next_effect().expect("effects decode") {
        let cell = |key: &[u8], cell: CellId<'_>| Cell {
            key: key.to_vec(),
            part: match cell {
                CellId::Type(kind) => Part::Type(kind),
                CellId::Ttl => Part::Ttl,
                CellId::Element(kind, element) => Part::Element(kind, element.to_vec()),
            },
        };
        match effect {
            Effect::Flush { .. } => acts.push(Act::Flush),
            Effect::Clear { key, .. } => acts.push(Act::Clear(key.to_vec())),
            Effect::Expire { key, end, .. } => acts.push(Act::Expire(key.to_vec(), end)),
            Effect::Others { key, kind, .. } => acts.push(Act::Others(key.to_vec(), kind)),
            Effect::Put {
                key,
                cell: id,
                value,
                ..
            } => {
                acts.push(Act::Put(cell(key, id), value.to_vec()));
            }
            Effect::Remove { key, cell: id, .. } => acts.push(Act::Remove(cell(key, id))),
            Effect::Add {
                key,
                kind,
                element,
                start,
                sum,
            } => {
                let cell = cell(key, CellId::Element(kind, element));
                let start = if start == 0 { record.sequence } else { start };
                let run = runs
                    .entry((record.origin, cell.clone()))
                    .or_insert((start, 0.0));
                let before = if run.0 == start { run.1 } else { 0.0 };
                *run = (start, float(sum));
                acts.push(Act::Add(cell, start, float(sum) - before));
            }
            Effect::SetString {
                key,
                value,
                deadline,
                ..
            } => {
                acts.push(Act::Clear(key.to_vec()));
                acts.push(Act::Put(cell(key, CellId::Type(Kind::String)), Vec::new()));
                let value = value.to_vec();
                acts.push(Act::Put(
                    cell(key, CellId::Element(Kind::String, &[])),
                    value,
                ));
                let deadline = deadline.to_le_bytes().to_vec();
                acts.push(Act::Put(cell(key, CellId::Ttl), deadline));
            }
        }
    }
    Entry {
        origin: record.origin,
        sequence: record.sequence,
        stamp: record.stamp,
        acts,
        held,
    }
}

/// Whether this removes what it had seen of the cell.
fn hits(act: &Act, cell: &Cell) -> bool {
    match act {
        Act::Flush => true,
        Act::Clear(key) | Act::Expire(key, _) => *key == cell.key,
        Act::Others(key, kind) => {
            *key == cell.key
                && match &cell.part {
                    Part::Ttl => false,
                    Part::Type(other) | Part::Element(other, _) => other != kind,
                }
        }
        Act::Put(other, _) | Act::Remove(other) => other == cell,
        Act::Add(..) => false,
    }
}

/// Whether it does so for content of this stamp: expiry takes only what was written up to the end.
fn takes(act: &Act, cell: &Cell, stamp: u64) -> bool {
    hits(act, cell)
        && match act {
            Act::Expire(_, end) => cell.part == Part::Ttl || stamp <= *end,
            _ => true,
        }
}

fn removed(history: &[Entry], of: &Entry, cell: &Cell) -> bool {
    history.iter().any(|one| {
        one.acts.iter().any(|act| takes(act, cell, of.stamp))
            && covers(&one.held, &of.origin, of.sequence)
    })
}

/// One addition: start of its run, stamp, what it added, sequence.
type Addition = (u64, u64, f64, u64);

/// Up to which sequence the additions of one run are gone.
fn cut(history: &[Entry], origin: &Origin, cell: &Cell, run: &[Addition]) -> u64 {
    let mut top = 0;
    for one in history
        .iter()
        .filter(|one| one.acts.iter().any(|act| hits(act, cell)))
    {
        let seen = run
            .iter()
            .filter(|(_, _, _, n)| covers(&one.held, origin, *n));
        let Some(last) = seen.max_by_key(|(_, _, _, n)| *n) else {
            continue;
        };
        if one.acts.iter().any(|act| takes(act, cell, last.1)) {
            top = top.max(last.3);
        }
    }
    top
}

fn print(value: f64) -> Vec<u8> {
    format!("{value}").into_bytes()
}

fn parse(kind: Kind, value: &[u8]) -> Option<f64> {
    if kind == Kind::Zset {
        return Some(f64::from_le_bytes(value.try_into().unwrap()));
    }
    std::str::from_utf8(value).unwrap().parse().ok()
}

type Writes = BTreeMap<Cell, Vec<(u64, u32, u64, Vec<u8>)>>;
type Additions = BTreeMap<Cell, BTreeMap<Origin, Vec<Addition>>>;

fn live(history: &[Entry]) -> (Writes, Additions) {
    let (mut writes, mut additions) = (Writes::new(), Additions::new());
    for one in history {
        for act in &one.acts {
            match act {
                Act::Put(cell, value) if !removed(history, one, cell) => {
                    let o = one.origin;
                    let write = (one.stamp, o.server_id, o.incarnation, value.clone());
                    writes.entry(cell.clone()).or_default().push(write);
                }
                Act::Add(cell, start, delta) => {
                    let runs = additions.entry(cell.clone()).or_default();
                    let addition = (*start, one.stamp, *delta, one.sequence);
                    runs.entry(one.origin).or_default().push(addition);
                }
                _ => {}
            }
        }
    }
    for list in writes.values_mut() {
        list.sort();
    }
    (writes, additions)
}

/// What is left of the additions to a cell: their sum, and whether any shows.
fn left(
    history: &[Entry],
    cell: &Cell,
    all: &BTreeMap<Origin, Vec<Addition>>,
    dead: u64,
) -> Option<f64> {
    let mut total = None;
    for (origin, all) in all {
        // A later run of an origin replaces its earlier ones.
        let start = all.iter().map(|one| one.0).max().unwrap_or_default();
        let run: Vec<Addition> = all.iter().filter(|one| one.0 == start).copied().collect();
        let gone = cut(history, origin, cell, &run);
        let left: Vec<&Addition> = run.iter().filter(|one| one.3 > gone).collect();
        if left.iter().any(|one| one.1 > dead) {
            let sum: f64 = left.iter().map(|one| one.2).sum();
            total = Some(total.unwrap_or(0.0) + sum);
        }
    }
    total
}

/// What everybody must see at this time.
pub(crate) fn visible(history: &[Entry], now: u64) -> BTreeMap<Vec<u8>, Shown> {
    let (writes, additions) = live(history);
    let mut cells: Vec<&Cell> = writes.keys().chain(additions.keys()).collect();
    cells.sort();
    cells.dedup();
    let mut keys: Vec<&Vec<u8>> = cells.iter().map(|cell| &cell.key).collect();
    keys.dedup();
    let mut out = BTreeMap::new();
    for key in keys {
        let ttl = Cell {
            key: key.clone(),
            part: Part::Ttl,
        };
        let ends = writes.get(&ttl).into_iter().flatten();
        let end = ends.map(|write| u64::from_le_bytes(write.3[..].try_into().unwrap()));
        let end = end.max().unwrap_or_default();
        let dead = if end < now { end } else { 0 };
        let mut born = BTreeMap::new();
        let mut kinds: BTreeMap<Kind, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
        for cell in cells.iter().filter(|cell| cell.key == *key) {
            let mut all = writes.get(*cell).into_iter().flatten();
            let newest = all.rfind(|write| write.0 > dead);
            let (kind, name) = match &cell.part {
                Part::Ttl => continue,
                Part::Type(kind) => {
                    born.extend(newest.map(|write| (*kind, (write.0, write.1, write.2))));
                    continue;
                }
                Part::Element(kind, name) => (*kind, name),
            };
            let added = additions
                .get(*cell)
                .and_then(|all| left(history, cell, all, dead));
            let base = newest.map(|write| write.3.clone());
            let number = base.as_ref().map_or(Some(0.0), |base| parse(kind, base));
            let value = match (base, added, number) {
                (None, None, _) => continue,
                (_, Some(added), Some(base)) if kind == Kind::Zset => {
                    (base + added).to_le_bytes().to_vec()
                }
                (_, Some(added), Some(base)) => print(base + added),
                (base, _, _) => base.unwrap_or_default(),
            };
            kinds.entry(kind).or_default().insert(name.clone(), value);
        }
        let order = |kind: &Kind| {
            let at = Kind::ALL.iter().position(|one| one == kind).unwrap();
            (
                born.get(kind).copied().unwrap_or_default(),
                std::cmp::Reverse(at),
            )
        };
        let Some(kind) = kinds.keys().copied().max_by_key(order) else {
            continue;
        };
        let elements = kinds.remove(&kind).unwrap();
        let deadline = (end >= now && end < NEVER).then_some(end);
        out.insert(
            key.clone(),
            Shown {
                kind,
                elements,
                deadline,
            },
        );
    }
    out
}
