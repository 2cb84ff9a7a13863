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
        if !agree(&args, &ours, &theirs) {
            let lines: Vec<String> = recent.into();
            panic!(
                "seed {seed}, line {number}\n  ours  {}\n  Redis {}\nafter\n{}",
                shown(&ours),
                shown(&theirs),
                lines.join("\n")
            );
        }
        if ours != theirs && likeness(lookup(&args)) == Likeness::Digits {
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

/// Fifteen digits: what a double holds of any decimal number.
const DIGITS_END: f64 = 1e15;

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
        Likeness::Within(1),
        "seconds, rounded, of two clock readings",
    ),
    (CommandId::ExpireTime, Likeness::Within(1), "as TTL"),
    (
        CommandId::PTtl,
        Likeness::Within(500),
        "milliseconds between two clock readings",
    ),
    (CommandId::PExpireTime, Likeness::Within(500), "as PTTL"),
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

fn lookup(args: &[Vec<u8>]) -> &'static CommandSpec {
    command::lookup(&args[0]).expect("a command of the table")
}

fn agree(args: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs {
        return true;
    }
    let spec = lookup(args);
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
                a >= 0 && b >= 0 && a.abs_diff(b) <= most.unsigned_abs()
            }
            _ => false,
        },
        Likeness::Digits => {
            let number = |one: &Value| one.as_str()?.parse::<f64>().ok();
            let length = |one: &Value| one.as_bytes().map_or(0, <[u8]>::len);
            // More digits here than there would be rounding that shows.
            length(&ours) <= length(&theirs)
                && number(&ours)
                    .zip(number(&theirs))
                    .is_some_and(|(a, b)| (a - b).abs() <= a.abs() / DIGITS_END)
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
