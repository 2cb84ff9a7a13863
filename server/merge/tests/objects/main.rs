//! Objects: the packed form holds what the full form holds, bytes lead back to the state, and no
//! damaged bytes make anything panic.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

mod codec;
#[path = "../world/random.rs"]
mod random;
mod sample;

use random::Random;
use sample::{Owned, Table};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tandem_merge::rules::{Rule, without};
use tandem_merge::{
    CellId, Context, DecodeError, Dot, Effect, Kind, Marks, NEVER, Number, Object, Observed,
    Origins, VersionVector, merge_objects,
};

/// All that can be asked of an object.
fn everything(object: &Object, origins: &Origins) -> String {
    let mut out = format!(
        "void {} content {} deadline {} dead {} contributions {} holds {}",
        object.is_void(),
        object.has_content(),
        object.deadline(),
        object.has_dead(),
        object.has_contributions(),
        object.holds_content()
    );
    for now in [1, 20, 40, 60, 100, 200, 1000] {
        let kind = object.kind(now, origins);
        let string = object.string(now, origins);
        let end = object.visible_deadline(now);
        write!(out, "\n{now}: {kind:?} {string:?} {end:?}").unwrap();
        for kind in Kind::ALL {
            let elements: BTreeSet<_> = object.elements(kind, now, origins).collect();
            assert_eq!(elements.len(), object.element_count(kind, now, origins));
            for (name, value) in &elements {
                assert_eq!(
                    object.element(kind, name, now, origins).as_ref(),
                    Some(value)
                );
            }
            write!(out, " {kind:?} {elements:?}").unwrap();
        }
    }
    let dots: BTreeSet<String> = object.dots().map(|dot| format!("{dot:?}")).collect();
    let ttls: BTreeSet<Dot> = object.ttl_dots().collect();
    write!(out, "\n{dots:?} {ttls:?}").unwrap();
    out
}

fn encoded(object: &Object) -> Vec<u8> {
    let mut out = Vec::new();
    object.encode(&mut out);
    out
}

#[test]
fn packed_and_full_forms_hold_the_same_whatever_is_done_to_them() {
    for seed in 0..1500 {
        let mut random = Random::new(seed);
        let mut table = Table::new();
        let mut packed = Object::new(b"key");
        let mut full = {
            let _out = without(Rule::Packing);
            Object::new(b"key")
        };
        for step in 0..random.between(1, 25) {
            let owned = Owned::random(&mut random, &mut table, &packed);
            let (dot, stamp) = table.next(&mut random);
            let vector = table.vector(&mut random);
            let context = if random.chance(0.6) {
                Context::Everything
            } else {
                Context::Of {
                    vector: &vector,
                    origin: dot.origin,
                    before: dot.sequence,
                }
            };
            let times = if random.chance(0.2) { 2 } else { 1 };
            for _ in 0..times {
                owned.with(|effect| {
                    let origins = &table.origins;
                    packed.apply(effect, dot, stamp, context, origins).unwrap();
                    let _out = without(Rule::Packing);
                    full.apply(effect, dot, stamp, context, origins).unwrap();
                });
            }
            if random.chance(0.1) {
                let who = random.below(3) as u32;
                packed.drop_dead(&|origin, _| origin.0 == who);
                let _out = without(Rule::Packing);
                full.drop_dead(&|origin, _| origin.0 == who);
            }
            let (a, b) = (
                everything(&packed, &table.origins),
                everything(&full, &table.origins),
            );
            assert_eq!(
                a, b,
                "seed {seed} step {step} {owned:?}\n{packed:?}\n{full:?}"
            );
            let again = Object::decode(b"key", &encoded(&full), &Some).unwrap();
            assert_eq!(
                again.fingerprint(),
                packed.fingerprint(),
                "seed {seed} step {step}"
            );
            assert_eq!(again.heap_bytes() == 0, packed.heap_bytes() == 0);
            packed.set_marks(step as u8);
            assert_eq!(packed.marks(), step as u8);
        }
    }
}

