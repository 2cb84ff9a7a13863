//! Full resyncs between databases that go on writing, compared with one that got every record.

mod world;

use super::{Mode, Source};
use crate::error::StoreError;
use crate::log::LogReader;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Kind, NEVER, Number};
use world::{LATE_MS, Link, Random, Resync, Site, open, vector};

/// Seeds of each random test.
const SEEDS: u64 = 12;

/// Everything of both logs, applied in order to a third database.
fn oracle(sites: [&Site; 2]) -> Site {
    let all = Site::new(9, 0);
    for site in sites {
        Link::new(&site.database, 0).apply(&all.database, u64::MAX);
    }
    all
}

/// Two masters that wrote apart for a while and heard part of each other.
fn diverged(seed: u64) -> (Site, Site) {
    let mut a = Site::new(1, seed).write_as_master();
    let mut b = Site::new(2, seed).write_as_master();
    let mut to_b = Link::new(&a.database, 0);
    let mut to_a = Link::new(&b.database, 0);
    for _ in 0..20 {
        a.act_often(10);
        b.act_often(10);
        let (some, more) = (a.random.below(8), b.random.below(8));
        to_b.apply(&b.database, some);
        to_a.apply(&a.database, more);
    }
    a.act_often(60);
    b.act_often(60);
    (a.keys, b.keys) = (15, 15);
    (a, b)
}

#[test]
fn merging_a_state_while_both_write_equals_merging_the_logs() {
    for seed in 1..=SEEDS {
        let (mut a, mut b) = diverged(seed);
        let mut random = Random::new(seed);
        // The other direction goes on as ever.
        let mut to_a = Link::new(&b.database, 0);
        let mut resync = Resync::begin(&a, &b, Mode::Merge);
        while resync.scan(&b, 1 + random.below(2_000) as usize) {
            if random.below(100) == 0 {
                a.act_often(6);
                b.act_often(6);
                to_a.apply(&a.database, random.below(6));
            }
        }
        while !resync.is_ready() || random.below(4) > 0 {
            a.act_often(3);
            b.act_often(3);
            resync.records(&b, random.below(30));
            to_a.apply(&a.database, random.below(6));
        }
        let Resync {
            intake, mut link, ..
        } = resync;
        intake.switch().expect("switches");
        assert!(!b.database.is_resyncing());
        for _ in 0..5 {
            a.act_often(10);
            b.act_often(10);
            link.apply(&b.database, 10);
            to_a.apply(&a.database, 10);
        }
        link.apply(&b.database, u64::MAX);
        to_a.apply(&a.database, u64::MAX);
        link.apply(&b.database, u64::MAX);
        assert_eq!(a.vector(), b.vector(), "seed {seed}");
        assert_eq!(a.digest(), b.digest(), "seed {seed}");
        assert_eq!(a.digest(), oracle([&a, &b]).digest(), "seed {seed}");
        assert_keys_counted(&b, seed);
        reopened_is_equal(b, seed);
    }
}

/// The count of keys that DBSIZE shows is that of objects with content.
fn assert_keys_counted(site: &Site, seed: u64) {
    let mut counted = 0;
    let visited = site.database.cells.visit_all(|_, object| {
        counted += i64::from(object.has_content());
        true
    });
    visited.expect("visits");
    assert_eq!(site.database.cells.keys(), counted, "seed {seed}");
}

fn reopened_is_equal(site: Site, seed: u64) {
    let (digest, vv) = (site.digest(), site.vector());
    let checkpointed = seed.is_multiple_of(2);
    if checkpointed {
        while !site.database.checkpoint().expect("checkpoints") {}
    }
    site.database.flush_all().expect("flushes");
    let Site {
        directory,
        database,
        ..
    } = site;
    drop(database);
    let again = open(directory.path());
    let late = stamp_of_ms(LATE_MS);
    assert_eq!(again.digest(late).expect("digests"), digest, "seed {seed}");
    assert_eq!(vector(&again), vv, "seed {seed}");
    // A flush in the replayed log has made a tree of its own, which the next manifest names.
    while !again.checkpoint().expect("checkpoints") {}
    let trees = std::fs::read_dir(directory.path()).expect("lists");
    let trees = trees.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().starts_with("tree-")
    });
    assert_eq!(trees.count(), 1, "one tree is left, seed {seed}");
}

#[test]
fn replacing_gives_the_source_s_state_whatever_was_there() {
    for seed in 1..=SEEDS {
        let (mut a, mut b) = diverged(seed);
        let mut random = Random::new(seed);
        b.database.end_life();
        let mut resync = Resync::begin(&a, &b, Mode::Replace);
        while resync.scan(&b, 1 + random.below(2_000) as usize) {
            if random.below(100) == 0 {
                a.act_often(6);
            }
        }
        while !resync.is_ready() {
            a.act_often(3);
            resync.records(&b, random.below(30));
        }
        let Resync {
            intake, mut link, ..
        } = resync;
        intake.switch().expect("switches");
        a.act_often(20);
        link.apply(&b.database, u64::MAX);
        assert_eq!(a.vector(), b.vector(), "seed {seed}");
        assert_eq!(a.digest(), b.digest(), "seed {seed}");
        let served = b.database.serve_from();
        assert!(served > 0, "what was given up is not served");
        assert_keys_counted(&b, seed);
        // It may be a writer again, and the source hears of that.
        b.database.begin_life(
            tandem_merge::Origin {
                incarnation: 77,
                ..b.life
            },
            0,
        );
        b.act_often(30);
        Link::new(&b.database, served).apply(&a.database, u64::MAX);
        link.apply(&b.database, u64::MAX);
        assert_eq!(a.digest(), b.digest(), "seed {seed}");
        reopened_is_equal(b, seed);
    }
}

