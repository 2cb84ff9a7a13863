//! The check of an instance against what was acknowledged.

use std::time::Instant;

use anyhow::{Result, bail};
use redis::{Connection, FromRedisValue, Pipeline};

use super::record::Ledger;
use crate::story::instance::Instance;

const BATCH: usize = 200;
/// Differences that are told.
const TOLD_MAX: usize = 12;

/// What was compared on one instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Keys and fields.
    pub values: usize,
    /// Counters.
    pub counters: usize,
}

impl Ledger {
    /// Compares several instances with what was acknowledged.
    pub fn check_all(&self, instances: &[Instance]) -> Result<Checked> {
        let mut checked = Checked::default();
        for instance in instances {
            checked = self.check(*instance)?;
        }
        Ok(checked)
    }

    /// Compares an instance with what was acknowledged.
    pub fn check(&self, instance: Instance) -> Result<Checked> {
        let latest = self.short_lived.iter().map(|(_, end)| *end).max();
        if let Some(left) = latest.and_then(|end| end.checked_duration_since(Instant::now())) {
            std::thread::sleep(left);
        }
        let mut connection = instance.connect()?;
        let mut wrong = Vec::new();
        self.check_strings(&mut connection, &mut wrong)?;
        self.check_fields(&mut connection, &mut wrong)?;
        self.check_lives(&mut connection, &mut wrong)?;
        self.check_counters(&mut connection, &mut wrong)?;
        if !wrong.is_empty() {
            let count = wrong.len();
            wrong.truncate(TOLD_MAX);
            bail!("{count} differences on {instance}: {}", wrong.join("; "));
        }
        Ok(Checked {
            values: self.strings.len() + self.fields.len() + self.short_lived.len(),
            counters: self.counters.len(),
        })
    }

    fn check_strings(&self, connection: &mut Connection, wrong: &mut Vec<String>) -> Result<()> {
        let keys: Vec<&String> = self.strings.keys().collect();
        let found: Vec<Option<String>> = ask_each(connection, &keys, |pipeline, key| {
            pipeline.cmd("GET").arg(key);
        })?;
        for ((key, expected), found) in self.strings.iter().zip(&found) {
            if !expected.allows(found.as_deref()) {
                wrong.push(format!("`{key}` is {found:?}, expected {expected:?}"));
            }
        }
        let twins: Vec<&(String, String)> = self.twins.iter().collect();
        let found: Vec<Vec<Option<String>>> = ask_each(connection, &twins, |pipeline, pair| {
            pipeline.cmd("MGET").arg(&pair.0).arg(&pair.1);
        })?;
        for (pair, values) in twins.iter().zip(&found) {
            if values.windows(2).any(|two| two[0] != two[1]) {
                wrong.push(format!("{pair:?} of one transaction are {values:?}"));
            }
        }
        Ok(())
    }

    fn check_fields(&self, connection: &mut Connection, wrong: &mut Vec<String>) -> Result<()> {
        let fields: Vec<&(String, String)> = self.fields.keys().collect();
        let found: Vec<Option<String>> = ask_each(connection, &fields, |pipeline, field| {
            pipeline.cmd("HGET").arg(&field.0).arg(&field.1);
        })?;
        for ((field, expected), found) in self.fields.iter().zip(&found) {
            if !expected.allows(found.as_deref()) {
                wrong.push(format!("{field:?} is {found:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }

    fn check_lives(&self, connection: &mut Connection, wrong: &mut Vec<String>) -> Result<()> {
        let keys: Vec<&String> = self.with_ttl.iter().collect();
        let left: Vec<i64> = ask_each(connection, &keys, |pipeline, key| {
            pipeline.cmd("PTTL").arg(key);
        })?;
        for (key, left) in keys.iter().zip(left).filter(|(_, left)| *left <= 0) {
            wrong.push(format!("`{key}` has a TTL of {left}"));
        }
        let keys: Vec<&String> = self.short_lived.iter().map(|(key, _)| key).collect();
        let found: Vec<Option<String>> = ask_each(connection, &keys, |pipeline, key| {
            pipeline.cmd("GET").arg(key);
        })?;
        for (key, _) in keys.iter().zip(found).filter(|(_, found)| found.is_some()) {
            wrong.push(format!("`{key}` is past its end and still there"));
        }
        Ok(())
    }

    fn check_counters(&self, connection: &mut Connection, wrong: &mut Vec<String>) -> Result<()> {
        for ((key, field), sum) in &self.counters {
            let mut command = redis::cmd(if field.is_some() { "HGET" } else { "GET" });
            command.arg(key).arg(field.as_deref());
            let found: Option<u64> = command.query(connection)?;
            let (least, most) = (sum.sure, sum.sure + sum.unsure);
            if !(least..=most).contains(&found.unwrap_or_default()) {
                wrong.push(format!(
                    "counter `{key}` {field:?} is {found:?}, expected {least} to {most}"
                ));
            }
        }
        Ok(())
    }
}

fn ask_each<K, T: FromRedisValue>(
    connection: &mut Connection,
    keys: &[&K],
    add: impl Fn(&mut Pipeline, &K),
) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(keys.len());
    for batch in keys.chunks(BATCH) {
        let mut pipeline = redis::pipe();
        for key in batch {
            add(&mut pipeline, key);
        }
        all.extend(pipeline.query::<Vec<T>>(connection)?);
    }
    Ok(all)
}
