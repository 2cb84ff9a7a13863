//! Claims as files: read afresh, replaced by compare-and-swap under a lock.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use tandem_api::GroupName;
use tandem_plan::Claim;
use tandem_plan::outcome::ClaimStep;

use super::atomic::{Durable, write_atomically};
use super::layout::Layout;
use crate::error::Error;
use crate::runtime::Claimed;

/// The claims below one directory. Several processes may use them at once.
#[derive(Debug, Clone)]
pub struct ClaimFiles {
    layout: Layout,
}

impl ClaimFiles {
    /// The claims of a runtime's directory.
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Reads all.
    pub fn read_all(&self) -> Result<BTreeMap<GroupName, Claim>, Error> {
        let directory = self.layout.claims();
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(Error::read(&directory)(error)),
        };
        let mut claims = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(Error::read(&directory))?.path();
            let is_claim = path
                .extension()
                .is_some_and(|extension| extension == "json");
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            if let (true, Ok(group)) = (is_claim, GroupName::parse(stem))
                && let Some(claim) = read(&path)?
            {
                claims.insert(group, claim);
            }
        }
        Ok(claims)
    }

    /// Replaces a claim if it is what the step expects, durably.
    pub fn compare_and_swap(&self, step: &ClaimStep) -> Result<Claimed, Error> {
        let directory = self.layout.claims();
        std::fs::create_dir_all(&directory).map_err(Error::write(&directory))?;
        let lock_path = directory.join("lock");
        let lock = File::create(&lock_path).map_err(Error::write(&lock_path))?;
        lock.lock().map_err(Error::write(&lock_path))?;
        let path = self.layout.claim(&step.group);
        if read(&path)? != step.expected {
            return Ok(Claimed::Conflict);
        }
        let bytes = serde_json::to_vec_pretty(&step.claim).map_err(|source| Error::Encode {
            what: "a claim",
            source,
        })?;
        write_atomically(&path, &bytes, Durable::Yes)?;
        Ok(Claimed::Yes)
    }
}

fn read(path: &Path) -> Result<Option<Claim>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Decode {
            path: path.into(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use tandem_api::InstanceName;

    use super::*;

    fn claim(epoch: u64, instance: &str) -> Claim {
        Claim {
            epoch,
            instance: InstanceName::parse(instance).unwrap(),
            at_ms: epoch,
            by_silence: false,
            from: None,
            passed: Vec::new(),
        }
    }

    #[test]
    fn of_two_claims_on_the_same_record_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let claims = ClaimFiles::new(Layout::new(directory.path()));
        let step = |expected, claim| ClaimStep {
            group: GroupName::a(),
            expected,
            claim,
        };
        let first = claim(1, "dm-a-0");
        assert_eq!(
            claims.compare_and_swap(&step(None, first.clone())).unwrap(),
            Claimed::Yes
        );
        assert_eq!(
            claims
                .compare_and_swap(&step(None, claim(1, "dm-a-1")))
                .unwrap(),
            Claimed::Conflict
        );
        let second = claim(2, "dm-a-1");
        let swapped = claims
            .compare_and_swap(&step(Some(first), second.clone()))
            .unwrap();
        assert_eq!(swapped, Claimed::Yes);
        assert_eq!(
            claims.read_all().unwrap(),
            BTreeMap::from([(GroupName::a(), second)])
        );
    }

    #[test]
    fn one_winner_among_many_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let claims = ClaimFiles::new(Layout::new(directory.path()));
        let wins: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|n| {
                    let claims = claims.clone();
                    scope.spawn(move || {
                        let claim = claim(1, &format!("dm-a-{n}"));
                        let step = ClaimStep {
                            group: GroupName::a(),
                            expected: None,
                            claim,
                        };
                        claims.compare_and_swap(&step).unwrap() == Claimed::Yes
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| usize::from(worker.join().unwrap()))
                .sum()
        });
        assert_eq!(wins, 1);
    }
}
