//! Segments: where one ends and the next begins changes nothing of what is read.

use crate::journal::{Journal, read_back, segment};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_sim::disk::{Crash, SimDisk};

#[test]
fn sizes_of_segments_and_records_change_nothing_of_what_is_read() {
    // Smaller than a record, than a head, than a block; and larger than all.
    for segment_bytes in [1, 64, 1_000, 33_000, 100_000, 1 << 30] {
        let disk = SimDisk::default();
        let mut written = Vec::new();
        for _ in 0..3 {
            let mut journal = Journal::open(&disk, segment_bytes);
            assert_eq!(journal.appended, written, "segments of {segment_bytes}");
            for length in [5, 32_768, 100, 70_000, 32_000, 0, 761, 200_000, 3] {
                journal.append(length as u32 % 4, length);
                if length % 2 == 1 {
                    journal.flush().unwrap();
                }
            }
            journal.sync();
            written = journal.appended;
        }
        let (found, recovered) = read_back(&disk, 0).unwrap();
        assert_eq!(found, written, "segments of {segment_bytes}");
        assert_eq!((recovered.corruptions.len(), recovered.torn_bytes), (0, 0));
    }
}

#[test]
fn replay_can_begin_at_every_record() {
    let mut journal = Journal::open(&SimDisk::default(), 2_000);
    for round in 0..30 {
        journal.append(round % 3, 37 * round as usize);
        if round % 4 == 0 {
            journal.sync();
        }
    }
    journal.sync();
    for at in 0..journal.appended.len() {
        let (found, _) = read_back(&journal.disk, journal.appended[at].end).unwrap();
        assert_eq!(found, journal.appended[at + 1..]);
    }
}

#[test]
fn heads_tell_what_was_held_when_the_segment_began() {
    let mut journal = Journal::open(&SimDisk::default(), 400);
    for _ in 0..20 {
        journal.append(0, 100);
    }
    journal.sync();
    let (_, recovered) = read_back(&journal.disk, 0).unwrap();
    assert!(recovered.segments.len() > 3);
    assert_eq!(
        recovered.segments.into_values().collect::<Vec<_>>(),
        journal.log.segments()
    );
    for info in journal.log.segments() {
        let held = info.vv.high(tandem_merge::OriginIndex(0));
        assert_eq!(held, journal.count_upto(info.base) as u64);
    }
}

#[test]
fn segments_that_were_not_synced_are_one_torn_tail() {
    let mut journal = Journal::open(&SimDisk::default(), 300);
    journal.append(0, 200);
    let durable = journal.sync();
    let syncs = journal.disk.syncs();
    for _ in 0..6 {
        journal.append(0, 200);
    }
    journal.flush().unwrap();
    assert_eq!(journal.disk.syncs(), syncs, "no writer waits for the disk");
    assert_eq!(journal.log.durable(), durable);
    let newest = journal.log.newest();
    assert!(newest > 2);
    journal.disk.crash(Crash::Power, &mut |_| 0);
    let (found, recovered) = read_back(&journal.disk, 0).unwrap();
    assert_eq!(recovered.corruptions, []);
    assert_eq!(found, journal.appended[..1]);
    for number in 2..=newest {
        let gone = journal.disk.bytes(&segment(number)).is_none();
        assert!(gone, "segment {number} has no head and is removed");
    }
}

#[test]
fn a_sync_saves_what_has_ended_and_creates_the_next_file() {
    let mut journal = Journal::open(&SimDisk::default(), 300);
    for _ in 0..6 {
        journal.append(0, 200);
    }
    journal.sync();
    assert!(!journal.log.has_ended());
    let newest = journal.log.newest();
    assert_eq!(journal.log.segments().len() as u64, newest);
    let ahead = journal.disk.bytes(&segment(newest + 1));
    assert_eq!(ahead, Some(Vec::new()), "empty, and not of the log yet");
    journal.disk.crash(Crash::Power, &mut |_| 0);
    let mut again = Journal::open(&journal.disk, 300);
    assert_eq!(again.appended, journal.appended);
    again.append(0, 200);
    again.sync();
    let creates = again.disk.creates();
    let newest = again.log.newest();
    while again.log.newest() == newest {
        again.append(0, 200);
        again.flush().unwrap();
    }
    assert_eq!(again.disk.creates(), creates, "no writer creates it");
    again.sync();
    assert_eq!(read_back(&again.disk, 0).unwrap().0, again.appended);
}

#[test]
fn segments_begin_and_end_while_others_sync() {
    let mut journal = Journal::open(&SimDisk::default(), 300);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let log = Arc::clone(&journal.log);
            scope.spawn(|| {
                let log = log;
                let mut durable = 0;
                while !is_done.load(Ordering::Acquire) {
                    let upto = log.sync().expect("syncs");
                    assert!(upto >= durable, "what is durable stays so");
                    durable = upto;
                }
            });
        }
        for _ in 0..20_000 {
            journal.append(0, 100);
            journal.flush().unwrap();
        }
        is_done.store(true, Ordering::Release);
    });
    assert!(journal.log.newest() > 5_000);
    assert_eq!(journal.sync(), journal.head());
    journal.disk.crash(Crash::Power, &mut |_| 0);
    let (found, recovered) = read_back(&journal.disk, 0).unwrap();
    assert_eq!(found.len(), journal.appended.len());
    assert!(found == journal.appended);
    assert_eq!((recovered.corruptions.len(), recovered.torn_bytes), (0, 0));
}
