//! The failover reports: opened with a claim, marked as phases are reached, written whenever there is
//! news, announced when clients are served again and when everything is restored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_api::double_master::FailoverSummary;
use tandem_api::{InstanceName, ResourceName, ServiceName};
use tandem_plan::failover_start::{FailoverStart, Kind};
use tandem_plan::outcome::GroupPlan;
use tandem_plan::report::{FailoverReport, Phase, phases_that_hold};
use tandem_plan::suffix::SUFFIX_RW;

use crate::clock::unix_ms;
use crate::error::{Error, chain};
use crate::instance_client::Promotion;
use crate::runtime::process::{Durable, write_atomically};
use crate::view::Announcer;

/// Where services point.
pub type Services = BTreeMap<ServiceName, Vec<InstanceName>>;

/// Where reports are kept.
pub trait ReportStore: std::fmt::Debug + Send + Sync + 'static {
    /// Keeps a report under its name, replacing what is there. Does not wait for anybody.
    fn save(&self, name: &str, report: &FailoverReport);

    /// Where the report of that name is found, for people.
    fn place(&self, name: &str) -> String;
}

/// Reports of one resource.
#[derive(Debug)]
pub struct Journal {
    resource: ResourceName,
    store: Box<dyn ReportStore>,
    announcer: Announcer,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    number: u32,
    open: Vec<Entry>,
    last: Option<(FailoverReport, String)>,
}

#[derive(Debug)]
struct Entry {
    report: FailoverReport,
    name: String,
    served: bool,
}

impl Journal {
    /// `last` is the latest report that is kept, with its name; new ones are numbered on.
    pub fn new(
        resource: ResourceName,
        store: Box<dyn ReportStore>,
        last: Option<(FailoverReport, String)>,
        announcer: Announcer,
    ) -> Arc<Self> {
        let inner = Inner {
            number: last.as_ref().map_or(0, |(_, name)| number_of(name)),
            open: Vec::new(),
            last,
        };
        Arc::new(Self {
            resource,
            store,
            announcer,
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the report of a claim that was just made; `before` is where services pointed.
    pub fn open(&self, start: FailoverStart, before: &Services, now_ms: u64) {
        if start.kind == Kind::First {
            return;
        }
        let rw = before
            .get(&self.resource.service(SUFFIX_RW))
            .and_then(|targets| targets.first());
        let rw_affected = rw.is_some() && rw == start.old.as_ref();
        let mut report = FailoverReport::open(start, rw_affected, now_ms);
        report.mark(Phase::Claimed, unix_ms());
        let mut inner = self.lock();
        inner.number += 1;
        let name = format!(
            "{:04}-{}-epoch-{}.json",
            inner.number, report.start.group, report.start.epoch
        );
        inner
            .open
            .retain(|entry| entry.report.start.group != report.start.group);
        self.store.save(&name, &report);
        inner.last = Some((report.clone(), name.clone()));
        inner.open.push(Entry {
            report,
            name,
            served: false,
        });
    }

    /// Notes the answer to a promotion.
    pub fn promoted(&self, instance: &InstanceName, promotion: &Promotion) {
        let now_ms = unix_ms();
        self.update(|report| {
            let is_it = report.start.new == *instance && report.start.epoch == promotion.epoch;
            if !is_it {
                return false;
            }
            report.collected_records = Some(promotion.collected_records);
            report.mark(Phase::Promoted, now_ms)
        });
    }

    /// Marks what holds by a plan that was carried out.
    pub fn advance(&self, groups: &[GroupPlan], services: &Services) {
        let now_ms = unix_ms();
        let resource = self.resource.clone();
        self.update(|report| {
            let holds = phases_that_hold(&report.start, groups, &resource, services);
            report.advance(&holds, now_ms)
        });
    }

    /// The latest report in short.
    pub fn last(&self) -> Option<FailoverSummary> {
        self.lock()
            .last
            .as_ref()
            .map(|(report, name)| report.summary(&self.store.place(name)))
    }

    fn update(&self, change: impl Fn(&mut FailoverReport) -> bool) {
        let mut inner = self.lock();
        let mut latest = None;
        let mut lines = Vec::new();
        for entry in &mut inner.open {
            if !change(&mut entry.report) {
                continue;
            }
            self.store.save(&entry.name, &entry.report);
            if entry.report.is_served() && !entry.served {
                entry.served = true;
                lines.push(("FailoverServed", entry.report.headline()));
            }
            if entry.report.closed {
                let line = format!("restored: {}", entry.report.headline());
                lines.push(("FailoverRestored", line));
            }
            latest = Some((entry.report.clone(), entry.name.clone()));
        }
        inner.open.retain(|entry| !entry.report.closed);
        if latest.is_some() {
            inner.last = latest;
        }
        drop(inner);
        for (reason, line) in lines {
            self.announcer.note(reason, line);
        }
    }
}

/// Reports as files of a directory.
#[derive(Debug)]
pub struct ReportFiles {
    directory: PathBuf,
}

impl ReportFiles {
    /// Makes the directory when it is not there.
    pub fn new(directory: PathBuf) -> Result<Self, Error> {
        std::fs::create_dir_all(&directory).map_err(Error::write(&directory))?;
        Ok(Self { directory })
    }
}

impl ReportStore for ReportFiles {
    fn save(&self, name: &str, report: &FailoverReport) {
        let path = self.directory.join(name);
        let written = serde_json::to_vec_pretty(report)
            .map_err(|source| Error::Encode {
                what: "a failover report",
                source,
            })
            .and_then(|bytes| write_atomically(&path, &bytes, Durable::No));
        if let Err(error) = written {
            tracing::error!(error = %chain(&error), "failover report not written");
        }
    }

    fn place(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

/// The number that a report's name begins with.
pub fn number_of(name: &str) -> u32 {
    name.split('-')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn number_of_file(path: &Path) -> u32 {
    path.file_name()
        .and_then(|name| name.to_str())
        .map_or(0, number_of)
}

/// The latest report in a directory, with its path.
pub fn last_report(directory: &Path) -> Result<Option<(FailoverReport, PathBuf)>, Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(directory)(error)),
    };
    let newest = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .max_by_key(|path| number_of_file(path));
    let Some(path) = newest else { return Ok(None) };
    let bytes = std::fs::read(&path).map_err(Error::read(&path))?;
    let report = serde_json::from_slice(&bytes).map_err(|source| Error::Decode {
        path: path.clone(),
        source,
    })?;
    Ok(Some((report, path)))
}
