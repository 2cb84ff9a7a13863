//! The same command lines at Redis 7 itself and here: the case files, and random ones.
//!
//! Needs `/usr/bin/redis-server`; without it the tests say so and pass. `TANDEM_SEED=n` adds a run
//! with another seed.

#![expect(
    unreachable_pub,
    reason = "its modules are the crate's own, and shared"
)]

#[path = "against_redis/generator.rs"]
mod generator;
#[path = "against_redis/redis.rs"]
mod redis;
#[path = "../src/testing.rs"]
#[expect(dead_code, reason = "shared with the unit tests, which use all of it")]
mod testing;

use generator::Generator;
use redis::Redis;
use std::collections::VecDeque;
use tandem_execute::CopyRequest;
use tandem_proto::value::{Value, decode};
use tandem_proto::{CommandId, CommandSpec, Protocol, command};
use testing::{Site, Step, shown, steps};

/// Random lines of one run.
const LINES: usize = 6000;
/// Earlier lines that a failure shows.
const SHOWN_MAX: usize = 25;
/// Lines after which both databases begin anew.
const ROUND_LINES: usize = 400;

#[test]
fn case_files_are_what_redis_answers() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    for file in [
        include_str!("cases/string.txt"),
        include_str!("cases/counter.txt"),
        include_str!("cases/hash.txt"),
        include_str!("cases/keys.txt"),
    ] {
        for step in steps(file) {
            match step {
                Step::Begin(_) => redis.begin(Protocol::Resp2),
                Step::Resp3 => redis.begin(Protocol::Resp3),
                Step::Command { line, reply } => {
                    let got = shown(&redis.run(&testing::split(&line)));
                    let known = line.starts_with("OBJECT REFCOUNT");
                    assert!(
                        got == reply || known,
                        "{line} wants {reply}, Redis gives {got}"
                    );
                }
            }
        }
    }
}

#[test]
fn random_lines_are_answered_alike_in_resp2() {
    compare_random(Protocol::Resp2, 0x7461_6e64_656d_0002);
}

#[test]
fn random_lines_are_answered_alike_in_resp3() {
    compare_random(Protocol::Resp3, 0x7461_6e64_656d_0003);
}

fn compare_random(protocol: Protocol, seed: u64) {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let asked = std::env::var("TANDEM_SEED").ok();
    let more = asked.map(|seed| seed.parse().expect("TANDEM_SEED is a number"));
    for seed in [Some(seed), more].into_iter().flatten() {
        compare_run(&mut redis, protocol, seed);
    }
}

fn compare_run(redis: &mut Redis, protocol: Protocol, seed: u64) {
    let mut generator = Generator::new(seed);
    let mut site = Site::new();
    let mut recent: VecDeque<String> = VecDeque::new();
    for number in 0..LINES {
        if number % ROUND_LINES == 0 {
            site = Site::new();
            site.protocol = protocol;
            recent.clear();
            redis.begin(protocol);
        }
        let args = generator.command();
        if names_other_database(&args) {
            continue;
        }
        let text: Vec<String> = args
            .iter()
            .map(|arg| arg.escape_ascii().to_string())
            .collect();
        if recent.len() == SHOWN_MAX {
            recent.pop_front();
        }
        recent.push_back(text.join(" "));
        site.wall_ms = redis.time_ms();
        let theirs = redis.run(&args);
        let ours = site.run_args(&args);
        assert!(
            agree(&args, &ours, &theirs),
            "seed {seed}, line {number}\n  ours  {}\n  Redis {}\nafter\n{}",
            shown(&ours),
            shown(&theirs),
            recent.make_contiguous().join("\n")
        );
        if is_inexact(&args, &ours, &theirs) {
            let forget = [b"DEL".to_vec(), args[1].clone()];
            redis.run(&forget);
            site.run_args(&forget);
        }
    }
}

/// How the replies to a command are held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Byte for byte.
    Equal,
    /// The same elements in any order, those of a pair together.
    AnyOrder,
    /// The same type and length.
    Shape,
    /// Numbers at most so far apart: both sides read a clock.
    Within(i64),
    /// Equal up to fifteen digits; floats beyond them differ from then on.
    Digits,
}

/// What doubles may be apart, relative to the larger of the number and one: all but fifteen digits.
const APART_MAX: f64 = 1e-14;
/// From here on a double does not tell whole numbers apart: 2^53.
const WHOLE_END: f64 = 9_007_199_254_740_992.0;
/// Ends beyond this Unix second are cut to the last that 48 bits of milliseconds hold.
const END_SECONDS: i64 = 279_000_000_000;

/// What seconds of two clock readings may be apart, being rounded.
const SECOND: i64 = 1;
/// What milliseconds of two clock readings may be apart.
const MILLISECONDS: i64 = 500;

