//! The steps of a writer: a fixed round of all kinds of writes, on keys of its own; counters are
//! shared by all writers.

use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, RedisResult, Value};

use super::record::{Expected, Ledger, Unsure};

/// How long a short-lived key lives.
const SHORT_LIFE: Duration = Duration::from_millis(300);
const LONG_LIFE_MS: u64 = 3_600_000;
const STEPS: u64 = 12;

/// Where a write went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Key(String),
    Field(String, String),
    Counter(String, Option<String>),
    Twins(String, String),
}

/// One write.
#[derive(Debug)]
pub(super) struct Step {
    place: Place,
    /// What the place holds afterwards; no meaning for a counter.
    after: Option<String>,
    command: Cmd,
    has_ttl: bool,
    life: Option<Duration>,
}

impl Step {
    /// The `number`-th step of a writer whose keys begin with `own`.
    pub(super) fn choose(own: &str, number: u64, ledger: &Ledger) -> Self {
        let round = number / STEPS;
        let key = |kind: char, count: u64| format!("{own}{kind}{}", round % count);
        let value = format!("{number}");
        match number % STEPS {
            0 => Self::set(key('s', 40), &value),
            1 => Self::set(key('t', 40), &value),
            2 => Self::counter("INCR", "ledger:count", None),
            3 => Self::field(key('h', 7), format!("f{}", round % 19), Some(value)),
            4 => Self::append(key('a', 5), "x", ledger),
            5 => Self::counter("HINCRBY", "ledger:counts", Some("sum")),
            6 => Self::delete(key('t', 80)),
            7 => Self::set_with_ttl(key('e', 20), &value),
            8 => Self::field(key('h', 7), format!("f{}", (round * 5) % 19), None),
            9 => Self::twins(key('p', 10), key('q', 10), value),
            10 => Self::counter("INCR", &format!("ledger:count:{}", round % 8), None),
            _ => Self::short_lived(format!("{own}x{round}"), &value),
        }
    }

    fn new(place: Place, after: Option<String>, command: Cmd) -> Self {
        Self {
            place,
            after,
            command,
            has_ttl: false,
            life: None,
        }
    }

    fn set(key: String, value: &str) -> Self {
        let mut command = redis::cmd("SET");
        command.arg(&key).arg(value);
        Self::new(Place::Key(key), Some(value.to_owned()), command)
    }

    fn set_with_ttl(key: String, value: &str) -> Self {
        let mut step = Self::set(key, value);
        step.command.arg("PX").arg(LONG_LIFE_MS);
        step.has_ttl = true;
        step
    }

    fn short_lived(key: String, value: &str) -> Self {
        let mut step = Self::set(key, value);
        step.command.arg("PX").arg(SHORT_LIFE.as_millis() as u64);
        step.life = Some(SHORT_LIFE);
        step
    }

    fn append(key: String, text: &str, ledger: &Ledger) -> Self {
        let before = ledger.strings.get(&key).and_then(|e| e.value.clone());
        let mut command = redis::cmd("APPEND");
        command.arg(&key).arg(text);
        let after = before.unwrap_or_default() + text;
        Self::new(Place::Key(key), Some(after), command)
    }

    fn delete(key: String) -> Self {
        let mut command = redis::cmd("DEL");
        command.arg(&key);
        Self::new(Place::Key(key), None, command)
    }

    fn field(key: String, field: String, value: Option<String>) -> Self {
        let mut command = redis::cmd(if value.is_some() { "HSET" } else { "HDEL" });
        command.arg(&key).arg(&field).arg(value.as_deref());
        Self::new(Place::Field(key, field), value, command)
    }

    fn counter(name: &str, key: &str, field: Option<&str>) -> Self {
        let mut command = redis::cmd(name);
        command.arg(key);
        if let Some(field) = field {
            command.arg(field).arg(1);
        }
        let place = Place::Counter(key.to_owned(), field.map(str::to_owned));
        Self::new(place, None, command)
    }

    fn twins(one: String, other: String, value: String) -> Self {
        Self::new(Place::Twins(one, other), Some(value), Cmd::new())
    }

    /// Sends the write and waits for its answer; an error answer is an error.
    pub(super) fn run(&self, connection: &mut redis::Connection) -> RedisResult<()> {
        if let Place::Twins(one, other) = &self.place {
            let mut both = Pipeline::new();
            both.atomic()
                .cmd("SET")
                .arg(one)
                .arg(&self.after)
                .cmd("SET")
                .arg(other)
                .arg(&self.after);
            return both.query::<Value>(connection)?.extract_error().map(drop);
        }
        self.command
            .query::<Value>(connection)?
            .extract_error()
            .map(drop)
    }

    /// Notes an acknowledgement.
    pub(super) fn done(self, ledger: &mut Ledger) {
        ledger.acknowledged += 1;
        if let (Place::Key(key), true) = (&self.place, self.has_ttl)
            && !ledger.with_ttl.contains(key)
        {
            ledger.with_ttl.push(key.clone());
        }
        self.note(ledger, |expected, after| {
            *expected = Expected {
                value: after,
                or: None,
            };
        });
    }

    /// Notes that nobody knows whether it was done.
    pub(super) fn unanswered(self, ledger: &mut Ledger) {
        ledger.unanswered += 1;
        if let Place::Counter(key, field) = self.place {
            let sum = ledger.counters.entry((key, field)).or_default();
            sum.unsure += 1;
            return;
        }
        if let (Place::Key(key), true) = (&self.place, self.has_ttl) {
            // Without the write it may not be there.
            ledger.with_ttl.retain(|other| other != key);
        }
        if self.life.is_none() {
            self.note(ledger, |expected, after| expected.or = Some(Unsure(after)));
        }
    }

    fn note(self, ledger: &mut Ledger, mut set: impl FnMut(&mut Expected, Option<String>)) {
        match self.place {
            Place::Counter(key, field) => {
                ledger.counters.entry((key, field)).or_default().sure += 1;
            }
            Place::Key(key) => {
                if let Some(life) = self.life {
                    ledger.short_lived.push((key, Instant::now() + life));
                    return;
                }
                set(ledger.strings.entry(key).or_default(), self.after);
            }
            Place::Field(key, field) => {
                set(ledger.fields.entry((key, field)).or_default(), self.after);
            }
            Place::Twins(one, other) => {
                let twins = (one.clone(), other.clone());
                if !ledger.strings.contains_key(&one) {
                    ledger.twins.push(twins);
                }
                for key in [one, other] {
                    set(ledger.strings.entry(key).or_default(), self.after.clone());
                }
            }
        }
    }
}