#[test]
fn dropped_before_the_switch_nothing_has_happened() {
    for seed in 1..=SEEDS {
        let (mut a, mut b) = diverged(seed);
        let mut random = Random::new(seed);
        let mut to_c = Link::new(&b.database, 0);
        let mode = if seed % 2 == 0 {
            Mode::Merge
        } else {
            Mode::Replace
        };
        let mut resync = Resync::begin(&a, &b, mode);
        let mut steps = random.below(5_000);
        while steps > 0 && resync.scan(&b, 200) {
            steps -= 1;
            if random.below(100) == 0 {
                a.act_often(3);
                b.act_often(3);
            }
        }
        if resync.intake.is_scanned() {
            resync.records(&b, random.below(50));
        }
        drop(resync);
        assert!(!b.database.is_resyncing());
        assert_eq!(b.database.pin.load(Ordering::Relaxed), u64::MAX);
        b.act_often(10);
        let c = Site::new(3, seed);
        to_c.apply(&c.database, u64::MAX);
        assert_eq!(b.digest(), c.digest(), "seed {seed}");
        reopened_is_equal(b, seed);
    }
}

#[test]
fn a_crash_at_the_manifest_leaves_the_old_state_or_the_new_one() {
    for seed in 1..=SEEDS {
        let (mut a, mut b) = diverged(seed);
        let mode = if seed % 2 == 0 {
            Mode::Merge
        } else {
            b.database.end_life();
            Mode::Replace
        };
        let mut resync = Resync::begin(&a, &b, mode);
        while resync.scan(&b, 4_096) {}
        while !resync.is_ready() {
            a.act_often(3);
            if mode == Mode::Merge {
                b.act_often(3);
            }
            resync.records(&b, 20);
        }
        b.database.flush_all().expect("flushes");
        let (old, old_vv) = (b.digest(), b.vector());
        b.images.armed.store(true, Ordering::Relaxed);
        resync.intake.switch().expect("switches");
        let taken = b.images.taken.lock().take().expect("a manifest was stored");
        let late = stamp_of_ms(LATE_MS);
        let before = open(taken.0.path());
        assert_eq!(before.digest(late).expect("digests"), old, "seed {seed}");
        assert_eq!(vector(&before), old_vv, "seed {seed}");
        let after = open(taken.1.path());
        assert_eq!(
            after.digest(late).expect("digests"),
            b.digest(),
            "seed {seed}"
        );
        assert_eq!(vector(&after), b.vector(), "seed {seed}");
        assert_eq!(
            after.commit().history.base,
            b.database.commit().history.base
        );
        assert_eq!(after.serve_from(), b.database.serve_from());
    }
}

#[test]
fn what_the_receiver_had_deleted_stays_deleted() {
    let mut a = Site::new(1, 1).write_as_master();
    let mut b = Site::new(2, 1).write_as_master();
    for key in ["stays", "goes", "again"] {
        a.command(|draft| draft.set(key.as_bytes(), b"of a", NEVER));
    }
    Link::new(&a.database, 0).apply(&b.database, u64::MAX);
    b.command(|draft| {
        draft.delete(b"goes");
    });
    let mut resync = Resync::begin(&a, &b, Mode::Merge);
    while resync.scan(&b, 1 << 16) {}
    b.command(|draft| {
        draft.delete(b"again");
    });
    assert!(resync.is_ready());
    resync.intake.switch().expect("switches");
    assert_eq!(b.string("stays").as_deref(), Some("of a"));
    assert_eq!(b.string("goes"), None);
    assert_eq!(b.string("again"), None);
}

#[test]
fn counters_add_up_and_the_longer_life_wins() {
    let mut a = Site::new(1, 1).write_as_master();
    let mut b = Site::new(2, 1).write_as_master();
    a.command(|draft| {
        let _ = draft.add(b"n", Kind::String, &[], Number::Int(5));
    });
    Link::new(&a.database, 0).apply(&b.database, u64::MAX);
    a.command(|draft| {
        let _ = draft.add(b"n", Kind::String, &[], Number::Int(10));
    });
    b.command(|draft| {
        let _ = draft.add(b"n", Kind::String, &[], Number::Int(100));
    });
    a.command(|draft| draft.set(b"ttl", b"v", stamp_of_ms(1_500_000)));
    Link::new(&a.database, 0).apply(&b.database, u64::MAX);
    a.command(|draft| {
        draft.expire(b"ttl", stamp_of_ms(1_700_000));
    });
    b.command(|draft| {
        draft.expire(b"ttl", stamp_of_ms(1_600_000));
    });
    let mut resync = Resync::begin(&a, &b, Mode::Merge);
    while resync.scan(&b, 1 << 16) {}
    resync.intake.switch().expect("switches");
    assert_eq!(b.string("n").as_deref(), Some("115"));
    let locked = b.database.lock_one(b"ttl", 0).expect("locks");
    let object = tandem_merge::Objects::object(&locked, b"ttl").expect("is there");
    assert_eq!(object.deadline(), stamp_of_ms(1_700_000));
}

