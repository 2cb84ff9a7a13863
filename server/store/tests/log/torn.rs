//! A log that ends anywhere: its whole records are there, the rest is cut, and appending goes on.

use crate::journal::{Journal, read_back, segment};
use tandem_sim::disk::{Crash, SimDisk};

/// Cuts the newest of these segments at every byte and checks what comes back.
fn cut_everywhere(journal: &Journal, newest: u64, base: u64) {
    let bytes = journal.disk.bytes(&segment(newest)).unwrap();
    for length in 0..=bytes.len() {
        let disk = journal.disk.copy();
        disk.put(&segment(newest), bytes[..length].to_vec());
        let whole = journal.count_upto(base + length as u64);
        let mut again = Journal::open(&disk, u64::MAX);
        assert_eq!(again.appended, journal.appended[..whole], "cut at {length}");
        assert_eq!(again.recovered.corruptions, [], "cut at {length}");
        again.append(0, 40);
        again.sync();
        let (found, recovered) = read_back(&disk, 0).unwrap();
        assert_eq!(found, again.appended, "cut at {length}, then one more");
        assert_eq!(
            (recovered.corruptions.len(), recovered.torn_bytes),
            (0, 0),
            "cut at {length}"
        );
    }
}

#[test]
fn a_log_cut_at_every_byte_gives_the_records_before_the_cut_and_goes_on() {
    let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
    for length in [20, 300, 4_000, 1, 9_000] {
        journal.append(0, length);
        journal.flush().unwrap();
    }
    // Across the first block's end, and one that ends in its padding.
    for length in [12_000, 8_000, 0, 700] {
        journal.append(1, length);
    }
    journal.flush().unwrap();
    cut_everywhere(&journal, 1, 0);
}

#[test]
fn a_young_segment_cut_at_every_byte_leaves_the_one_before_it_whole() {
    let mut journal = Journal::open(&SimDisk::default(), 600);
    for round in 0..8 {
        journal.append(round % 3, 150);
        journal.flush().unwrap();
    }
    let newest = journal.log.segments().pop().unwrap();
    assert!(newest.number > 1);
    cut_everywhere(&journal, newest.number, newest.base);
}

#[test]
fn a_record_that_ends_in_or_near_the_padding_is_followed_by_the_next() {
    for short in 0..24 {
        let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
        let room = (32 << 10) - journal.head() as usize;
        // The first record announces its origin, too; the second ends `short` before the block does.
        journal.append(0, 100);
        let used = journal.head() as usize - ((32 << 10) - room);
        let mut header = Vec::new();
        let index = tandem_merge::OriginIndex(0);
        tandem_merge::record::encode_plain(index, 2, 1 << 17, &mut header);
        journal.append(0, room - used - 7 - header.len() - short);
        assert_eq!(journal.head() as usize, (32 << 10) - short);
        journal.append(0, 0);
        journal.append(0, 33_000);
        journal.sync();
        let (found, _) = read_back(&journal.disk, 0).unwrap();
        assert_eq!(
            found, journal.appended,
            "{short} bytes before the end of the block"
        );
    }
}

#[test]
fn what_was_synced_survives_any_loss_of_power() {
    let mut state = 7u64;
    let mut below = move |count: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % count
    };
    for round in 0..1_500 {
        let disk = SimDisk::default();
        let segment_bytes = [600, 5_000, 1 << 20][round % 3];
        let mut safe = 0;
        let mut before = Vec::new();
        for _ in 0..4 {
            let mut journal = Journal::open(&disk, segment_bytes);
            assert!(
                before.starts_with(&journal.appended),
                "round {round}: not what was written, up to some record"
            );
            assert!(
                journal.appended.len() >= safe,
                "round {round}: a durable record is gone"
            );
            assert_eq!(journal.recovered.corruptions, [], "round {round}");
            let seldom = [4, 4, 25][below(3)];
            for _ in 0..below(30) {
                let length = [10, 200, 3_000, 40_000][below(4)];
                journal.append(below(3) as u32, length);
                match below(seldom) {
                    0 => {
                        journal.sync();
                    }
                    1..=4 => journal.flush().unwrap(),
                    _ => {}
                }
            }
            safe = journal.count_upto(journal.log.durable());
            let how = [Crash::Power, Crash::Power, Crash::Process][below(3)];
            if how == Crash::Process {
                safe = journal.count_upto(journal.log.written());
            }
            before = journal.appended;
            disk.crash(how, &mut below);
        }
    }
}
