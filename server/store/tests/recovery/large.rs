//! Records have a bound; what exceeds it changes nothing.

use crate::site::Site;
use tandem_merge::record::RECORD_BYTES_MAX;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, Effect, EffectWriter, Kind, Marks, NEVER, Number, Objects, Stamp};
use tandem_sim::disk::Crash;
use tandem_store::{Locked, StoreError};

/// A SET whose effects take exactly so many bytes.
fn set_of(bytes: usize) -> EffectWriter {
    let mut value = vec![b'x'; bytes];
    loop {
        let mut effects = EffectWriter::default();
        effects.push(&Effect::SetString {
            key: b"big",
            value: &value,
            deadline: NEVER,
            marks: Marks::default(),
        });
        match effects.bytes().len().checked_sub(bytes) {
            Some(0) | None => return effects,
            Some(over) => value.truncate(value.len() - over),
        }
    }
}

/// What a draft over these locks comes to.
fn draft(locked: &Locked<'_>, write: impl FnOnce(&mut Draft<'_>)) -> EffectWriter {
    let mut effects = EffectWriter::default();
    let mut draft = Draft::new(locked, locked.origins_ref(), locked.own(), locked.now());
    write(&mut draft);
    draft.finish(0, &mut effects);
    effects
}

#[test]
fn a_record_of_the_bound_is_taken_and_one_byte_more_changes_nothing() {
    let mut site = Site::new(u64::MAX).write_as(1);
    assert!(site.set("before", "1"));
    let effects = set_of(RECORD_BYTES_MAX + 1);
    assert_eq!(effects.bytes().len(), RECORD_BYTES_MAX + 1);
    let before = (site.head(), site.row(1), site.digest());
    {
        let mut locked = site.database.lock_one(b"big", stamp_of_ms(2_000)).unwrap();
        let refused = locked.commit(&effects);
        assert!(
            matches!(refused, Err(StoreError::TooLarge { bytes }) if bytes == RECORD_BYTES_MAX + 1),
            "{refused:?}"
        );
    }
    let mut key = site
        .database
        .lock_key(
            tandem_store::hash::hash_key(b"big"),
            b"big",
            stamp_of_ms(2_000),
        )
        .unwrap();
    assert!(matches!(
        key.commit(&effects),
        Err(StoreError::TooLarge { .. })
    ));
    drop(key);
    assert_eq!((site.head(), site.row(1), site.digest()), before);
    {
        let effects = set_of(RECORD_BYTES_MAX);
        assert_eq!(effects.bytes().len(), RECORD_BYTES_MAX);
        let mut locked = site.database.lock_one(b"big", stamp_of_ms(3_000)).unwrap();
        assert!(locked.commit(&effects).unwrap().is_some());
    }
    assert!(site.set("after", "1"));
    site.sync();
    let site = site.crash(Crash::Power);
    assert_eq!(
        site.row(1).high,
        3,
        "nothing is missing and nothing doubled"
    );
    assert_eq!(site.get("after").as_deref(), Some("1"));
}

#[test]
fn counters_that_one_record_cannot_remove_go_in_parts() {
    let site = Site::new(u64::MAX).write_as(1);
    let name = |n: u32| {
        let mut name = vec![b'f'; 60_000];
        name.extend_from_slice(&n.to_le_bytes());
        name
    };
    let (late, now) = (stamp_of_ms(5_000), stamp_of_ms(9_000));
    for n in 0..1_200 {
        let mut locked = site.database.lock_one(b"hash", stamp_of_ms(1_000)).unwrap();
        let effects = draft(&locked, |draft| {
            draft
                .add(b"hash", Kind::Hash, &name(n), Number::Int(1))
                .unwrap();
        });
        locked.commit(&effects).unwrap();
    }
    {
        let mut locked = site.database.lock_one(b"hash", late + 1).unwrap();
        let effects = draft(&locked, |draft| {
            draft
                .add(b"hash", Kind::Hash, &name(0), Number::Int(1))
                .unwrap();
        });
        locked.commit(&effects).unwrap();
    }
    let mut locked = site.database.lock_one(b"hash", now).unwrap();
    let whole = draft(&locked, |draft| assert!(draft.delete(b"hash")));
    assert!(matches!(
        locked.commit(&whole),
        Err(StoreError::TooLarge { .. })
    ));
    let before = site.database.commit().history.vv.clone();
    locked.shed([(&b"hash"[..], late)]).unwrap();
    let counted = |locked: &Locked<'_>, upto: Stamp| {
        let object = locked.object(b"hash").unwrap();
        object.counters(upto).count()
    };
    assert_eq!(counted(&locked, late), 0);
    assert_eq!(counted(&locked, NEVER), 1, "what was written later stays");
    let after = site.database.commit().history.vv.clone();
    assert!(after.rows().count() == 1 && before != after);
    let rest = draft(&locked, |draft| assert!(draft.delete(b"hash")));
    assert!(rest.bytes().len() < 200_000);
    locked.commit(&rest).unwrap();
    drop(locked);
    assert_eq!(site.digest().1, 0);
    assert_eq!(
        site.row(1).high,
        1_201 + 6,
        "five parts of 32 MiB and the rest"
    );
}
