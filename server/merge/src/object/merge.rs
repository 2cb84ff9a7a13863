//! Merging two states of one key (DESIGN.md section 2, rule 6): a dot on both sides stays; a dot on
//! one side stays when the other's version vector does not cover it. Needs no history.

use super::cell::Cell;
use super::general::General;
use super::table::{Element, Table};
use super::{Object, Repr};
use crate::origin::Dot;
use crate::vv::VersionVector;

/// Rule 6 for one key; both sides speak of the same origin table. `None`: nothing is left.
pub fn merge_objects(
    mine: Option<Object>,
    my_vv: &VersionVector,
    theirs: Option<Object>,
    their_vv: &VersionVector,
) -> Option<Object> {
    if let (Some(Object(Repr::Packed(a))), Some(Object(Repr::Packed(b)))) = (&mine, &theirs)
        && a.len() == b.len()
        && a[0] == b[0]
        && a[2..] == b[2..]
    {
        return mine;
    }
    let key: Box<[u8]> = mine.as_ref().or(theirs.as_ref())?.key().into();
    let general =
        |object: Option<Object>| object.map_or_else(|| General::new(&key, 0), Object::into_general);
    let merged = merge_general(general(mine), my_vv, general(theirs), their_vv);
    let object = Object::from_general(merged);
    (!object.is_void()).then_some(object)
}

fn merge_general(
    mut mine: General,
    my_vv: &VersionVector,
    theirs: General,
    their_vv: &VersionVector,
) -> General {
    let General {
        key: _,
        types,
        ttl,
        string,
        tables,
        marks: _,
    } = theirs;
    join(&mut mine.types, my_vv, &types, their_vv, |one| {
        (one.kind as u8, one.dot)
    });
    join(&mut mine.ttl, my_vv, &ttl, their_vv, |one| (0, one.dot));
    if mine.string.is_some() || string.is_some() {
        let cell = mine.string.get_or_insert_default();
        merge_cell(
            cell,
            my_vv,
            &string.map_or_else(Cell::default, |cell| *cell),
            their_vv,
        );
    }
    let mut theirs = tables;
    for table in &mut mine.tables {
        let other = theirs.iter().position(|one| one.kind == table.kind);
        let other = other.map_or_else(|| Table::new(table.kind), |at| theirs.remove(at));
        merge_table(table, my_vv, other, their_vv);
    }
    for other in theirs {
        merge_table(mine.table_mut(other.kind), my_vv, other, their_vv);
    }
    mine.tidy();
    mine
}

/// Joins two lists of things with dots. The name tells apart what can share a dot.
fn join<T: Clone, const N: usize>(
    mine: &mut smallvec::SmallVec<[T; N]>,
    my_vv: &VersionVector,
    theirs: &[T],
    their_vv: &VersionVector,
    name: impl Fn(&T) -> (u8, Dot),
) where
    [T; N]: smallvec::Array<Item = T>,
{
    let old: smallvec::SmallVec<[(u8, Dot); 4]> = mine.iter().map(&name).collect();
    mine.retain(|one| {
        !their_vv.covers(name(one).1) || theirs.iter().any(|other| name(other) == name(one))
    });
    for other in theirs {
        if !old.contains(&name(other)) && !my_vv.covers(name(other).1) {
            mine.push(other.clone());
        }
    }
}

fn merge_cell(mine: &mut Cell, my_vv: &VersionVector, theirs: &Cell, their_vv: &VersionVector) {
    join(&mut mine.dots, my_vv, &theirs.dots, their_vv, |one| {
        (0, one.dot)
    });
    let old = std::mem::take(&mut mine.counts);
    for (origin, entry) in &old {
        let other = theirs.counts.iter().find(|(whose, _)| whose == origin);
        let dot = Dot {
            origin: *origin,
            sequence: entry.sequence,
        };
        match other {
            Some((_, other)) => mine.counts.push((*origin, entry.join(other))),
            None if !their_vv.covers(dot) => mine.counts.push((*origin, *entry)),
            None => {}
        }
    }
    for (origin, entry) in &theirs.counts {
        let dot = Dot {
            origin: *origin,
            sequence: entry.sequence,
        };
        if !old.iter().any(|(whose, _)| whose == origin) && !my_vv.covers(dot) {
            mine.counts.push((*origin, *entry));
        }
    }
}

fn merge_table(mine: &mut Table, my_vv: &VersionVector, theirs: Table, their_vv: &VersionVector) {
    let kind = mine.kind;
    let mut left = std::mem::replace(mine, Table::new(kind));
    for other in theirs.into_elements() {
        let own = left.take(other.name());
        let name: Box<[u8]> = other.name().into();
        let mut cell = own.map_or_else(Cell::default, Element::into_cell);
        merge_cell(&mut cell, my_vv, &other.into_cell(), their_vv);
        mine.insert(Element::from_cell(&name, cell));
    }
    for own in left.into_elements() {
        if let Some((dot, _, _)) = own.view().one
            && !their_vv.covers(dot)
        {
            mine.insert(own);
            continue;
        }
        let name: Box<[u8]> = own.name().into();
        let mut cell = own.into_cell();
        merge_cell(&mut cell, my_vv, &Cell::default(), their_vv);
        mine.insert(Element::from_cell(&name, cell));
    }
}
