//! Bytes that change on the disk: what was durable is reported with its place, what was not is cut.

use crate::journal::{Appended, Journal, read_back, segment};
use std::io;
use tandem_sim::disk::SimDisk;
use tandem_store::log::{Corruption, Damage, Recovered};

const BLOCK: u64 = 32 << 10;

/// A log of one segment over two blocks, whose marks say that the bytes below the returned lsn
/// were durable.
fn marked() -> (Journal, u64) {
    let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
    let mut durable = 0;
    for length in [20, 700, 3_000, 9_000, 500, 15_000, 6_000, 2_000, 90] {
        journal.append(u32::from(length > 2_500), length);
        durable = journal.log.durable();
        journal.sync();
    }
    journal.append(0, 300);
    journal.flush().unwrap();
    assert!(durable > BLOCK && durable < journal.head());
    // The last batch carries the mark.
    let durable = journal.log.durable();
    (journal, durable)
}

fn flip(journal: &Journal, number: u64, at: u64) -> SimDisk {
    let disk = journal.disk.copy();
    let mut bytes = disk.bytes(&segment(number)).unwrap();
    bytes[at as usize] ^= 1 << (at % 8);
    disk.put(&segment(number), bytes);
    disk
}

/// Zeros at the end of a block, where no fragment fits: nobody reads them.
fn is_padding(journal: &Journal, base: u64, at: u64) -> bool {
    let next_block = (at / BLOCK + 1) * BLOCK;
    next_block - at <= 7
        && !journal.appended.iter().any(|one| {
            let start = one.end - one.bytes.len() as u64;
            start <= base + at && base + at < one.end
        })
}

/// One place is reported, and beside it only records whose origins were announced there; nothing
/// but what is reported is missing.
fn check_reported(
    found: &[Appended],
    recovered: &Recovered,
    journal: &Journal,
    number: u64,
    at: u64,
) {
    let (unannounced, places): (Vec<_>, Vec<_>) = recovered
        .corruptions
        .iter()
        .partition(|one| one.damage == Damage::Unannounced);
    let [place] = places.as_slice() else {
        panic!("byte {at}: {:?}", recovered.corruptions);
    };
    let first = place.position.offset;
    assert_eq!(place.position.segment, number, "byte {at}");
    assert!(
        first <= at && at < first + place.bytes,
        "byte {at}: {place:?}"
    );
    let base = recovered.segments[&number].base;
    let is_in = |one: &&Appended, spoilt: &Corruption| {
        let begin = base + spoilt.position.offset;
        begin < one.end && one.end <= begin + spoilt.bytes
    };
    let is_spoilt = |one: &&Appended| {
        recovered
            .corruptions
            .iter()
            .any(|spoilt| is_in(one, spoilt))
    };
    let known = |one: &&Appended| {
        let before = journal.appended.iter().filter(|other| {
            base <= other.end && other.end <= base + first && other.origin() == one.origin()
        });
        before.count() > 0
    };
    for lost in &unannounced {
        assert!(first + place.bytes <= lost.position.offset, "byte {at}");
        let mut records = journal.appended.iter().filter(|one| is_in(one, lost));
        assert!(
            !records.any(|one| known(&one)),
            "byte {at}: its origin was known"
        );
    }
    let kept: Vec<&Appended> = journal
        .appended
        .iter()
        .filter(|one| !is_spoilt(one))
        .collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), kept, "byte {at}");
}

#[test]
fn every_flipped_byte_that_was_durable_is_reported_and_every_later_one_is_cut() {
    let (journal, durable) = marked();
    let length = journal.disk.bytes(&segment(1)).unwrap().len() as u64;
    let (mut reported, mut cut) = (0, 0);
    for at in 0..length {
        let disk = flip(&journal, 1, at);
        match read_back(&disk, 0) {
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(at < 40, "byte {at} is not of the head: {error}");
                let text = error.to_string();
                assert!(
                    text.contains("log.0000000001") && text.contains("offset 0"),
                    "{text}"
                );
            }
            Ok((found, _)) if is_padding(&journal, 0, at) => assert_eq!(found, journal.appended),
            Ok((found, recovered)) if at < durable => {
                check_reported(&found, &recovered, &journal, 1, at);
                assert_eq!(recovered.torn_bytes, 0, "byte {at}");
                reported += 1;
            }
            Ok((found, recovered)) => {
                assert_eq!(recovered.corruptions, [], "byte {at}");
                assert!(recovered.torn_bytes > 0, "byte {at}");
                assert_eq!(found, journal.appended[..found.len()], "byte {at}");
                assert!(found.len() >= journal.count_upto(durable), "byte {at}");
                let mut again = Journal::open(&disk, u64::MAX);
                assert_eq!(again.recovered.torn_bytes, 0, "byte {at} was cut already");
                again.append(0, 10);
                again.sync();
                assert_eq!(read_back(&disk, 0).unwrap().0, again.appended, "byte {at}");
                cut += 1;
            }
        }
    }
    assert!(
        reported > 30_000 && cut > 300,
        "{reported} reported, {cut} cut"
    );
}

