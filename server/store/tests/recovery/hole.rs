//! Damage below what was durable: a hole with a name, shown, and filled by a member's state.

use crate::site::{Site, segment};
use std::sync::Arc;
use tandem_merge::OriginIndex;
use tandem_sim::disk::Crash;
use tandem_store::Database;
use tandem_store::database::{OriginMap, Retention};
use tandem_store::disk::Disk;
use tandem_store::log::{Class, Damage, LogReader};
use tandem_store::resync::{Intake, Mode, Source};

/// Ten keys of one life, all durable, with a mark of it behind them.
fn ten(segment_bytes: u64) -> Site {
    let mut site = Site::new(segment_bytes).write_as(1);
    for number in 1..=10 {
        site.set(&format!("key-{number}"), &format!("value-{number}-"));
        site.sync();
    }
    site
}

/// Carries everything of one database to another by its log.
fn ship(from: &Arc<Database>, to: &Arc<Database>) {
    from.flush_all().unwrap();
    let mut map = OriginMap::default();
    for (_, origin) in from.commit().history.origins.clone().iter() {
        to.announce(&mut map, origin);
    }
    let mut reader = LogReader::open(Arc::clone(&from.log), 0).unwrap();
    while let Some(entry) = reader.next(from.log.written()).unwrap() {
        if entry.class == Class::Record {
            to.apply(entry.payload, &map, &mut |_| {}).unwrap();
        }
    }
    to.flush_all().unwrap();
    to.log.sync().unwrap();
}

/// Merges the state of one database into another.
fn merge(from: &Arc<Database>, to: &Arc<Database>) -> Result<(), tandem_store::StoreError> {
    let mut source = Source::begin(from)?;
    let mut map = OriginMap::default();
    for (_, origin) in source.history().origins.clone().iter() {
        to.announce(&mut map, origin);
    }
    let mut intake = Intake::begin(to, Mode::Merge, source.history(), &map, source.bytes())?;
    let mut packed = Vec::new();
    while let Some(chunk) = source.next_chunk(1 << 16, &mut packed)? {
        intake.chunk(chunk, std::mem::take(&mut packed))?;
    }
    intake.end_scan()?;
    intake.switch()
}

#[test]
fn a_damaged_record_is_a_hole_that_has_its_name() {
    let site = ten(u64::MAX);
    site.spoil(1, "value-4-");
    let site = site.crash(Crash::Process);
    assert_eq!(site.report.corruptions.len(), 1);
    assert!(matches!(
        site.report.corruptions[0].damage,
        Damage::Checksum { .. }
    ));
    assert_eq!((site.row(1).high, site.row(1).holes), (10, vec![(4, 4)]));
    assert!(site.database.has_holes());
    assert_eq!(site.get("key-4"), None, "never invented");
    assert_eq!(site.get("key-5").as_deref(), Some("value-5-"));
}

#[test]
fn after_an_orderly_end_a_damaged_last_record_is_no_torn_tail() {
    for is_sealed in [false, true] {
        let site = ten(u64::MAX);
        if is_sealed {
            site.database.seal().unwrap();
        }
        site.spoil(1, "value-10-");
        let site = site.crash(Crash::Process);
        assert_eq!(site.report.corruptions.len(), usize::from(is_sealed));
    }
}

#[test]
fn nothing_is_purged_and_no_state_given_while_there_is_a_hole() {
    let site = ten(150);
    site.spoil(2, "value-");
    let site = site.crash(Crash::Process);
    assert!(site.database.has_holes());
    assert!(site.database.checkpoint().unwrap());
    let keep = Retention {
        segments_min: 1,
        bytes_max: 1,
        old_before: None,
    };
    assert_eq!(site.database.purge(u64::MAX, keep).unwrap(), (0, false));
    let refused = Source::begin(&site.database).unwrap_err().to_string();
    assert!(refused.contains("hole"), "{refused}");
}

#[test]
fn a_hole_stays_over_restarts_and_checkpoints() {
    let site = ten(u64::MAX);
    site.spoil(1, "value-7-");
    let site = site.crash(Crash::Process);
    let row = site.row(1);
    assert_eq!(row.holes, [(7, 7)]);
    let site = site.crash(Crash::Power);
    assert_eq!(site.row(1), row, "read from the log again");
    let mut site = site.write_as(2);
    site.set("later", "1");
    assert!(site.database.checkpoint().unwrap());
    let site = site.crash(Crash::Power);
    assert_eq!(
        (site.report.replayed, site.row(1)),
        (0, row),
        "kept in the manifest"
    );
    assert_eq!(site.get("later").as_deref(), Some("1"));
}

