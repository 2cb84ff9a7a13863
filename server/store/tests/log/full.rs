//! A disk that is full, and a disk that fails.

use crate::journal::{Journal, read_back};
use tandem_sim::disk::{Crash, SimDisk};
use tandem_store::log::LogError;

#[test]
fn a_full_disk_refuses_and_nothing_is_lost_when_space_returns() {
    // Every amount of space there may be within two batches, rolls included.
    for room in 0..2_200 {
        let disk = SimDisk::default();
        let mut journal = Journal::open(&disk, 700);
        journal.append(0, 100);
        journal.sync();
        disk.set_capacity(Some(disk.used_bytes() + room));
        for round in 0..2 {
            for length in [300, 500, 200] {
                journal.append(round, length);
            }
            match journal.flush() {
                Ok(()) => assert!(journal.log.check().is_ok()),
                Err(error) => {
                    assert!(matches!(error, LogError::Full), "room {room}: {error}");
                    assert!(
                        matches!(journal.log.check(), Err(LogError::Full)),
                        "room {room}"
                    );
                    assert!(journal.log.written() < journal.head());
                    assert!(matches!(journal.flush(), Err(LogError::Full)), "still full");
                }
            }
        }
        disk.set_capacity(None);
        assert_eq!(journal.sync(), journal.log.written(), "room {room}");
        assert!(journal.log.check().is_ok(), "room {room}");
        assert_eq!(journal.log.written(), journal.head(), "room {room}");
        journal.append(0, 50);
        journal.sync();
        let (found, recovered) = read_back(&disk, 0).unwrap();
        assert_eq!(found, journal.appended, "room {room}");
        assert_eq!(
            (recovered.corruptions.len(), recovered.torn_bytes),
            (0, 0),
            "room {room}"
        );
    }
}

#[test]
fn a_crash_on_a_full_disk_leaves_what_was_written() {
    for room in 0..1_500 {
        let disk = SimDisk::default();
        let mut journal = Journal::open(&disk, 700);
        journal.append(0, 100);
        journal.sync();
        disk.set_capacity(Some(disk.used_bytes() + room));
        for length in [300, 500, 200] {
            journal.append(0, length);
        }
        let written = journal
            .flush()
            .map_or(journal.log.written(), |()| journal.head());
        let (found, recovered) = read_back(&disk, 0).unwrap();
        assert_eq!(found, journal.appended[..found.len()], "room {room}");
        assert!(found.len() >= journal.count_upto(written), "room {room}");
        assert_eq!(recovered.corruptions, [], "room {room}");
    }
}

#[test]
fn a_failed_sync_stops_the_log_for_good() {
    let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
    journal.append(0, 10);
    let durable = journal.sync();
    journal.append(0, 20);
    journal.flush().unwrap();
    journal.disk.fail_syncs(1);
    assert!(matches!(journal.log.sync(), Err(LogError::Poisoned)));
    assert!(
        matches!(journal.log.sync(), Err(LogError::Poisoned)),
        "a second try would lie"
    );
    assert!(matches!(journal.log.check(), Err(LogError::Poisoned)));
    assert_eq!(journal.log.durable(), durable);
    journal.append(0, 30);
    assert!(matches!(journal.flush(), Err(LogError::Poisoned)));
    let again = Journal::open(&journal.disk, u64::MAX);
    assert!(
        again.log.check().is_ok(),
        "a restart has read what is there"
    );
    assert_eq!(again.appended, journal.appended[..2]);
}

#[test]
fn a_failed_sync_of_a_segment_that_ended_stops_the_log_too() {
    for full in [false, true] {
        let mut journal = Journal::open(&SimDisk::default(), 300);
        journal.append(0, 400);
        journal.append(0, 400);
        journal.append(0, 400);
        let durable = journal.log.durable();
        journal.flush().expect("writers do not wait for the disk");
        assert!(journal.log.has_ended());
        if full {
            journal.disk.fill_at_sync(1);
        } else {
            journal.disk.fail_syncs(1);
        }
        let error = journal
            .log
            .sync()
            .expect_err("the first of the syncs failed");
        assert_eq!(journal.log.durable(), durable, "full {full}");
        assert_eq!(matches!(error, LogError::Starved), full, "{error}");
        assert!(error.is_final() && error.to_string().contains("restart"));
        assert_eq!(error.to_string().contains("free space"), full, "{error}");
        assert!(journal.log.is_poisoned(), "full {full}");
        journal.log.sync().expect_err("a second try would lie");
        journal.append(0, 10);
        journal.flush().expect_err("refused until a restart");
        // The kernel shows what it failed to save; the restart saves all of it.
        let written = journal.count_upto(journal.log.written());
        let again = Journal::open(&journal.disk, 300);
        assert_eq!(again.appended, journal.appended[..written], "full {full}");
        journal.disk.crash(Crash::Power, &mut |_| 0);
        let again = Journal::open(&journal.disk, 300);
        assert_eq!(again.appended, journal.appended[..written], "full {full}");
    }
}

#[test]
fn writers_wait_for_the_disk_once_too_much_has_ended() {
    let mut journal = Journal::open(&SimDisk::default(), 1);
    for _ in 0..40 {
        journal.append(0, 10);
        journal.flush().unwrap();
    }
    let syncs = journal.disk.syncs();
    assert!((20..40).contains(&syncs), "{syncs}");
    journal.disk.fail_syncs(1);
    journal.append(0, 10);
    journal
        .flush()
        .expect_err("the sync is the writer's own now");
    assert!(journal.log.is_poisoned());
}