/// Where Tandem differs on purpose.
const DIFFERENCES: &[(CommandId, Likeness, &str)] = &[
    (
        CommandId::HGetAll,
        Likeness::AnyOrder,
        "a small hash of Redis keeps the order of insertion",
    ),
    (CommandId::HKeys, Likeness::AnyOrder, "as HGETALL"),
    (CommandId::HVals, Likeness::AnyOrder, "as HGETALL"),
    (
        CommandId::HScan,
        Likeness::AnyOrder,
        "as HGETALL; here by a fixed hash, as the cursor needs",
    ),
    (CommandId::HRandField, Likeness::Shape, "chosen by lot"),
    (
        CommandId::Object,
        Likeness::Shape,
        "encodings are told by the content, not by its history",
    ),
    (
        CommandId::Ttl,
        Likeness::Within(SECOND),
        "seconds, rounded, of two clock readings",
    ),
    (CommandId::ExpireTime, Likeness::Within(SECOND), "as TTL"),
    (
        CommandId::PTtl,
        Likeness::Within(MILLISECONDS),
        "milliseconds between two clock readings",
    ),
    (
        CommandId::PExpireTime,
        Likeness::Within(MILLISECONDS),
        "as PTTL",
    ),
    (
        CommandId::IncrByFloat,
        Likeness::Digits,
        "sums are doubles here, long doubles in Redis",
    ),
    (CommandId::HIncrByFloat, Likeness::Digits, "as INCRBYFLOAT"),
];

fn likeness(spec: &CommandSpec) -> Likeness {
    let differs = DIFFERENCES.iter().find(|(id, _, _)| *id == spec.id);
    differs.map_or(Likeness::Equal, |(_, likeness, _)| *likeness)
}

/// COPY to another database is the node's.
fn names_other_database(args: &[Vec<u8>]) -> bool {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    lookup_name(args[0]).id == CommandId::Copy
        && CopyRequest::parse(&args).is_some_and(|one| one.database.is_some_and(|n| n != 0))
}

/// Whether what a number was added to goes on to differ: numbers were in play whose last digits a
/// double does not hold.
fn is_inexact(args: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    use CommandId::{Decr, DecrBy, HIncrBy, HIncrByFloat, Incr, IncrBy, IncrByFloat};
    if !matches!(
        lookup_name(&args[0]).id,
        Incr | Decr | IncrBy | DecrBy | HIncrBy | IncrByFloat | HIncrByFloat
    ) {
        return false;
    }
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    let is_large = |text: &[u8]| number(text).is_some_and(|n| n.abs() >= WHOLE_END);
    let sum = match decode(ours) {
        Ok(Some((Value::Integer(sum), _))) => sum.to_string().into_bytes(),
        Ok(Some((Value::Bulk(sum), _))) => sum,
        _ => return false,
    };
    ours != theirs || is_large(&sum) || args[1..].iter().any(|arg| is_large(arg))
}

fn lookup_name(name: &[u8]) -> &'static CommandSpec {
    command::lookup(name).expect("a command of the table")
}

fn agree(args: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs {
        return true;
    }
    let spec = lookup_name(&args[0]);
    let likeness = likeness(spec);
    let whole = |bytes| decode(bytes).expect("a reply").expect("a whole reply").0;
    let (ours, theirs) = (whole(ours), whole(theirs));
    if ours.as_error().is_some() || theirs.as_error().is_some() {
        return false;
    }
    match likeness {
        Likeness::Equal => false,
        Likeness::AnyOrder => sorted(&ours, spec) == sorted(&theirs, spec),
        Likeness::Shape => shape(&ours) == shape(&theirs),
        Likeness::Within(most) => match (ours, theirs) {
            (Value::Integer(a), Value::Integer(b)) => {
                let cut = if most == SECOND {
                    END_SECONDS
                } else {
                    END_SECONDS * 1000
                };
                a.min(b) >= 0 && (a.abs_diff(b) <= most.unsigned_abs() || a.min(b) > cut)
            }
            _ => false,
        },
        Likeness::Digits => {
            let number = |one: &Value| one.as_str()?.parse::<f64>().ok();
            number(&ours)
                .zip(number(&theirs))
                .is_some_and(|(a, b)| (a - b).abs() <= a.abs().max(1.0) * APART_MAX)
        }
    }
}

/// The parts of a reply in an order of their own, behind its first bytes.
fn sorted(value: &Value, spec: &CommandSpec) -> Vec<String> {
    let pairs = |elements: &[Value]| -> Vec<String> {
        elements.chunks(2).map(|pair| format!("{pair:?}")).collect()
    };
    let mut parts = match value {
        Value::Map(fields) => fields.iter().map(|pair| format!("map {pair:?}")).collect(),
        Value::Array(parts) if spec.id == CommandId::HScan => {
            let mut all = pairs(parts[1].as_elements().expect("fields of HSCAN"));
            all.push(format!("cursor {:?}", parts[0]));
            all
        }
        Value::Array(elements) if spec.id == CommandId::HGetAll => pairs(elements),
        Value::Array(elements) => elements.iter().map(|one| format!("{one:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    parts.sort();
    parts
}

fn shape(value: &Value) -> String {
    match value {
        Value::Array(elements) => {
            let inner: Vec<String> = elements.iter().map(shape).collect();
            format!("array {}", inner.join(" "))
        }
        Value::Bulk(_) => "bulk".to_owned(),
        Value::Integer(_) => "integer".to_owned(),
        other => format!("{other:?}"),
    }
}
