//! `kubectl tandem digest`: whether all instances hold the same data.
//!
//! Each instance is asked for its version vector, a hash of its data, and the vector again: a hash counts
//! when nothing was applied in between. Two that hold the same vector must have the same hash; those
//! with different vectors are waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use tandem_proto::status::{InstanceStatus, VvRow};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::cluster::Cluster;
use super::door::Door;
use super::error::Error;
use super::picture::Picture;
use crate::view;

/// Distance between two rounds.
const PACE: Duration = Duration::from_millis(500);
/// Rounds in which data have to differ: a key may end between two hashes.
const DIFFERENT_ROUNDS: u32 = 3;

/// A hash and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    vector: Vec<VvRow>,
    records: u64,
    keys: u64,
    digest: String,
    is_settled: bool,
}

type Samples = BTreeMap<u32, BTreeMap<String, Sample>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Equal,
    Moving,
    Different,
}

/// Compares, and says so.
pub(super) async fn run(cluster: &Cluster, name: &str, timeout: Duration) -> Result<(), Error> {
    let resource = cluster.resource(name).await?;
    let password = cluster.password(&resource).await?;
    let picture = Picture::take(cluster, name).await?;
    let pods = cluster.pods();
    let mut doors = BTreeMap::new();
    let mut silent = Vec::new();
    for member in &picture.status.members {
        // A port is forwarded to a pod that does not run, too: the first answer tells.
        let opened = match Door::open(&pods, &member.name, password.as_deref()).await {
            Ok(mut door) => door.status().await.map(|_| door),
            Err(error) => Err(error),
        };
        match opened {
            Ok(door) => drop(doors.insert(member.name.clone(), door)),
            Err(error @ (Error::Forbidden { .. } | Error::NotInstalled)) => return Err(error),
            Err(error) => silent.push((member.name.clone(), error)),
        }
    }
    if doors.is_empty() {
        return Err(silent
            .into_iter()
            .next()
            .map_or_else(|| Error::NoStatus(name.into()), |(_, error)| error));
    }
    let started = Instant::now();
    let mut different = 0;
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (samples, verdict) = loop {
        ticks.tick().await;
        let samples = round(&mut doors).await?;
        let verdict = judge(&samples);
        different = if verdict == Verdict::Different {
            different + 1
        } else {
            0
        };
        let is_over = verdict == Verdict::Equal
            || different >= DIFFERENT_ROUNDS
            || started.elapsed() >= timeout;
        if is_over {
            break (samples, verdict);
        }
    };
    view::put(&render(&samples));
    for (instance, error) in &silent {
        view::put(&format!(
            "{instance} was not asked: {}\n",
            crate::error::chain(error)
        ));
    }
    match verdict {
        Verdict::Different => Err(Error::Different(differing(&samples))),
        Verdict::Moving => Err(Error::Deadline {
            waited: timeout,
            state:
                "writes go on, or an instance is behind; no two that hold the same writes differ"
                    .into(),
        }),
        Verdict::Equal => {
            if let Some((_, error)) = silent.into_iter().next() {
                return Err(error);
            }
            view::put("equal\n");
            Ok(())
        }
    }
}

/// Asks everyone once, all at the same time.
async fn round(doors: &mut BTreeMap<String, Door>) -> Result<Samples, Error> {
    let asked = doors.values_mut().map(Door::status);
    let first = futures::future::try_join_all(asked).await?;
    let databases: BTreeSet<u32> = first
        .iter()
        .flat_map(|status| &status.databases)
        .map(|database| database.database)
        .collect();
    let mut samples = Samples::new();
    for database in databases {
        let asked = doors.values_mut().map(|door| sample(door, database));
        let found = futures::future::try_join_all(asked).await?;
        samples.insert(database, doors.keys().cloned().zip(found).collect());
    }
    Ok(samples)
}

async fn sample(door: &mut Door, database: u32) -> Result<Sample, Error> {
    let before = door.status().await?;
    let digest = door.digest(database).await?;
    let after = door.status().await?;
    Ok(Sample::of(&before, digest, &after, database))
}

