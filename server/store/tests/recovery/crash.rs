//! Crashes, cuts, disks that are full or fail: what was answered is there, and nothing else.

use crate::site::{Site, life, open, segment};
use tandem_sim::disk::Crash;

#[test]
fn a_log_cut_at_every_byte_of_its_last_batches_gives_the_state_before_the_cut() {
    let mut site = Site::new(u64::MAX).write_as(1);
    let mut states = vec![(site.head(), site.digest())];
    for number in 0..12 {
        site.set(&format!("k{}", number % 5), &"v".repeat(number * 11));
        site.database.flush_all().unwrap();
        states.push((site.head(), site.digest()));
    }
    let bytes = site.disk.bytes(&segment(1)).unwrap();
    // The last three batches.
    let begin = states[states.len() - 4].0 as usize;
    for length in begin..=bytes.len() {
        let disk = site.disk.copy();
        disk.put(&segment(1), bytes[..length].to_vec());
        let again = Site::on(disk, u64::MAX);
        let whole = states
            .iter()
            .rposition(|(end, _)| *end <= length as u64)
            .unwrap();
        assert_eq!(again.digest(), states[whole].1, "cut at {length}");
        assert_eq!(again.row(1).high, whole as u64, "cut at {length}");
        assert_eq!(again.report.corruptions, [], "cut at {length}");
        assert!(!again.database.has_holes(), "cut at {length}");
    }
}

#[test]
fn a_database_comes_back_with_its_checkpoints_and_the_log_behind_them() {
    let mut site = Site::new(2_000).write_as(1);
    for round in 0..12u64 {
        for number in 0..30 {
            site.set(
                &format!("k{}", number * (round + 1) % 97),
                &format!("{round}-{number}"),
            );
        }
        if round % 3 == 1 {
            assert!(site.database.checkpoint().unwrap());
        }
        site.sync();
        let (digest, row) = (site.digest(), site.row(round + 1));
        site = site.crash(Crash::Power);
        assert_eq!((site.digest(), site.row(round + 1)), (digest, row));
        assert_eq!(site.report.corruptions, []);
        site = site.write_as(round + 2);
    }
}

#[test]
fn a_write_that_a_full_disk_kept_from_the_log_does_not_come_back_by_the_tree() {
    let mut site = Site::new(u64::MAX).write_as(1);
    site.set("a", "1");
    site.sync();
    let before = site.digest();
    site.disk.set_capacity(Some(site.disk.used_bytes()));
    assert!(site.set("b", "2"), "appended, but not answered");
    assert!(site.database.flush_all().is_err());
    assert!(!site.set("c", "3"), "refused from here on");
    assert_eq!(site.get("a").as_deref(), Some("1"), "reads go on");
    assert!(site.database.checkpoint().is_err());
    let again = site.crash(Crash::Process);
    assert_eq!(again.digest(), before, "the tree is not ahead of the log");
    assert_eq!(again.row(1).high, 1);
}

#[test]
fn a_full_disk_that_has_space_again_goes_on_without_a_restart() {
    let mut site = Site::new(u64::MAX).write_as(1);
    site.set("a", "1");
    site.sync();
    site.disk.set_capacity(Some(site.disk.used_bytes() + 5));
    site.set("b", "2");
    assert!(site.database.flush_all().is_err());
    assert!(!site.set("c", "3"));
    site.disk.set_capacity(None);
    site.database.flush_all().unwrap();
    assert!(site.set("c", "3"));
    assert!(
        site.database.checkpoint().unwrap(),
        "nothing was lost for the tree"
    );
    site.sync();
    let digest = site.digest();
    let again = site.crash(Crash::Power);
    assert_eq!(again.digest(), digest);
    assert_eq!(again.get("b").as_deref(), Some("2"));
}

#[test]
fn what_a_failed_sync_dropped_is_durable_after_the_restart_that_read_it() {
    for fails in [true, false] {
        let mut site = Site::new(u64::MAX).write_as(1);
        site.set("a", "1");
        site.sync();
        site.set("b", "2");
        site.database.flush_all().unwrap();
        if fails {
            site.disk.fail_syncs(1);
        } else {
            site.disk.fill_at_sync(1);
        }
        assert!(site.database.log.sync().is_err());
        assert!(!site.set("c", "3"), "refused until a restart");
        assert_eq!(site.get("b").as_deref(), Some("2"), "reads go on");
        // The kernel shows what it failed to save; the new process takes it for its log.
        let site = site.crash(Crash::Process);
        assert_eq!(site.get("b").as_deref(), Some("2"));
        let site = site.crash(Crash::Power);
        assert_eq!(site.get("b").as_deref(), Some("2"));
        assert_eq!(site.report.corruptions, []);
    }
}

#[test]
fn a_damaged_manifest_is_refused_with_its_remedy() {
    let mut site = Site::new(u64::MAX).write_as(1);
    site.set("a", "1");
    assert!(site.database.checkpoint().unwrap());
    let path = std::path::Path::new("db0/MANIFEST");
    let mut bytes = site.disk.bytes(path).unwrap();
    bytes[20] ^= 1;
    site.disk.put(path, bytes);
    let error = open(&site.disk, &site.engine, u64::MAX).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("db0/MANIFEST") && source.contains("resync"),
        "{source}"
    );
}

#[test]
fn an_incarnation_that_ended_is_never_written_again() {
    let mut site = Site::new(u64::MAX).write_as(1);
    site.set("a", "1");
    site.sync();
    let mut site = site.crash(Crash::Power);
    assert!(
        site.database.own().is_none(),
        "a restart writes nothing by itself"
    );
    assert!(!site.set("a", "2"));
    site = site.write_as(2);
    assert!(site.set("a", "2"));
    assert_eq!((site.row(1).high, site.row(2).high), (1, 1));
    let origins = site.database.commit().history.origins.clone();
    assert!(origins.get(&life(1)).is_some() && origins.get(&life(2)).is_some());
}