/// Bytes of the head of a log that begins empty, at most.
const FIRST_HEAD_BYTES: u64 = 20;

/// Several segments that are written and nothing more.
fn rolled() -> Journal {
    let mut journal = Journal::open(&SimDisk::default(), 3_000);
    for length in [400, 10, 900, 2_000, 300, 800, 1_500, 60, 700, 5] {
        journal.append(length % 3, length as usize);
        journal.flush().unwrap();
    }
    journal
}

#[test]
fn every_flipped_byte_of_a_closed_segment_that_was_never_durable_is_cut_with_all_behind_it() {
    let journal = rolled();
    let segments = journal.log.segments();
    let mut cut = 0;
    for info in &segments[..segments.len() - 1] {
        let length = journal.disk.bytes(&segment(info.number)).unwrap().len() as u64;
        for at in 0..length {
            let disk = flip(&journal, info.number, at);
            let place = format!("segment {} byte {at}", info.number);
            if info.number == 1 && at < FIRST_HEAD_BYTES {
                // A log begins with a head that is durable, and a mark says so.
                read_back(&disk, 0).expect_err("damage");
                continue;
            }
            let (found, recovered) = read_back(&disk, 0).unwrap();
            assert_eq!(recovered.corruptions, [], "{place}");
            assert_eq!(found, journal.appended[..found.len()], "{place}");
            let before = journal
                .appended
                .iter()
                .take_while(|one| one.end <= info.base + at);
            assert!(found.len() >= before.count(), "{place}");
            if is_padding(&journal, info.base, at) {
                assert_eq!(found, journal.appended, "{place}");
                continue;
            }
            assert!(found.len() < journal.appended.len(), "{place}");
            let newest = recovered.position.segment;
            let left = disk.files_in(std::path::Path::new("log"));
            assert_eq!(left.last(), Some(&segment(newest)), "{place}");
            assert!(newest <= info.number.max(1), "{place}");
            let mut again = Journal::open(&disk, 3_000);
            assert_eq!(again.recovered.torn_bytes, 0, "{place}: cut already");
            again.append(0, 2_990);
            again.append(1, 20);
            again.sync();
            assert_eq!(read_back(&disk, 0).unwrap().0, again.appended, "{place}");
            cut += 1;
        }
    }
    assert!(cut > 5_000, "{cut}");
}

