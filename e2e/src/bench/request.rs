//! Requests as bytes: a template of fixed length, copied into a batch, with key, field and value
//! patched in place. The value of a key follows from the key, so that a reader can check it.

use tandem_proto::value::encode_command;

/// Bytes of every key.
pub const KEY_BYTES: usize = 16;
/// Fields of a hash.
pub const FIELDS_PER_HASH: u64 = 10;
/// Digits at the end of a key that name it.
const KEY_DIGITS: usize = 12;
/// Random bytes that values are cut from.
const POOL_BYTES: usize = 256 << 10;

/// A command of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `SET key value`
    Set,
    /// `GET key`
    Get,
    /// `INCR key`
    Incr,
    /// `HSET key field value`: ten fields a key.
    Hset,
    /// `HSET key field value` on one hash, with a random field.
    HsetOne,
}

impl Operation {
    /// Gives the four letters in front of its keys, so that no two types share a key.
    fn key_prefix(self) -> &'static str {
        match self {
            Self::Set | Self::Get => "key:",
            Self::Incr => "cnt:",
            Self::Hset => "hsh:",
            Self::HsetOne => "fld:",
        }
    }
}

/// Values that are no two alike, and follow from a number.
#[derive(Debug)]
pub struct Values {
    pool: Vec<u8>,
    size: usize,
}

impl Values {
    /// Makes values of `size` bytes.
    pub fn new(size: usize) -> Self {
        let mut random = Random::new(0x7a6e_d300);
        let printable = |bits: u64| b'!' + (bits % 90) as u8;
        let pool = (0..POOL_BYTES + size)
            .map(|_| printable(random.next()))
            .collect();
        Self { pool, size }
    }

    /// Gives the value that belongs to number `index`.
    pub fn of(&self, index: u64) -> &[u8] {
        let at = (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % POOL_BYTES;
        &self.pool[at..at + self.size]
    }

    /// Gives the bytes of one value.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// Gives the name of the key that a plain SET gives to number `index`.
pub fn key_name(index: u64) -> String {
    format!(
        "{}{index:0digits$}",
        Operation::Set.key_prefix(),
        digits = KEY_DIGITS
    )
}

/// Writes batches of requests of one kind.
#[derive(Debug)]
pub struct Requests {
    operation: Operation,
    template: Vec<u8>,
    /// Where the varying digits of the key begin; of the field for a single hash.
    key_at: usize,
    /// Where the field's one digit is.
    field_at: Option<usize>,
    value_at: Option<usize>,
    values: Values,
}

impl Requests {
    /// Prepares requests with values of `value_bytes`.
    pub fn new(operation: Operation, value_bytes: usize) -> Self {
        let values = Values::new(value_bytes);
        let value = values.of(0).to_vec();
        let key = format!(
            "{}{:0digits$}",
            operation.key_prefix(),
            0,
            digits = KEY_DIGITS
        );
        let key = key.into_bytes();
        let args: Vec<&[u8]> = match operation {
            Operation::Set => vec![b"SET", &key, &value],
            Operation::Get => vec![b"GET", &key],
            Operation::Incr => vec![b"INCR", &key],
            Operation::Hset => vec![b"HSET", &key, b"field:0", &value],
            Operation::HsetOne => vec![b"HSET", b"one-big-hash", &key, &value],
        };
        let template = encode_command(&args);
        let digits = [b'0'; KEY_DIGITS];
        let find = |needle: &[u8]| {
            template
                .windows(needle.len())
                .position(|part| part == needle)
        };
        let has_value = matches!(
            operation,
            Operation::Set | Operation::Hset | Operation::HsetOne
        );
        Self {
            operation,
            key_at: find(&digits).unwrap_or_default(),
            field_at: find(b"field:0").map(|at| at + 6),
            value_at: has_value.then(|| template.len() - 2 - value_bytes),
            values,
            template,
        }
    }

    /// Appends the request that belongs to number `index`.
    pub fn append(&self, index: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.template);
        let request = &mut out[start..];
        let (key, field) = match self.operation {
            Operation::Hset => (index / FIELDS_PER_HASH, index % FIELDS_PER_HASH),
            _ => (index, 0),
        };
        patch_digits(&mut request[self.key_at..self.key_at + KEY_DIGITS], key);
        if let Some(at) = self.field_at {
            request[at] = b'0' + field as u8;
        }
        if let Some(at) = self.value_at {
            request[at..at + self.values.size()].copy_from_slice(self.values.of(index));
        }
    }
}

fn patch_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        if number == 0 {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Which numbers the requests of a load take.
#[derive(Debug, Clone)]
pub enum Order {
    /// Each number from `next` up to `end`, exclusive, once.
    Each {
        /// The next number.
        next: u64,
        /// The first number beyond.
        end: u64,
    },
    /// Any number below `below`, without end.
    Random {
        /// The first number beyond.
        below: u64,
        /// The generator.
        random: Random,
    },
}

impl Order {
    /// Takes each number below `end` once.
    pub fn each(end: u64) -> Self {
        Self::Each { next: 0, end }
    }

    /// Takes random numbers below `below`.
    pub fn random(below: u64, seed: u64) -> Self {
        Self::Random {
            below,
            random: Random::new(seed),
        }
    }

    /// Gives the next number, `None` after the last.
    pub fn take(&mut self) -> Option<u64> {
        match self {
            Self::Each { next, end } if *next < *end => {
                *next += 1;
                Some(*next - 1)
            }
            Self::Each { .. } => None,
            Self::Random { below, random } => Some(random.below(*below)),
        }
    }
}

/// A small generator (xorshift64*), repeatable by its seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Gives the next 64 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless generator is no iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Gives a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(operation: Operation, index: u64) -> String {
        let mut out = Vec::new();
        Requests::new(operation, 3).append(index, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_carry_their_number() {
        let value = |index| String::from_utf8(Values::new(3).of(index).to_vec()).unwrap();
        assert_eq!(
            text(Operation::Set, 4071),
            format!(
                "*3\r\n$3\r\nSET\r\n$16\r\n{}\r\n$3\r\n{}\r\n",
                key_name(4071),
                value(4071)
            )
        );
        assert_eq!(
            text(Operation::Get, 10),
            "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000010\r\n"
        );
        assert_eq!(
            text(Operation::Incr, 7),
            "*2\r\n$4\r\nINCR\r\n$16\r\ncnt:000000000007\r\n"
        );
        assert_eq!(
            text(Operation::Hset, 123),
            format!(
                "*4\r\n$4\r\nHSET\r\n$16\r\nhsh:000000000012\r\n$7\r\nfield:3\r\n$3\r\n{}\r\n",
                value(123)
            )
        );
        assert_eq!(
            text(Operation::HsetOne, 123),
            format!(
                "*4\r\n$4\r\nHSET\r\n$12\r\none-big-hash\r\n$16\r\nfld:000000000123\r\n$3\r\n{}\r\n",
                value(123)
            )
        );
        assert_eq!(key_name(0).len(), KEY_BYTES);
    }

    #[test]
    fn each_order_ends_and_random_order_stays_below() {
        let mut order = Order::each(3);
        assert_eq!(
            std::iter::from_fn(|| order.take()).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        let mut order = Order::random(5, 1);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[order.take().unwrap() as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