#[test]
fn the_log_a_resync_needs_is_not_purged_and_goes_afterwards() {
    let keep = crate::database::Retention {
        segments_min: 1,
        bytes_max: 1,
        old_before: None,
    };
    let mut a = Site::new(1, 1).write_as_master();
    let mut b = Site::new(2, 1).write_as_master();
    a.act_often(50);
    let value = vec![b'x'; 1_000];
    let fill = |b: &mut Site| {
        for n in 0..200 {
            b.command(|draft| draft.set(format!("fill-{n}").as_bytes(), &value, NEVER));
        }
    };
    fill(&mut b);
    let mut resync = Resync::begin(&a, &b, Mode::Merge);
    let pinned = b.database.pin.load(Ordering::Relaxed);
    fill(&mut b);
    while !b.database.checkpoint().expect("checkpoints") {}
    let (removed, _) = b.database.purge(u64::MAX, keep).expect("purges");
    assert!(removed > 0, "what lies before it goes");
    assert!(LogReader::open(Arc::clone(&b.database.log), pinned).is_ok());
    while resync.scan(&b, 1 << 16) {
        assert!(b.database.checkpoint().is_ok());
    }
    fill(&mut b);
    resync.intake.switch().expect("switches");
    fill(&mut b);
    while !b.database.checkpoint().expect("checkpoints") {}
    b.database.purge(u64::MAX, keep).expect("purges");
    assert!(LogReader::open(Arc::clone(&b.database.log), pinned).is_err());
    assert!(b.database.replay_from() > pinned);
    reopened_is_equal(b, 1);
}

#[test]
fn an_instance_with_holes_gives_no_state_and_takes_one_that_fills_them() {
    let mut a = Site::new(1, 1).write_as_master();
    let b = Site::new(2, 1);
    a.act_often(50);
    a.command(|draft| draft.set(b"last", b"v", NEVER));
    {
        let mut link = Link::new(&a.database, 0);
        link.announce(&b.database);
        let theirs = a.database.commit().history.clone();
        b.database.commit().history.start_from_now(&theirs);
        b.database.holes.store(true, Ordering::Relaxed);
    }
    let refused = Source::begin(&b.database).expect_err("refused");
    assert!(
        matches!(&refused, StoreError::Resync(text) if text.contains("hole")),
        "{refused}"
    );
    let mut resync = Resync::begin(&a, &b, Mode::Merge);
    while resync.scan(&b, 1 << 16) {}
    assert!(resync.is_ready());
    resync.intake.switch().expect("switches");
    assert!(!b.database.has_holes());
    assert_eq!(a.digest(), b.digest());
}

#[test]
fn a_second_resync_at_the_same_time_is_refused() {
    let a = Site::new(1, 1).write_as_master();
    let b = Site::new(2, 1).write_as_master();
    let first = Resync::begin(&a, &b, Mode::Merge);
    let history = first.source.history().clone();
    let refused = super::Intake::begin(&b.database, Mode::Merge, &history, &first.link.map, 0);
    assert!(refused.is_err());
    drop(first);
    drop(Resync::begin(&a, &b, Mode::Merge));
}

#[test]
fn a_writer_s_state_is_not_replaced_under_it() {
    let a = Site::new(1, 1).write_as_master();
    let mut b = Site::new(2, 1).write_as_master();
    b.command(|draft| draft.set(b"k", b"v", NEVER));
    let mut resync = Resync::begin(&a, &b, Mode::Replace);
    while resync.scan(&b, 1 << 16) {}
    assert!(resync.intake.switch().is_err());
    assert_eq!(b.string("k").as_deref(), Some("v"));
    b.command(|draft| draft.set(b"k", b"w", NEVER));
    reopened_is_equal(b, 2);
}

#[test]
fn chunks_out_of_order_are_refused() {
    let mut a = Site::new(1, 1).write_as_master();
    let b = Site::new(2, 1).write_as_master();
    a.act_often(40);
    let mut resync = Resync::begin(&a, &b, Mode::Merge);
    let mut packed = Vec::new();
    let first = resync.source.next_chunk(1 << 16, &mut packed);
    let first = first.expect("scans").expect("a chunk");
    resync
        .intake
        .chunk(first.clone(), Vec::new())
        .expect("takes");
    drop(resync.intake.chunk(first, Vec::new()));
    assert!(resync.intake.end_scan().is_err());
}