#[test]
fn every_flipped_byte_of_a_closed_segment_is_reported() {
    let mut journal = rolled();
    journal.sync();
    // Its batch carries the mark.
    journal.append(0, 10);
    journal.flush().unwrap();
    let segments = journal.log.segments();
    assert!(segments.len() >= 3);
    for info in &segments[..segments.len() - 1] {
        let length = journal.disk.bytes(&segment(info.number)).unwrap().len() as u64;
        for at in 0..length {
            match read_back(&flip(&journal, info.number, at), 0) {
                Ok((found, recovered)) => {
                    check_reported(&found, &recovered, &journal, info.number, at);
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                    assert!(error.to_string().contains("offset 0"), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_young_segment_with_a_damaged_head_is_not_thrown_away_once_it_was_durable() {
    let mut journal = Journal::open(&SimDisk::default(), 500);
    journal.append(0, 600);
    journal.append(0, 10);
    journal.sync();
    journal.append(0, 20);
    journal.sync();
    let newest = journal.log.newest();
    assert_eq!(newest, 2);
    let error = read_back(&flip(&journal, newest, 9), 0).expect_err("its records were durable");
    assert!(error.to_string().contains("log.0000000002"), "{error}");
}

#[test]
fn a_closed_segment_that_ends_early_is_reported() {
    let mut journal = Journal::open(&SimDisk::default(), 300);
    for _ in 0..8 {
        journal.append(0, 120);
    }
    journal.sync();
    journal.append(0, 20);
    journal.flush().unwrap();
    let bytes = journal.disk.bytes(&segment(1)).unwrap();
    let second = journal.log.segments()[1].base;
    // Cut exactly behind a record: every entry that is left is whole.
    let cut = journal
        .appended
        .iter()
        .rev()
        .find(|one| one.end < second)
        .unwrap()
        .end;
    let disk = journal.disk.copy();
    disk.put(&segment(1), bytes[..cut as usize].to_vec());
    let (found, recovered) = read_back(&disk, 0).unwrap();
    assert_eq!(recovered.corruptions.len(), 1);
    assert_eq!(recovered.corruptions[0].position.offset, cut);
    assert_eq!(recovered.corruptions[0].bytes, second - cut);
    assert_eq!(recovered.corruptions[0].damage, Damage::Missing);
    assert_eq!(found.len(), journal.appended.len() - 1);
}

#[test]
fn a_closed_segment_that_was_never_durable_may_end_anywhere() {
    let journal = rolled();
    let segments = journal.log.segments();
    for info in &segments[..segments.len() - 1] {
        let bytes = journal.disk.bytes(&segment(info.number)).unwrap();
        for length in 0..bytes.len() {
            let disk = journal.disk.copy();
            disk.put(&segment(info.number), bytes[..length].to_vec());
            let whole = journal.count_upto(info.base + length as u64);
            let mut again = Journal::open(&disk, 3_000);
            let place = format!("segment {} cut at {length}", info.number);
            assert_eq!(again.recovered.corruptions, [], "{place}");
            assert_eq!(again.appended, journal.appended[..whole], "{place}");
            again.append(2, 3_100);
            again.append(0, 5);
            again.sync();
            let (found, recovered) = read_back(&disk, 0).unwrap();
            assert_eq!(found, again.appended, "{place}, then more");
            assert_eq!(recovered.torn_bytes, 0, "{place}");
        }
    }
}

#[test]
fn a_head_that_no_crash_leaves_is_never_taken_for_a_torn_one() {
    let journal = rolled();
    let disk = journal.disk.copy();
    disk.put(&segment(2), disk.bytes(&segment(3)).unwrap());
    let error = read_back(&disk, 0).expect_err("a whole head of another segment");
    assert!(error.to_string().contains("log.0000000002"), "{error}");
    assert!(disk.bytes(&segment(3)).is_some(), "nothing was removed");
}

#[test]
fn a_segment_that_is_missing_is_reported() {
    let mut journal = Journal::open(&SimDisk::default(), 300);
    for _ in 0..12 {
        journal.append(0, 120);
    }
    journal.sync();
    let segments = journal.log.segments();
    assert!(segments.len() >= 4);
    let disk = journal.disk.copy();
    tandem_store::disk::Disk::remove(&disk, &segment(2)).unwrap();
    let (found, recovered) = read_back(&disk, 0).unwrap();
    let lost = segments[1].base..segments[2].base;
    assert_eq!(recovered.corruptions.len(), 1);
    let corruption = &recovered.corruptions[0];
    assert_eq!(
        (corruption.bytes, corruption.damage),
        (lost.end - lost.start, Damage::Missing)
    );
    assert_eq!(
        found.len(),
        journal.count_upto(lost.start) + journal.appended.len() - journal.count_upto(lost.end)
    );
    // Below the place where replay begins it is what a purge left behind, and goes.
    let (_, recovered) = read_back(&disk, segments[2].base).unwrap();
    assert_eq!(recovered.corruptions, []);
    assert_eq!(recovered.segments.keys().next(), Some(&3));
    assert_eq!(disk.bytes(&segment(1)), None);
}

#[test]
fn damage_below_the_checkpoint_is_no_torn_tail_and_what_follows_it_is_found_again() {
    let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
    for length in [100, 200, 300] {
        journal.append(0, length);
    }
    // Synced and checkpointed, but no later batch carries a mark of it.
    let checkpoint = journal.sync();
    let last = journal.appended[1].end;
    for spoil in [true, false] {
        let disk = journal.disk.copy();
        let mut bytes = disk.bytes(&segment(1)).unwrap();
        if spoil {
            bytes[last as usize + 30] ^= 4;
        } else {
            bytes.truncate(last as usize);
        }
        disk.put(&segment(1), bytes);
        let (found, recovered) = read_back(&disk, checkpoint).unwrap();
        assert_eq!((found.len(), recovered.torn_bytes), (0, 0));
        assert_eq!(recovered.corruptions.len(), 1);
        assert_eq!(recovered.corruptions[0].position.offset, last);
        assert!(recovered.base + recovered.position.offset >= checkpoint);
        let mut again = Journal::open_from(&disk, u64::MAX, checkpoint);
        assert!(
            again.head() >= checkpoint,
            "else the next replay would pass over what comes now"
        );
        again.append(0, 50);
        again.sync();
        let (found, _) = read_back(&disk, checkpoint).unwrap();
        assert_eq!((found.len(), &found), (1, &again.appended));
        let (found, recovered) = read_back(&disk, 0).unwrap();
        assert_eq!(found, [&journal.appended[..2], &again.appended].concat());
        assert_eq!(recovered.corruptions.len(), 1, "it stays reported");
    }
}

#[test]
fn origins_announced_in_a_damaged_place_are_not_taken_for_others() {
    let mut journal = Journal::open(&SimDisk::default(), u64::MAX);
    journal.append(0, 20);
    journal.sync();
    // Origin 1 is announced here, in the place that will be damaged.
    let place = journal.head();
    journal.append(1, 31_000);
    journal.append(0, 3_000);
    for number in [2, 1, 0, 2] {
        journal.append(number, 50);
    }
    journal.sync();
    journal.append(0, 60);
    journal.sync();
    let (found, recovered) = read_back(&flip(&journal, 1, place + 9), 0).unwrap();
    assert!(
        recovered.corruptions.len() > 1,
        "unreadable place, and records of unknown origins"
    );
    let unknown: Vec<Damage> = recovered.corruptions[1..]
        .iter()
        .map(|one| one.damage)
        .collect();
    assert!(
        unknown.iter().all(|one| *one == Damage::Unannounced),
        "{unknown:?}"
    );
    // `read_back` compares each record's origin; only those of origin 0 can still be told.
    assert_eq!(found.len(), 4, "{found:?}");
}
