//! Elements of one type of one key: a hash table whose usual entry is one allocation of header,
//! name and value. Siblings and counters are boxed.
//!
//! ```text
//! flags u8 | origin u32 | sequence u64 | stamp u64 | name length u8 or u32 | name | value
//! ```

use super::cell::{Cell, CellView, Sibling};
use super::counter::Entry;
use crate::context::Context;
use crate::effect::{Kind, Mark};
use crate::origin::{Dot, OriginIndex};
use crate::stamp::{NEVER, Stamp};
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

const LONG_NAME: u8 = 1;
const NAME_AT: usize = 21;

/// One element: name and cell.
#[derive(Debug, Clone)]
pub(crate) struct Element(Repr);

#[derive(Debug, Clone)]
enum Repr {
    Plain(Box<[u8]>),
    Full(Box<Full>),
}

#[derive(Debug, Clone)]
struct Full {
    name: Box<[u8]>,
    cell: Cell,
}

const _: () = assert!(size_of::<Element>() == 16, "an element is two words");

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn pack(name: &[u8], dot: Dot, stamp: Stamp, value: &[u8]) -> Box<[u8]> {
    let long = name.len() > usize::from(u8::MAX);
    let head = if long { NAME_AT + 4 } else { NAME_AT + 1 };
    let mut out = Vec::with_capacity(head + name.len() + value.len());
    out.push(if long { LONG_NAME } else { 0 });
    out.extend_from_slice(&dot.origin.0.to_le_bytes());
    out.extend_from_slice(&dot.sequence.to_le_bytes());
    out.extend_from_slice(&stamp.to_le_bytes());
    if long {
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    } else {
        out.push(name.len() as u8);
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.into_boxed_slice()
}

/// Where the name lies; the value follows it.
fn name_range(bytes: &[u8]) -> (usize, usize) {
    let (start, length) = if bytes[0] & LONG_NAME == 0 {
        (NAME_AT + 1, usize::from(bytes[NAME_AT]))
    } else {
        (NAME_AT + 4, u32_at(bytes, NAME_AT) as usize)
    };
    (start, start + length)
}

fn dot_of(bytes: &[u8]) -> (Dot, Stamp) {
    let origin = OriginIndex(u32_at(bytes, 1));
    (
        Dot {
            origin,
            sequence: u64_at(bytes, 5),
        },
        u64_at(bytes, 13),
    )
}

impl Element {
    fn new(name: &[u8]) -> Self {
        Self(Repr::Full(Box::new(Full {
            name: name.into(),
            cell: Cell::default(),
        })))
    }

    pub(crate) fn from_cell(name: &[u8], cell: Cell) -> Self {
        let mut element = Self(Repr::Full(Box::new(Full {
            name: name.into(),
            cell,
        })));
        element.simplify();
        element
    }

    pub(crate) fn name(&self) -> &[u8] {
        match &self.0 {
            Repr::Plain(bytes) => {
                let (start, end) = name_range(bytes);
                &bytes[start..end]
            }
            Repr::Full(full) => &full.name,
        }
    }

    pub(crate) fn view(&self) -> CellView<'_> {
        match &self.0 {
            Repr::Plain(bytes) => {
                let (dot, stamp) = dot_of(bytes);
                let (_, end) = name_range(bytes);
                CellView {
                    one: Some((dot, stamp, &bytes[end..])),
                    ..CellView::default()
                }
            }
            Repr::Full(full) => full.cell.view(),
        }
    }

    pub(crate) fn is_void(&self) -> bool {
        matches!(&self.0, Repr::Full(full) if full.cell.is_void())
    }

    pub(crate) fn into_cell(self) -> Cell {
        match self.0 {
            Repr::Plain(bytes) => {
                let (dot, stamp) = dot_of(&bytes);
                let value = bytes[name_range(&bytes).1..].into();
                let mut cell = Cell::default();
                cell.dots.push(Sibling { dot, stamp, value });
                cell
            }
            Repr::Full(full) => full.cell,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Plain(bytes) => bytes.len(),
            Repr::Full(full) => size_of::<Full>() + full.name.len() + full.cell.heap_bytes(),
        }
    }

    /// Back to one allocation when nothing needs more.
    fn simplify(&mut self) {
        if let Repr::Full(full) = &self.0
            && full.cell.counts.is_empty()
            && let [one] = &full.cell.dots[..]
        {
            self.0 = Repr::Plain(pack(&full.name, one.dot, one.stamp, &one.value));
        }
    }

    fn full(&mut self) -> &mut Cell {
        if let Repr::Plain(bytes) = &mut self.0 {
            let taken = std::mem::take(bytes);
            let (start, end) = name_range(&taken);
            let name = taken[start..end].into();
            let cell = Self(Repr::Plain(taken)).into_cell();
            self.0 = Repr::Full(Box::new(Full { name, cell }));
        }
        match &mut self.0 {
            Repr::Full(full) => &mut full.cell,
            Repr::Plain(_) => unreachable!("made full above"),
        }
    }

    fn put(&mut self, context: Context<'_>, dot: Dot, stamp: Stamp, value: &[u8]) {
        if let Repr::Plain(bytes) = &mut self.0 {
            let old = dot_of(bytes).0;
            if old == dot || context.covers(old) {
                let (start, end) = name_range(bytes);
                if bytes.len() - end == value.len() {
                    bytes[1..5].copy_from_slice(&dot.origin.0.to_le_bytes());
                    bytes[5..13].copy_from_slice(&dot.sequence.to_le_bytes());
                    bytes[13..21].copy_from_slice(&stamp.to_le_bytes());
                    bytes[end..].copy_from_slice(value);
                } else {
                    *bytes = pack(&bytes[start..end], dot, stamp, value);
                }
                return;
            }
        }
        self.full().put(context, dot, stamp, value);
        self.simplify();
    }

    fn remove(&mut self, context: Context<'_>, upto: Stamp) {
        if let Repr::Plain(bytes) = &self.0 {
            let (dot, stamp) = dot_of(bytes);
            if !context.covers(dot) || stamp > upto {
                return;
            }
        }
        self.full().remove(context, upto);
        self.simplify();
    }
}