#[test]
fn the_end_of_a_segment_that_nothing_names_is_a_hole_by_the_next_head() {
    // The first life's last record is damaged, and no later record is of that life.
    let mut site = Site::new(1).write_as(1);
    for number in 1..=3 {
        site.set(&format!("key-{number}"), &format!("value-{number}-"));
        site.sync();
    }
    let mut site = site.crash(Crash::Process).write_as(2);
    site.set("other", "1");
    site.sync();
    site.spoil(site.database.log.newest() - 1, "value-3-");
    let site = site.crash(Crash::Process);
    assert_eq!((site.row(1).high, site.row(1).holes), (3, vec![(3, 3)]));
    assert_eq!(site.row(2).high, 1);
}

#[test]
fn a_missing_segment_is_a_hole() {
    let site = ten(1);
    assert!(site.database.log.newest() > 5);
    site.disk.remove(&segment(4)).unwrap();
    let site = site.crash(Crash::Process);
    assert_eq!(site.report.corruptions.len(), 1);
    assert_eq!(site.report.corruptions[0].damage, Damage::Missing);
    assert_eq!(site.report.corruptions[0].position.segment, 4);
    let row = site.row(1);
    assert_eq!((row.high, row.holes.len()), (10, 1));
}

#[test]
fn damage_at_the_end_is_reported_and_receivers_below_it_need_a_state() {
    let mut site = ten(u64::MAX);
    // Not durable, but behind a mark that says that all before was.
    site.set("tail", "1");
    site.database.flush_all().unwrap();
    site.spoil(1, "value-10-");
    site.spoil(1, "tail");
    let site = site.crash(Crash::Process);
    assert_eq!(site.report.corruptions.len(), 1, "{:?}", site.report);
    assert_eq!((site.row(1).high, site.row(1).holes.len()), (9, 0));
    let base = site.database.commit().history.base.clone();
    assert_eq!(
        base.high(OriginIndex(0)),
        9,
        "what is damaged is never sent"
    );
    let mut site = site.write_as(2);
    site.set("more", "1");
    site.sync();
    let site = site.crash(Crash::Power);
    assert_eq!(
        site.get("more").as_deref(),
        Some("1"),
        "written behind the damage and found"
    );
    assert_eq!(site.row(1).high, 9);
}

#[test]
fn a_log_that_vanished_is_reported_and_the_tree_is_kept() {
    let site = ten(u64::MAX);
    assert!(site.database.checkpoint().unwrap());
    let digest = site.digest();
    site.disk.remove(&segment(1)).unwrap();
    let site = site.crash(Crash::Process);
    assert_eq!(site.report.corruptions.len(), 1);
    assert_eq!(site.report.corruptions[0].damage, Damage::Missing);
    assert_eq!((site.digest(), site.row(1).high), (digest, 10));
    let mut site = site.write_as(2);
    site.set("more", "1");
    site.sync();
    let site = site.crash(Crash::Power);
    assert_eq!(site.get("more").as_deref(), Some("1"));
}

#[test]
fn a_members_state_fills_the_hole() {
    let site = ten(u64::MAX);
    let member = Site::new(u64::MAX);
    ship(&site.database, &member.database);
    let mut member = member.write_as(9);
    member.set("key-5", "newer");
    member.set("key-4", "changed in the hole");
    member.sync();
    site.spoil(1, "value-4-");
    let site = site.crash(Crash::Process);
    assert!(site.database.has_holes());
    merge(&member.database, &site.database).unwrap();
    assert!(!site.database.has_holes());
    assert_eq!(site.row(1).holes, []);
    assert_eq!(site.digest(), member.digest());
    let site = site.crash(Crash::Power);
    assert!(!site.database.has_holes(), "filled for good");
    assert_eq!(site.digest(), member.digest());
    assert!(site.database.commit().history.base.high(OriginIndex(0)) >= 4);
}

#[test]
fn a_state_that_lacks_what_is_held_here_does_not_fill_the_hole() {
    let site = ten(u64::MAX);
    let member = Site::new(u64::MAX);
    ship(&site.database, &member.database);
    let mut site = site;
    site.set("alone", "1");
    site.sync();
    site.spoil(1, "value-4-");
    let site = site.crash(Crash::Process);
    let refused = merge(&member.database, &site.database)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("hole"), "{refused}");
    assert_eq!(site.row(1).holes, [(4, 4)], "it stays, and is shown");
    assert_eq!(site.get("alone").as_deref(), Some("1"));
}
