//! Claims about hashes.

use crate::testing::{Site, run_cases};
use std::collections::BTreeSet;
use tandem_proto::Protocol;
use tandem_proto::value::{Value, decode};

#[test]
fn hashes_answer_as_redis_does() {
    let (commands, _) = run_cases(include_str!("../../tests/cases/hash.txt"));
    assert!(commands > 200, "{commands} commands");
}

/// A hash of `count` fields in a new site.
fn site_with(count: usize) -> Site {
    let mut site = Site::new();
    for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
        let pairs: Vec<String> = chunk.iter().map(|n| format!("field:{n} {n}")).collect();
        site.run(&format!("HSET h {}", pairs.join(" ")));
    }
    site
}

fn value_of(site: &mut Site, line: &str) -> Value {
    let reply = site.run(line);
    decode(&reply).expect("a reply").expect("a whole reply").0
}

/// The cursor and the fields with values of one HSCAN.
fn scan(site: &mut Site, cursor: u64, options: &str) -> (u64, Vec<(String, String)>) {
    let reply = value_of(site, &format!("HSCAN h {cursor} {options}"));
    let parts = reply.as_elements().expect("cursor and fields");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let fields = parts[1].as_elements().expect("fields").chunks(2);
    let fields = fields
        .map(|pair| (text(&pair[0]), text(&pair[1])))
        .collect();
    (text(&parts[0]).parse().expect("a cursor"), fields)
}

#[test]
fn hscan_gives_every_field_once_while_nothing_changes() {
    for (count, options) in [
        (600, ""),
        (600, "COUNT 1"),
        (2000, "COUNT 7"),
        (5000, "COUNT 100"),
    ] {
        let mut site = site_with(count);
        let (mut cursor, mut seen, mut calls) = (0, BTreeSet::new(), 0);
        loop {
            let (next, fields) = scan(&mut site, cursor, options);
            assert!(next < 1 << 53, "cursor {next}");
            for (field, value) in fields {
                assert_eq!(field, format!("field:{value}"));
                assert!(seen.insert(field), "given twice");
            }
            calls += 1;
            if next == 0 {
                break;
            }
            assert!(next > cursor, "a cursor that goes back");
            cursor = next;
        }
        assert_eq!(seen.len(), count);
        assert!(
            calls > 5,
            "{calls} calls for {count} fields with {options:?}"
        );
    }
}

#[test]
fn hscan_gives_what_stays_while_others_come_and_go() {
    let mut site = site_with(1500);
    let (mut cursor, mut seen, mut round) = (0, BTreeSet::new(), 0);
    loop {
        let (next, fields) = scan(&mut site, cursor, "COUNT 50");
        seen.extend(fields.into_iter().map(|(field, _)| field));
        // Fields from 1000 on go one by one, new ones come.
        for n in round * 20..(round + 1) * 20 {
            site.run(&format!("HDEL h field:{}", 1000 + n % 500));
            site.run(&format!("HSET h new:{n} x"));
        }
        round += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    for n in 0..1000 {
        assert!(seen.contains(&format!("field:{n}")), "field:{n}");
    }
}

#[test]
fn hscan_of_a_large_hash_filters_what_it_gives_and_not_what_it_walks() {
    let mut site = site_with(1000);
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        let (next, fields) = scan(&mut site, cursor, "MATCH field:99? COUNT 100");
        seen.extend(fields.into_iter().map(|(field, _)| field));
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    seen.sort();
    let expected: Vec<String> = (990..1000).map(|n| format!("field:{n}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn hscan_gives_a_small_hash_as_a_whole() {
    let mut site = site_with(512);
    let (cursor, fields) = scan(&mut site, 0, "COUNT 1");
    assert_eq!((cursor, fields.len()), (0, 512));
}

#[test]
fn hrandfield_gives_distinct_fields_and_repeats_only_when_asked() {
    let mut site = site_with(50);
    let texts = |value: Value| -> Vec<String> {
        let elements = value.as_elements().expect("an array").iter();
        elements
            .map(|one| one.as_str().expect("text").to_owned())
            .collect()
    };
    let some = texts(value_of(&mut site, "HRANDFIELD h 20"));
    assert_eq!(some.len(), 20);
    assert_eq!(some.iter().collect::<BTreeSet<_>>().len(), 20, "distinct");
    assert_eq!(texts(value_of(&mut site, "HRANDFIELD h 80")).len(), 50);
    let repeated = texts(value_of(&mut site, "HRANDFIELD h -1000"));
    assert_eq!(repeated.len(), 1000);
    assert_eq!(
        repeated.iter().collect::<BTreeSet<_>>().len(),
        50,
        "each comes up"
    );
    let with_values = texts(value_of(&mut site, "HRANDFIELD h -30 WITHVALUES"));
    assert_eq!(with_values.len(), 60);
    for pair in with_values.chunks(2) {
        assert_eq!(pair[0], format!("field:{}", pair[1]));
    }
    assert_eq!(
        site.run("HRANDFIELD h -16777217"),
        b"-ERR value is out of range\r\n"
    );
    let mut chosen = BTreeSet::new();
    for _ in 0..500 {
        let one = value_of(&mut site, "HRANDFIELD h");
        chosen.insert(one.as_str().expect("a field").to_owned());
    }
    assert!(chosen.len() > 45, "{} of 50 fields came up", chosen.len());
}

#[test]
fn all_fields_keep_their_values() {
    let mut site = site_with(1200);
    site.protocol = Protocol::Resp3;
    let Value::Map(fields) = value_of(&mut site, "HGETALL h") else {
        panic!("no map");
    };
    assert_eq!(fields.len(), 1200);
    for (field, value) in &fields {
        assert_eq!(
            field.as_str(),
            Some(&*format!("field:{}", value.as_str().unwrap()))
        );
    }
    let keys = value_of(&mut site, "HKEYS h");
    let values = value_of(&mut site, "HVALS h");
    let pairs = keys
        .as_elements()
        .unwrap()
        .iter()
        .zip(values.as_elements().unwrap());
    assert_eq!(
        pairs
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Vec<_>>(),
        fields
    );
}