#[test]
fn an_effect_applied_again_changes_nothing() {
    for seed in 0..1500 {
        let mut random = Random::new(seed);
        let mut table = Table::new();
        let mut object = Object::new(b"key");
        for _ in 0..random.between(1, 15) {
            let owned = Owned::random(&mut random, &mut table, &object);
            let (dot, stamp) = table.next(&mut random);
            let vector = table.vector(&mut random);
            let context = Context::Of {
                vector: &vector,
                origin: dot.origin,
                before: dot.sequence,
            };
            let origins = &table.origins;
            owned.with(|effect| object.apply(effect, dot, stamp, context, origins).unwrap());
            let mut again = object.clone();
            owned.with(|effect| again.apply(effect, dot, stamp, context, origins).unwrap());
            let same = everything(&object, origins) == everything(&again, origins);
            assert!(same, "seed {seed} {owned:?}\n{object:?}\n{again:?}");
        }
    }
}

/// A random object, and the table it speaks of.
fn random_object(random: &mut Random) -> (Object, Table) {
    let mut table = Table::new();
    let mut object = Object::new(b"key");
    for _ in 0..random.between(1, 12) {
        let owned = Owned::random(random, &mut table, &object);
        let (dot, stamp) = table.next(random);
        let vector = table.vector(random);
        let context = Context::Of {
            vector: &vector,
            origin: dot.origin,
            before: dot.sequence,
        };
        owned.with(|effect| {
            object
                .apply(effect, dot, stamp, context, &table.origins)
                .unwrap();
        });
    }
    (object, table)
}

#[test]
fn bytes_lead_back_to_the_state_and_no_shorter_ones_are_taken() {
    for seed in 0..500 {
        let (object, table) = random_object(&mut Random::new(seed));
        let bytes = encoded(&object);
        let again = Object::decode(b"key", &bytes, &Some).unwrap();
        assert_eq!(
            everything(&again, &table.origins),
            everything(&object, &table.origins)
        );
        assert_eq!(again.fingerprint(), object.fingerprint());
        for length in 0..bytes.len() {
            assert!(
                Object::decode(b"key", &bytes[..length], &Some).is_err(),
                "seed {seed}"
            );
        }
        let named = object.dots().next().is_some() || object.has_contributions();
        let unknown = Object::decode(b"key", &bytes, &|_| None);
        assert_eq!(
            unknown.is_err(),
            named,
            "an origin that is not known is an error"
        );
    }
}

#[test]
fn damaged_bytes_give_an_error_or_an_object_that_works() {
    let mut taken = 0;
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let (object, mut table) = random_object(&mut random);
        let mut bytes = encoded(&object);
        if random.chance(0.2) {
            bytes = (0..random.below(60))
                .map(|_| random.bits() as u8 % 12)
                .collect();
        }
        for _ in 0..random.between(1, 4) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = random.bits() as u8;
            }
        }
        let Ok(mut damaged) = Object::decode(b"key", &bytes, &Some) else {
            continue;
        };
        taken += 1;
        everything(&damaged, &table.origins);
        let again = Object::decode(b"key", &encoded(&damaged), &Some).unwrap();
        assert_eq!(again.fingerprint(), damaged.fingerprint());
        let mut marks = Vec::new();
        damaged.observed_marks(Observed::All, true, &table.origins, &mut marks);
        for _ in 0..4 {
            let owned = Owned::random(&mut random, &mut table, &damaged);
            let (dot, stamp) = table.next(&mut random);
            let done: Result<(), DecodeError> = owned.with(|effect| {
                damaged.apply(effect, dot, stamp, Context::Everything, &table.origins)
            });
            done.unwrap();
        }
        let whole = VersionVector::new();
        merge_objects(Some(damaged), &whole, Some(object), &whole);
    }
    assert!(taken > 100, "some damage goes unnoticed: {taken}");
}

