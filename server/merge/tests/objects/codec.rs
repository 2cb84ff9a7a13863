//! Effects, records and histories as bytes: round trips, every truncation, random bytes.

use crate::random::Random;
use crate::sample::{Owned, Table};
use tandem_merge::codec::Reader;
use tandem_merge::site::Site;
use tandem_merge::{
    DecodeError, Draft, EffectReader, EffectWriter, History, Kind, NEVER, Number, Object, Origin,
    OriginIndex, RecordHeader, Row, VersionVector,
};

fn read_all(bytes: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut reader = EffectReader::new(bytes);
    let mut out = Vec::new();
    while let Some(effect) = reader.next_effect()? {
        effect.marks().for_each(|_, _, _| {})?;
        out.push(format!("{effect:?}"));
    }
    Ok(out)
}

#[test]
fn effects_come_back_as_they_were_written() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut table = Table::new();
        let object = Object::new(b"key");
        let list: Vec<Owned> = (0..random.between(1, 8))
            .map(|_| {
                let mut owned = Owned::random(&mut random, &mut table, &object);
                owned.key = random
                    .pick(&["key", "key", "other", ""])
                    .as_bytes()
                    .to_vec();
                owned
            })
            .collect();
        let mut out = EffectWriter::default();
        let mut expected = Vec::new();
        let mut ends = Vec::new();
        for owned in &list {
            owned.with(|effect| {
                out.push(effect);
                expected.push(format!("{effect:?}"));
            });
            ends.push(out.bytes().len());
        }
        assert_eq!(read_all(out.bytes()).unwrap(), expected, "seed {seed}");
        assert_eq!(out.len(), list.len());
        for length in 0..out.bytes().len() {
            let whole = ends.iter().position(|end| *end == length).map(|at| at + 1);
            let read = read_all(&out.bytes()[..length]);
            match whole {
                Some(count) => assert_eq!(read.unwrap(), expected[..count]),
                None => assert_eq!(read.is_err(), length > 0, "seed {seed} length {length}"),
            }
        }
    }
}

#[test]
fn random_bytes_never_make_a_reader_panic() {
    let mut good = 0;
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let small = random.chance(0.5);
        let bytes: Vec<u8> = (0..random.below(80))
            .map(|_| {
                if small {
                    random.bits() as u8 % 10
                } else {
                    random.bits() as u8
                }
            })
            .collect();
        good += usize::from(read_all(&bytes).is_ok());
        good += usize::from(RecordHeader::decode(&bytes).is_ok());
        good += usize::from(History::decode(&mut Reader::new(&bytes)).is_ok());
        good += usize::from(Object::decode(b"key", &bytes, &Some).is_ok());
        good += usize::from(VersionVector::decode(&mut Reader::new(&bytes)).is_ok());
    }
    assert!(good > 0, "some random bytes mean something");
}

fn random_header(random: &mut Random) -> RecordHeader {
    let origin = OriginIndex(random.below(300) as u32);
    let mut header = RecordHeader::plain(origin, random.bits() | 1, random.bits());
    for _ in 0..random.below(3) {
        let high = random.between(5, 1000) as u64;
        let holes = if random.chance(0.5) {
            vec![(2, 3), (5, 5)]
        } else {
            Vec::new()
        };
        header
            .gains
            .push((OriginIndex(random.below(9) as u32), Row { high, holes }));
    }
    header.whole = random.chance(0.3);
    header.settled = random.chance(0.3);
    for _ in 0..random.below(3) {
        let server_id = random.below(9) as u32;
        header.closes.push(Origin {
            server_id,
            epoch: 3,
            incarnation: random.bits(),
        });
    }
    header
}

#[test]
fn headers_come_back_and_no_shorter_ones_are_taken() {
    for seed in 0..500 {
        let header = random_header(&mut Random::new(seed));
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes.extend_from_slice(b"effects");
        let (read, rest) = RecordHeader::decode(&bytes).unwrap();
        assert_eq!((&read, rest), (&header, &b"effects"[..]));
        let peeked = tandem_merge::record::peek(&bytes).unwrap();
        assert_eq!(peeked, (header.origin, header.sequence));
        for length in 0..bytes.len() - b"effects".len() {
            assert!(RecordHeader::decode(&bytes[..length]).is_err());
        }
    }
}

/// A history with gains, holes, closed lives and losses.
fn history() -> History {
    let mut one = Site::new(1, &[1, 2], 30);
    let mut two = Site::new(2, &[1, 2], 30);
    let write = |site: &mut Site, settled, closes: &[Origin]| {
        let mut run = |draft: &mut Draft<'_>, _: &std::collections::BTreeMap<Vec<u8>, Object>| {
            draft.set(b"key", b"value", NEVER);
            draft
                .add(b"hash", Kind::Hash, b"field", Number::Int(1))
                .unwrap();
        };
        site.write(5, &mut || 7, Some(&mut run), settled, closes)
            .unwrap()
    };
    let first = write(&mut one, false, &[]);
    for record in one.serve(&two.data.held()).unwrap() {
        two.apply(&record).unwrap();
    }
    write(&mut two, true, &[first.origin]);
    for _ in 0..3 {
        write(&mut one, false, &[]);
    }
    two.start_from_now(&one);
    two.declare_lost(first.origin, 9);
    two.data.history.raise_base(OriginIndex(0), 1);
    two.data.history
}

#[test]
fn a_history_comes_back_and_no_shorter_one_is_taken() {
    let history = history();
    assert!(history.vv.has_holes() && !history.ends.is_empty() && !history.lost.is_empty());
    let mut bytes = Vec::new();
    history.encode(&mut bytes);
    let mut reader = Reader::new(&bytes);
    assert_eq!(History::decode(&mut reader).unwrap(), history);
    assert!(reader.is_empty());
    for length in 0..bytes.len() {
        assert!(History::decode(&mut Reader::new(&bytes[..length])).is_err());
    }
    bytes[0] += 1;
    assert!(
        History::decode(&mut Reader::new(&bytes)).is_err(),
        "a later format is refused"
    );
}
