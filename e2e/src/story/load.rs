//! Many distinct keys, fast: key `i` of a load gets a value that can be told again from `i`.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::instance::Instance;

/// Commands in flight on one connection.
const PIPELINE: usize = 64;

/// Keys `PREFIX:i`, each with a value that names the load's tag.
#[derive(Debug, Clone)]
pub struct Load {
    /// What keys begin with.
    pub prefix: String,
    /// What values begin with.
    pub tag: String,
    /// Which keys.
    pub keys: Range<usize>,
    /// Bytes of a value, at least those of tag and number.
    pub value_bytes: usize,
}

impl Load {
    /// A load of 64-byte values.
    pub fn new(prefix: &str, keys: Range<usize>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            tag: prefix.to_owned(),
            keys,
            value_bytes: 64,
        }
    }

    /// The same keys with other values.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            ..self.clone()
        }
    }

    /// The same with values of so many bytes.
    #[must_use]
    pub fn with_value_bytes(self, value_bytes: usize) -> Self {
        Self {
            value_bytes,
            ..self
        }
    }

    /// The name of a key.
    pub fn key(&self, index: usize) -> String {
        format!("{}:{index}", self.prefix)
    }

    /// The value of a key. What follows the number does not compress to nothing.
    pub fn value(&self, index: usize) -> String {
        let mut value = format!("{}={index}|", self.tag);
        let mut state = index as u64 + 1;
        while value.len() < self.value_bytes {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            value.push(char::from(b'a' + ((state >> 33) % 26) as u8));
        }
        value
    }

    /// Writes all keys to one instance by so many clients at once; gives how long it took. Every
    /// write must be acknowledged.
    pub fn write(&self, instance: Instance, clients: usize) -> Result<Duration> {
        let begun = Instant::now();
        let count = self.keys.len();
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..clients)
                .map(|client| {
                    let part = self.keys.start + client * count / clients
                        ..self.keys.start + (client + 1) * count / clients;
                    scope.spawn(move || self.write_part(instance, part))
                })
                .collect();
            for one in running {
                one.join().map_err(|_| anyhow!("a client panicked"))??;
            }
            Ok::<(), anyhow::Error>(())
        })?;
        Ok(begun.elapsed())
    }

    fn write_part(&self, instance: Instance, part: Range<usize>) -> Result<()> {
        let mut connection = instance.connect()?;
        for batch in batches(part) {
            let mut pipeline = redis::pipe();
            for index in batch {
                pipeline
                    .cmd("SET")
                    .arg(self.key(index))
                    .arg(self.value(index));
            }
            let replies: Vec<String> = pipeline.query(&mut connection)?;
            ensure!(
                replies.iter().all(|reply| reply == "OK"),
                "a SET was not acknowledged"
            );
        }
        Ok(())
    }

    /// Reads all keys from one instance: each must have its value, or that of one of `or_tags`.
    pub fn check(&self, instance: Instance, or_tags: &[&str]) -> Result<()> {
        let mut connection = instance.connect()?;
        let others: Vec<Self> = or_tags.iter().map(|tag| self.tagged(tag)).collect();
        for batch in batches(self.keys.clone()) {
            let mut command = redis::cmd("MGET");
            for index in batch.clone() {
                command.arg(self.key(index));
            }
            let values: Vec<Option<String>> = command.query(&mut connection)?;
            for (index, value) in batch.zip(values) {
                let value = value.with_context(|| {
                    format!("`{}` is gone on port {}", self.key(index), instance.port)
                })?;
                ensure!(
                    value == self.value(index) || others.iter().any(|o| value == o.value(index)),
                    "`{}` is `{value}` on port {}, expected `{}`",
                    self.key(index),
                    instance.port,
                    self.value(index)
                );
            }
        }
        Ok(())
    }
}

fn batches(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(PIPELINE)
        .map(move |from| from..end.min(from + PIPELINE))
}
