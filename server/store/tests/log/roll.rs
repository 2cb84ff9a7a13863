//! Segments: where one ends and the next begins changes nothing of what is read.

use crate::journal::{Journal, read_back, segment};
use tandem_sim::disk::SimDisk;

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
fn a_segment_is_durable_before_the_next_one_exists() {
    let mut journal = Journal::open(&SimDisk::default(), 300);
    for _ in 0..6 {
        journal.append(0, 200);
    }
    journal.flush().unwrap();
    let newest = journal.log.newest();
    assert!(newest > 2);
    journal
        .disk
        .crash(tandem_sim::disk::Crash::Power, &mut |_| 0);
    let (found, recovered) = read_back(&journal.disk, 0).unwrap();
    assert_eq!(recovered.corruptions, []);
    assert_eq!(found, journal.appended[..found.len()]);
    assert!(found.len() >= journal.count_upto(journal.log.segments().pop().unwrap().base));
    assert!(
        journal.disk.bytes(&segment(newest)).is_none(),
        "a segment without a head is removed"
    );
}