#[test]
fn a_plain_string_is_one_allocation_and_is_overwritten_in_place() {
    let mut table = Table::new();
    let mut random = Random::new(1);
    let (key, value) = ([b'k'; 16], [b'v'; 100]);
    let set = |value: &[u8], deadline| Owned::set(&key, value, deadline);
    let (dot, stamp) = table.next(&mut random);
    let mut object = set(&value, NEVER).with(|effect| {
        Object::create(
            &key,
            effect,
            dot,
            stamp,
            Context::Everything,
            &table.origins,
        )
        .unwrap()
    });
    assert_eq!(object.heap_bytes(), 16 + 100 + 23);
    let mut place = object.string(stamp, &table.origins).unwrap().as_ptr();
    for _ in 0..3 {
        let (dot, stamp) = table.next(&mut random);
        set(&[b'w'; 100], NEVER).with(|effect| {
            object
                .apply(effect, dot, stamp, Context::Everything, &table.origins)
                .unwrap();
        });
        let seen = object.string(stamp, &table.origins).unwrap();
        assert_eq!((seen.as_ptr(), &*seen), (place, &[b'w'; 100][..]));
        place = seen.as_ptr();
    }
    let (dot, stamp) = table.next(&mut random);
    set(&value, 1 << 40).with(|effect| {
        object
            .apply(effect, dot, stamp, Context::Everything, &table.origins)
            .unwrap();
    });
    assert_eq!(object.heap_bytes(), 16 + 100 + 23 + 8);
    assert_eq!(object.visible_deadline(stamp), Some(1 << 40));
}

#[test]
fn a_counter_is_packed_and_grows_in_place() {
    let mut table = Table::new();
    let mut random = Random::new(1);
    let mut object = Object::new(b"hits");
    let (first, _) = table.next(&mut random);
    let dot = |n: u64| Dot {
        origin: first.origin,
        sequence: first.sequence + n,
    };
    let mut apply = |owned: &Owned, n: u64| {
        let origins = &table.origins;
        let (dot, stamp) = (dot(n), 50 + n);
        owned.with(|effect| {
            object
                .apply(effect, dot, stamp, Context::Everything, origins)
                .unwrap();
        });
        (
            object.heap_bytes(),
            object
                .string(100, origins)
                .map(std::borrow::Cow::into_owned),
        )
    };
    apply(&Owned::born(b"hits"), 0);
    let add = |start, sum| Owned::add(b"hits", start, Number::Int(sum));
    let size = 4 + 3 + 20 + 37;
    assert_eq!(apply(&add(0, 1), 0), (size, Some(b"1".to_vec())));
    for n in 1..10 {
        let text = (n + 1).to_string().into_bytes();
        let grown = add(first.sequence, n as i64 + 1);
        assert_eq!(apply(&grown, n), (size, Some(text)));
    }
}

#[test]
fn a_small_hash_costs_little() {
    let mut table = Table::new();
    let mut random = Random::new(1);
    let mut object = Object::new(b"hash");
    for name in [b"a", b"b", b"c"] {
        let (dot, stamp) = table.next(&mut random);
        let put = Owned::field(b"hash", name, &[b'v'; 10]);
        put.with(|effect| {
            object
                .apply(effect, dot, stamp, Context::Everything, &table.origins)
                .unwrap();
        });
    }
    assert!(object.heap_bytes() < 600, "{}", object.heap_bytes());
    assert_eq!(object.element_count(Kind::Hash, 1000, &table.origins), 3);
}

#[test]
fn what_is_written_with_a_deadline_never_outlives_it() {
    let mut table = Table::new();
    let (dot, stamp) = table.next(&mut Random::new(1));
    let mut object = Object::new(b"key");
    Owned::set(b"key", b"late", stamp - 1).with(|effect| {
        object
            .apply(effect, dot, stamp, Context::Everything, &table.origins)
            .unwrap();
    });
    assert_eq!(object.deadline(), stamp);
    assert!(object.string(stamp, &table.origins).is_some());
    assert!(object.string(stamp + 1, &table.origins).is_none());
}

#[test]
fn without_type_cells_a_fixed_order_decides_between_types() {
    let mut table = Table::new();
    let mut object = Object::new(b"key");
    for (kind, value) in [
        (Kind::Zset, &[0; 8][..]),
        (Kind::Set, &[]),
        (Kind::Hash, b"v"),
    ] {
        let (dot, stamp) = table.next(&mut Random::new(1));
        let put = Effect::Put {
            key: b"key",
            cell: CellId::Element(kind, b"e"),
            value,
            marks: Marks::default(),
        };
        object
            .apply(&put, dot, stamp, Context::Everything, &table.origins)
            .unwrap();
        assert_eq!(object.kind(stamp, &table.origins), Some(kind));
    }
}
