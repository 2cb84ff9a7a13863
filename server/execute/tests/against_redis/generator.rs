//! Random command lines that meet: few keys and fields, values of every sort, options right and
//! wrong.

use crate::testing::next_random;

/// Patterns: `K` a key, `F` a field, `V` a value, `I` an integer, `D` a decimal, `T` a span of
/// seconds, `M` one of milliseconds, `U` a Unix time in seconds, `N` one in milliseconds, `O` an
/// offset; anything else stands for itself.
const PATTERNS: &[&str] = &[
    "SET K V",
    "SET K V",
    "SET K V",
    "SET K I",
    "SET K V NX",
    "SET K V XX",
    "SET K V GET",
    "SET K V NX GET",
    "SET K V XX GET",
    "SET K V KEEPTTL",
    "SET K V EX T",
    "SET K V PX M",
    "SET K V EXAT U",
    "SET K V PXAT N",
    "SET K V NX EX T",
    "SET K V XX KEEPTTL GET",
    "SET K V PXAT 1000000000",
    "SET K V GET EXAT 1000000000",
    "GET K",
    "GET K",
    "GETSET K V",
    "GETDEL K",
    "GETEX K",
    "GETEX K EX T",
    "GETEX K PX M",
    "GETEX K EXAT U",
    "GETEX K PXAT N",
    "GETEX K PERSIST",
    "GETEX K PXAT 1000000000",
    "SETNX K V",
    "SETEX K T V",
    "PSETEX K M V",
    "MSET K V K V",
    "MSET K V K V K V",
    "MGET K K K",
    "MSETNX K V",
    "MSETNX K V K V",
    "APPEND K V",
    "APPEND K I",
    "STRLEN K",
    "GETRANGE K O O",
    "SUBSTR K O O",
    "SETRANGE K O V",
    "INCR K",
    "INCR K",
    "DECR K",
    "INCRBY K I",
    "DECRBY K I",
    "INCRBYFLOAT K D",
    "INCRBYFLOAT K I",
    "HSET K F V",
    "HSET K F I",
    "HSET K F V F V",
    "HSET K F D F I F V",
    "HSETNX K F V",
    "HMSET K F V F V",
    "HGET K F",
    "HGET K F",
    "HMGET K F F",
    "HGETALL K",
    "HDEL K F",
    "HDEL K F F F",
    "HEXISTS K F",
    "HLEN K",
    "HKEYS K",
    "HVALS K",
    "HSTRLEN K F",
    "HINCRBY K F I",
    "HINCRBYFLOAT K F D",
    "HSCAN K 0",
    "HSCAN K 0 MATCH F*",
    "HSCAN K 0 COUNT 1",
    "HRANDFIELD K",
    "HRANDFIELD K O",
    "HRANDFIELD K O WITHVALUES",
    "DEL K",
    "DEL K K",
    "UNLINK K",
    "EXISTS K K",
    "TYPE K",
    "TYPE K",
    "EXPIRE K T",
    "PEXPIRE K M",
    "EXPIREAT K U",
    "PEXPIREAT K N",
    "EXPIRE K T NX",
    "EXPIRE K T XX",
    "EXPIRE K T GT",
    "EXPIRE K T LT",
    "PEXPIRE K M XX GT",
    "EXPIREAT K U XX LT",
    "EXPIRE K -1",
    "PEXPIREAT K 1",
    "TTL K",
    "PTTL K",
    "EXPIRETIME K",
    "PEXPIRETIME K",
    "PERSIST K",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K",
    "COPY K K REPLACE",
    "COPY K K DB 0 REPLACE",
    "TOUCH K K",
    "OBJECT ENCODING K",
    "OBJECT REFCOUNT K",
    "OBJECT IDLETIME K",
    "OBJECT FREQ K",
];

const KEYS: &[&str] = &["a", "b", "c", "d", "key:5", ""];
const FIELDS: &[&str] = &["f", "g", "h", "i", ""];
const VALUES: &[&str] = &[
    "",
    "v",
    "hello",
    "world!",
    "10",
    "-3",
    "0",
    "007",
    "+5",
    " 7",
    "7 ",
    "1.5",
    "-0.25",
    "abc\r\ndef",
    "\x00\x01",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "inf",
    "nan",
    "3.0",
    "-0",
    "a value of more than forty-four bytes, so that it is raw",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "-10",
    "100",
    "12345",
    "-99999",
    "9223372036854775807",
    "-9223372036854775808",
    "4611686018427387904",
    "x",
    "1.5",
    "",
];
const DECIMALS: &[&str] = &[
    "0.5", "-0.5", "1.25", "0.1", "0.2", "-3.75", "10", "-1", "1e2", "2.5e-1", ".5", "5.", "+1.5",
    "-0.0", "abc", "", "nan", "inf", "-inf", "1e", " 1",
];
const OFFSETS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "5",
    "-1",
    "-2",
    "-3",
    "-20",
    "20",
    "9",
    "x",
    "-9223372036854775808",
];
/// No number here is a time that passes during a test.
const STRAYS: &[&str] = &[
    "NX",
    "XX",
    "GET",
    "EX",
    "PX",
    "KEEPTTL",
    "PERSIST",
    "GT",
    "LT",
    "REPLACE",
    "COUNT",
    "MATCH",
    "WITHVALUES",
    "foo",
    "40000000000",
    "-1",
    "0",
    "",
];

/// Makes command lines from a seed.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
}

impl Generator {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    fn below(&mut self, end: usize) -> usize {
        (next_random(&mut self.seed) % end as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// The next command.
    pub fn command(&mut self) -> Vec<Vec<u8>> {
        let pattern = self.pick(PATTERNS);
        let mut args: Vec<Vec<u8>> = pattern.split(' ').map(|part| self.argument(part)).collect();
        match self.below(40) {
            0 => {
                args.pop();
            }
            1 => args.push(self.pick(STRAYS).into()),
            2 => {
                args.push(self.pick(STRAYS).into());
                args.push(self.pick(STRAYS).into());
            }
            3 => {
                let at = 1 + self.below(args.len() - 1);
                args[at] = self.pick(STRAYS).into();
            }
            4 => args[0].make_ascii_lowercase(),
            _ => {}
        }
        if args.is_empty() {
            self.command()
        } else {
            args
        }
    }

    fn argument(&mut self, part: &str) -> Vec<u8> {
        match part {
            "K" => self.pick(KEYS).into(),
            "F" => self.pick(FIELDS).into(),
            "F*" => format!("{}*", self.pick(FIELDS)).into(),
            "V" => self.pick(VALUES).into(),
            "I" => self.pick(INTEGERS).into(),
            "D" => self.pick(DECIMALS).into(),
            "O" => self.pick(OFFSETS).into(),
            // Spans and times lie so far apart that no clock reading decides which is later.
            "T" => (10_000 * (1 + self.below(100_000))).to_string().into(),
            "M" => (10_000_000 * (1 + self.below(20_000))).to_string().into(),
            "U" => (5_000_000_000 + 10_000 * self.below(100_000))
                .to_string()
                .into(),
            "N" => (5_000_000_000_000 + 10_000_000 * self.below(100_000))
                .to_string()
                .into(),
            word => word.into(),
        }
    }
}