/// The elements of one type of one key.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) kind: Kind,
    elements: HashTable<Element>,
    /// Bytes of all elements on the heap.
    bytes: usize,
    /// Elements that nobody sees although nothing has expired: only dead contributions are left.
    unseen: usize,
    /// Elements with contributions.
    counted: usize,
}

fn hash(name: &[u8]) -> u64 {
    const KEYS: (u64, u64) = (0x7461_6e64_656d_2d65, 0x6c65_6d65_6e74_732e);
    SipHasher13::new_with_keys(KEYS.0, KEYS.1).hash(name)
}

fn rehash(element: &Element) -> u64 {
    hash(element.name())
}

impl Table {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            elements: HashTable::new(),
            bytes: 0,
            unseen: 0,
            counted: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(crate) fn has_entries(&self) -> bool {
        self.counted > 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes + self.elements.allocation_size()
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<&Element> {
        self.elements
            .find(hash(name), |element| element.name() == name)
    }

    /// How many a reader sees who sees only what is stamped after `hide`.
    pub(crate) fn visible_count(&self, hide: Stamp) -> usize {
        if hide == 0 {
            return self.elements.len() - self.unseen;
        }
        self.iter()
            .filter(|element| element.view().is_visible(hide))
            .count()
    }

    pub(crate) fn is_visible(&self, hide: Stamp) -> bool {
        if hide == 0 {
            return self.elements.len() > self.unseen;
        }
        self.iter().any(|element| element.view().is_visible(hide))
    }

    fn count_in(&mut self, element: &Element) {
        let (bytes, unseen, counted) = tally(element);
        self.bytes += bytes;
        self.unseen += unseen;
        self.counted += counted;
    }

    fn count_out(&mut self, (bytes, unseen, counted): (usize, usize, usize)) {
        self.bytes -= bytes;
        self.unseen -= unseen;
        self.counted -= counted;
    }

    /// Changes one element, and forgets it when it holds nothing then. False when it is absent.
    fn change(&mut self, name: &[u8], hash: u64, change: impl FnOnce(&mut Element)) -> bool {
        let Some(element) = self.elements.find_mut(hash, |one| one.name() == name) else {
            return false;
        };
        let before = tally(element);
        change(element);
        let (after, void) = (tally(element), element.is_void());
        self.count_out(before);
        if void {
            if let Ok(entry) = self.elements.find_entry(hash, |one| one.name() == name) {
                let _gone = entry.remove();
            }
            self.relax();
        } else {
            self.bytes += after.0;
            self.unseen += after.1;
            self.counted += after.2;
        }
        true
    }

    /// Gives memory back after many removals.
    fn relax(&mut self) {
        if self.elements.capacity() > 16 && self.elements.len() * 4 < self.elements.capacity() {
            self.elements.shrink_to(self.elements.len() * 2, rehash);
        }
    }

    /// Adds an element that is not there yet.
    pub(crate) fn insert(&mut self, element: Element) {
        if !element.is_void() {
            self.insert_hashed(rehash(&element), element);
        }
    }

    fn insert_hashed(&mut self, hash: u64, element: Element) {
        self.count_in(&element);
        self.elements.insert_unique(hash, element, rehash);
    }

    pub(crate) fn put(
        &mut self,
        name: &[u8],
        context: Context<'_>,
        dot: Dot,
        stamp: Stamp,
        value: &[u8],
    ) {
        let hash = hash(name);
        if !self.change(name, hash, |element| {
            element.put(context, dot, stamp, value);
        }) {
            self.insert_hashed(hash, Element(Repr::Plain(pack(name, dot, stamp, value))));
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8], context: Context<'_>) {
        self.change(name, hash(name), |element| element.remove(context, NEVER));
    }

    pub(crate) fn add(&mut self, name: &[u8], origin: OriginIndex, entry: Entry) {
        let hash = hash(name);
        if !self.change(name, hash, |element| element.full().add(origin, entry)) {
            let mut element = Element::new(name);
            element.full().add(origin, entry);
            self.insert_hashed(hash, element);
        }
    }

    pub(crate) fn mark(&mut self, name: &[u8], origin: OriginIndex, mark: &Mark, remover: Dot) {
        self.change(name, hash(name), |element| {
            if let Repr::Full(full) = &mut element.0 {
                full.cell.mark(origin, mark, remover);
            }
        });
    }

    pub(crate) fn mark_naively(
        &mut self,
        name: &[u8],
        origin: OriginIndex,
        mark: &Mark,
        context: Context<'_>,
    ) {
        self.change(name, hash(name), |element| {
            if let Repr::Full(full) = &mut element.0 {
                full.cell.mark_naively(origin, mark, context);
                element.simplify();
            }
        });
    }

    /// Takes away what the context covers and is stamped up to `upto`, everywhere.
    pub(crate) fn remove_all(&mut self, context: Context<'_>, upto: Stamp) {
        if matches!(context, Context::Everything) && upto == NEVER && self.counted == 0 {
            *self = Self::new(self.kind);
            return;
        }
        self.retain(|element| element.remove(context, upto));
    }

    /// Changes contributions everywhere.
    pub(crate) fn retain_entries(&mut self, keep: &mut dyn FnMut(OriginIndex, &Entry) -> bool) {
        if self.counted == 0 {
            return;
        }
        self.retain(|element| {
            if let Repr::Full(full) = &mut element.0 {
                full.cell
                    .counts
                    .retain(|(origin, entry)| keep(*origin, entry));
                element.simplify();
            }
        });
    }

    fn retain(&mut self, mut change: impl FnMut(&mut Element)) {
        let (mut bytes, mut unseen, mut counted) = (0, 0, 0);
        self.elements.retain(|element| {
            change(element);
            if element.is_void() {
                return false;
            }
            let after = tally(element);
            bytes += after.0;
            unseen += after.1;
            counted += after.2;
            true
        });
        (self.bytes, self.unseen, self.counted) = (bytes, unseen, counted);
        self.relax();
    }

    /// Takes the element out.
    pub(crate) fn take(&mut self, name: &[u8]) -> Option<Element> {
        let entry = self
            .elements
            .find_entry(hash(name), |one| one.name() == name)
            .ok()?;
        let (element, _) = entry.remove();
        self.count_out(tally(&element));
        Some(element)
    }

    pub(crate) fn into_elements(self) -> impl Iterator<Item = Element> {
        self.elements.into_iter()
    }
}

fn tally(element: &Element) -> (usize, usize, usize) {
    match &element.0 {
        Repr::Plain(bytes) => (bytes.len(), 0, 0),
        Repr::Full(full) => (
            element.heap_bytes(),
            usize::from(!full.cell.is_visible(0)),
            usize::from(!full.cell.counts.is_empty()),
        ),
    }
}