impl Sample {
    fn of(before: &InstanceStatus, digest: String, after: &InstanceStatus, database: u32) -> Self {
        let find = |status: &InstanceStatus| {
            status
                .databases
                .iter()
                .find(|found| found.database == database)
                .cloned()
        };
        let rows = |rows: &[VvRow]| {
            let mut vector = rows.to_vec();
            vector.sort_by_key(|row| (row.server_id, row.epoch, row.incarnation.clone()));
            vector
        };
        let (earlier, later) = (find(before), find(after));
        let vector = later
            .as_ref()
            .map_or_else(Vec::new, |found| rows(&found.version_vector));
        let earlier = earlier.map_or_else(Vec::new, |found| rows(&found.version_vector));
        Self {
            records: vector.iter().map(|row| row.high).sum(),
            keys: later.map_or(0, |found| found.keys),
            digest,
            is_settled: vector == earlier,
            vector,
        }
    }
}

/// The worst of all databases.
fn judge(samples: &Samples) -> Verdict {
    let mut verdict = Verdict::Equal;
    for of_database in samples.values() {
        let settled: Vec<&Sample> = of_database.values().filter(|s| s.is_settled).collect();
        for sample in &settled {
            let is_other =
                |other: &&&Sample| other.vector == sample.vector && other.digest != sample.digest;
            if settled.iter().any(|other| is_other(&other)) {
                return Verdict::Different;
            }
        }
        let first = of_database.values().next();
        let agree = of_database
            .values()
            .all(|sample| sample.is_settled && first.is_some_and(|f| f.vector == sample.vector));
        if !agree {
            verdict = Verdict::Moving;
        }
    }
    verdict
}

fn differing(samples: &Samples) -> String {
    let databases: Vec<String> = samples
        .iter()
        .filter(|(database, found)| {
            judge(&Samples::from([(**database, (*found).clone())])) == Verdict::Different
        })
        .map(|(database, _)| format!("database {database}"))
        .collect();
    databases.join(", ")
}

fn render(samples: &Samples) -> String {
    let mut text = format!(
        "{:<4} {:<24} {:<34} {:>12} {:>12}\n",
        "DB", "INSTANCE", "DIGEST", "RECORDS", "KEYS"
    );
    for (database, of_database) in samples {
        for (instance, sample) in of_database {
            let digest = if sample.is_settled {
                sample.digest.as_str()
            } else {
                "changing"
            };
            let _ = writeln!(
                text,
                "{database:<4} {instance:<24} {digest:<34} {:>12} {:>12}",
                sample.records, sample.keys
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(high: u64, digest: &str) -> Sample {
        Sample {
            vector: vec![VvRow {
                server_id: 1,
                epoch: 1,
                incarnation: "i".into(),
                high,
                holes: Vec::new(),
            }],
            records: high,
            keys: 2,
            digest: digest.into(),
            is_settled: true,
        }
    }

    fn samples(found: &[Sample]) -> Samples {
        let named = found.iter().cloned().enumerate();
        let of_database = named.map(|(n, sample)| (format!("demo-a-{n}"), sample));
        Samples::from([(0, of_database.collect())])
    }

    #[test]
    fn instances_with_the_same_writes_and_hash_are_equal() {
        assert_eq!(
            judge(&samples(&[sample(7, "x"), sample(7, "x")])),
            Verdict::Equal
        );
        assert_eq!(judge(&Samples::new()), Verdict::Equal);
    }

    #[test]
    fn one_that_is_behind_is_waited_for_and_not_accused() {
        assert_eq!(
            judge(&samples(&[sample(7, "x"), sample(6, "y")])),
            Verdict::Moving
        );
        let mut moving = sample(7, "y");
        moving.is_settled = false;
        assert_eq!(judge(&samples(&[sample(7, "x"), moving])), Verdict::Moving);
    }

    #[test]
    fn the_same_writes_with_another_hash_are_different_data() {
        let found = samples(&[sample(7, "x"), sample(7, "y"), sample(6, "z")]);
        assert_eq!(judge(&found), Verdict::Different);
        assert_eq!(differing(&found), "database 0");
    }
}
