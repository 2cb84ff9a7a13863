//! Two rules that random worlds hardly ever need, each with the story that needs it.

use std::collections::BTreeMap;
use tandem_merge::rules::{Rule, without};
use tandem_merge::site::Site;
use tandem_merge::{Draft, Kind, Number, Object, Origin};

struct Trio {
    sites: Vec<Site>,
    drawn: u64,
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

impl Trio {
    fn new() -> Self {
        let sites = (1..=3).map(|id| Site::new(id, &[1, 2, 3], 30)).collect();
        Self { sites, drawn: 0 }
    }

    fn write(&mut self, at: usize, wall: u64, command: impl Fn(&mut Draft<'_>)) {
        let drawn = &mut self.drawn;
        let mut draw = || {
            *drawn += 1;
            *drawn
        };
        let mut run = |draft: &mut Draft<'_>, _: &BTreeMap<Vec<u8>, Object>| command(draft);
        let written = self.sites[at].write(wall, &mut draw, Some(&mut run), false, &[]);
        assert!(written.is_some());
    }

    fn send(&mut self, from: usize, to: usize) {
        let records = self.sites[from].serve(&self.sites[to].data.held()).unwrap();
        for record in records {
            self.sites[to].apply(&record).unwrap();
        }
    }

    fn take(&mut self, from: usize, to: usize) -> bool {
        let source = self.sites[from].clone();
        if !self.sites[to].may_take(&source) {
            return false;
        }
        let side = self.sites[to].side_tree(&source);
        self.sites[to].switch(side).unwrap();
        true
    }

    /// Everybody meets everybody twice; whether all see the same then, without holes.
    fn meet(&mut self) -> bool {
        for _ in 0..2 {
            for (x, y) in [(A, B), (A, C), (B, A), (B, C), (C, A), (C, B)] {
                let served = self.sites[x].serve(&self.sites[y].data.held());
                let holed = self.sites[y].data.history.vv.has_holes();
                if (served.is_none() || holed) && self.take(x, y) {
                    continue;
                }
                if served.is_some() {
                    self.send(x, y);
                }
            }
        }
        let seen = |at: usize| self.sites[at].visible(100);
        let whole = self
            .sites
            .iter()
            .all(|site| !site.data.history.vv.has_holes());
        whole && seen(A) == seen(B) && seen(B) == seen(C)
    }
}

/// B has a hole where C removed something; A takes B's state and so never hears of the removal.
fn source_with_a_hole() -> bool {
    let mut trio = Trio::new();
    trio.write(A, 1, |draft| {
        draft.put(b"s", Kind::Set, b"e", b"");
    });
    trio.send(A, C);
    let source = trio.sites[A].clone();
    trio.sites[B].start_from_now(&source);
    trio.write(C, 2, |draft| {
        draft.remove(b"s", Kind::Set, b"e");
    });
    trio.send(C, B);
    trio.take(B, A);
    trio.meet()
}

/// A's first life loses its last INCR, which B holds; its second life closes it; C drops the
/// contribution that C's DEL took in full.
fn closed_life() -> bool {
    let mut trio = Trio::new();
    let add = |delta| {
        move |draft: &mut Draft<'_>| {
            draft
                .add(b"k", Kind::String, b"", Number::Int(delta))
                .unwrap();
        }
    };
    trio.write(A, 1, add(10));
    trio.sites[A].sync();
    trio.send(A, B);
    trio.send(A, C);
    trio.write(A, 2, add(1));
    trio.send(A, B);
    let first: Origin = trio.sites[A].life().unwrap();
    trio.write(C, 3, |draft| {
        draft.delete(b"k");
    });
    trio.sites[A].crash();
    trio.sites[A].write(4, &mut || 77, None, true, &[first]);
    trio.send(A, C);
    trio.sites[C].drop_dead();
    trio.send(B, C);
    trio.meet()
}

#[test]
fn a_source_with_a_hole_is_never_taken() {
    assert!(source_with_a_hole());
    let _out = without(Rule::HoleSource);
    assert!(!source_with_a_hole());
}

#[test]
fn a_closed_life_is_over_only_when_all_members_have_settled_past_it() {
    assert!(closed_life());
    let _out = without(Rule::ClosedLives);
    assert!(!closed_life());
}
