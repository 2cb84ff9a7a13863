//! A reader that follows a log while it grows, and one whose place is purged.

use crate::journal::Journal;
use std::sync::Arc;
use tandem_sim::disk::SimDisk;
use tandem_store::log::{Class, LogReader, ReadError};

fn open(journal: &Journal, lsn: u64) -> LogReader {
    LogReader::open(Arc::clone(&journal.log), lsn).unwrap()
}

/// All records up to the limit.
fn records(reader: &mut LogReader, limit: u64) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut place = reader.lsn();
    while let Some(entry) = reader.next(limit).unwrap() {
        assert!(entry.start >= place && entry.end > entry.start && entry.end <= limit);
        place = entry.end;
        if entry.class == Class::Record {
            found.push(entry.payload.to_vec());
        }
    }
    found
}

#[test]
fn a_reader_follows_a_growing_log_across_segments() {
    for segment_bytes in [1, 500, 40_000, u64::MAX] {
        let mut journal = Journal::open(&SimDisk::default(), segment_bytes);
        let mut reader = open(&journal, 0);
        let mut seen = Vec::new();
        for round in 0..120usize {
            journal.append(
                round as u32 % 3,
                [3, 40_000, 90, 700, 32_750][round % 5] + round,
            );
            assert_eq!(
                records(&mut reader, journal.log.written()),
                Vec::<Vec<u8>>::new()
            );
            if round % 3 == 2 {
                journal.flush().unwrap();
                seen.extend(records(&mut reader, journal.log.written()));
                assert_eq!(seen.len(), journal.appended.len());
            }
            if round % 10 == 9 {
                journal.log.sync().unwrap();
            }
        }
        let written: Vec<_> = journal
            .appended
            .iter()
            .map(|one| one.bytes.clone())
            .collect();
        assert_eq!(seen, written, "segments of {segment_bytes}");
        for info in journal.log.segments() {
            let mut late = open(&journal, info.base);
            let behind = journal.count_upto(info.base);
            assert_eq!(records(&mut late, journal.log.written()), written[behind..]);
        }
    }
}

#[test]
fn a_reader_beside_a_full_disk_sees_only_what_is_whole() {
    for room in (0..2_000).step_by(13) {
        let disk = SimDisk::default();
        let mut journal = Journal::open(&disk, 900);
        journal.append(0, 100);
        journal.flush().unwrap();
        let mut reader = open(&journal, 0);
        let mut seen = records(&mut reader, journal.log.written());
        disk.set_capacity(Some(disk.used_bytes() + room));
        for length in [300, 500, 700] {
            journal.append(0, length);
        }
        let _full = journal.flush();
        seen.extend(records(&mut reader, journal.log.written()));
        disk.set_capacity(None);
        journal.sync();
        seen.extend(records(&mut reader, journal.log.written()));
        let written: Vec<_> = journal
            .appended
            .iter()
            .map(|one| one.bytes.clone())
            .collect();
        assert_eq!(seen, written, "room {room}");
    }
}

#[test]
fn a_reader_whose_segment_was_purged_is_told_so() {
    let mut journal = Journal::open(&SimDisk::default(), 200);
    for _ in 0..10 {
        journal.append(0, 150);
    }
    journal.sync();
    let limit = journal.log.written();
    let segments = journal.log.segments();
    assert!(segments.len() > 4);
    let mut at_the_end = open(&journal, segments[0].base);
    let first = records(&mut at_the_end, segments[1].base);
    assert_eq!(first.len(), journal.count_upto(segments[1].base));
    let mut knows_the_next = open(&journal, segments[0].base);
    assert!(knows_the_next.next(limit).unwrap().is_some());
    for info in &segments[..3] {
        journal.log.remove_oldest(info.number).unwrap();
    }
    assert!(matches!(
        at_the_end.next(limit),
        Err(ReadError::Purged { .. })
    ));
    assert!(
        matches!(at_the_end.next(limit), Err(ReadError::Purged { .. })),
        "and again"
    );
    // What it has open can still be read; then it finds the gap.
    let told = loop {
        match knows_the_next.next(limit) {
            Ok(Some(entry)) => assert!(entry.end <= segments[1].base),
            other => break other.map(|_| ()),
        }
    };
    assert!(matches!(told, Err(ReadError::Purged { .. })), "{told:?}");
    let gone = LogReader::open(Arc::clone(&journal.log), segments[1].base);
    assert!(matches!(gone, Err(ReadError::Purged { .. })));
    let mut kept = open(&journal, segments[3].base);
    let behind = journal.count_upto(segments[3].base);
    assert_eq!(
        records(&mut kept, limit).len(),
        journal.appended.len() - behind
    );
}

#[test]
fn a_damaged_place_is_named_and_stays_the_readers_place() {
    let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
    for length in [100, 70_000, 100] {
        journal.append(0, length);
    }
    journal.sync();
    let path = crate::journal::segment(1);
    let mut bytes = journal.disk.bytes(&path).unwrap();
    bytes[40_000] ^= 1;
    journal.disk.put(&path, bytes);
    let mut reader = open(&journal, 0);
    let limit = journal.log.written();
    for _ in 0..3 {
        assert!(
            reader.next(limit).unwrap().is_some(),
            "head, origin and first record are whole"
        );
    }
    let place = reader.position();
    for _ in 0..2 {
        match reader.next(limit) {
            Err(ReadError::Damaged { position, .. }) => {
                assert_eq!(position.segment, 1);
                assert!(
                    (place.offset..=40_000).contains(&position.offset),
                    "{position:?}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.position(), place);
    }
}
