//! `tandem status`: what a local runtime and its instances say now.
//!
//! Services and the latest failover come from the runtime's files; members are asked afresh, all at
//! once, and the same pure planning, paused, turns the answers into a status.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tandem_api::DoubleMaster;
use tandem_api::InstanceName;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_plan::double_master::{Validated, plan, validate};
use tandem_plan::report::FailoverReport;
use tandem_plan::{Address, Answer, InstanceObservation, Observed, Placement, Process};
use tokio::task::JoinSet;

use crate::clock::unix_ms;
use crate::error::Error;
use crate::journal::last_report;
use crate::local::DIRECTORY;
use crate::observe::ask_once;
use crate::runtime::process::{
    ClaimFiles, Layout, Ports, ProcessId, PublishedStatus, State, read_password,
};
use crate::view;

/// How long an instance has to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(700);

/// Everything that `tandem status` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the resource.
    pub name: String,
    /// Directory of the runtime.
    pub directory: PathBuf,
    /// Whether the runtime runs.
    pub running: bool,
    /// Its process, when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_pid: Option<u32>,
    /// Members, services, conditions.
    #[serde(flatten)]
    pub status: DoubleMasterStatus,
    /// The whole report of the latest failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failover_report: Option<FailoverReport>,
}

/// How to say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints the status of the runtime in `directory`, or of the only one below `.tandem`.
pub async fn run(directory: Option<PathBuf>, format: Format) -> Result<(), Error> {
    let root = match directory {
        Some(directory) => directory,
        None => only_directory(Path::new(DIRECTORY))?,
    };
    let report = gather(&root).await?;
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(|source| Error::Encode {
                what: "the status",
                source,
            })?;
            view::put(&format!("{text}\n"));
        }
        Format::Table => {
            let runs = report.runtime_pid.map_or_else(
                || "the runtime does not run".to_string(),
                |pid| format!("the runtime runs, pid {pid}"),
            );
            let head = format!(
                "{} in {}; {runs}\n",
                report.name,
                report.directory.display()
            );
            view::put(&format!("{head}{}", view::render(&report.status)));
        }
    }
    Ok(())
}

/// The only directory below `parent`, or what to do when there is not exactly one.
fn only_directory(parent: &Path) -> Result<PathBuf, Error> {
    let entries = std::fs::read_dir(parent).map(|entries| {
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| Layout::new(path).state().exists())
            .collect::<Vec<_>>()
    });
    let mut found = entries.unwrap_or_default();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Error::WhichDirectory(format!(
            "no runtime below `{}`; start one with `tandem local FILE.yaml`, or give --dir",
            parent.display()
        ))),
        count => Err(Error::WhichDirectory(format!(
            "{count} runtimes below `{}`; say which with --dir",
            parent.display()
        ))),
    }
}

/// Asks everybody.
pub async fn gather(root: &Path) -> Result<Report, Error> {
    let layout = Layout::new(root);
    let missing = || {
        let text = format!("`{}` is no directory of `tandem local`", root.display());
        Error::WhichDirectory(text)
    };
    let state = State::read(&layout)?.ok_or_else(missing)?;
    let object: DoubleMaster =
        serde_json::from_value(state.manifest.clone()).map_err(|source| Error::Decode {
            path: layout.state(),
            source,
        })?;
    let mut valid = validate(&object)?;
    valid.pause = object.spec.pause;
    valid.timing.hang_ms = u64::MAX;
    let published = PublishedStatus::read(&layout)?.unwrap_or_default();
    let is_running = state.runtime.is_alive();
    let observed = observe(&layout, &state, &valid, &published, is_running).await?;
    let previous = &published.status.conditions;
    let now_ms = unix_ms();
    let mut status = plan(&paused(&valid), &observed, previous, now_ms).status;
    restore(&mut status, &published, is_running, valid.pause);
    let last = last_report(&layout.failovers())?;
    status.last_failover = last
        .as_ref()
        .map(|(report, path)| report.summary(&path.display().to_string()));
    Ok(Report {
        name: state.resource,
        directory: layout.root().into(),
        running: is_running,
        runtime_pid: is_running.then_some(state.runtime.pid),
        status,
        last_failover_report: last.map(|(report, _)| report),
    })
}

/// The same specification for which nothing is planned: whoever asks for a status changes nothing.
fn paused(valid: &Validated) -> Validated {
    Validated {
        pause: true,
        ..valid.clone()
    }
}

/// What the runtime itself knows better.
fn restore(
    status: &mut DoubleMasterStatus,
    published: &PublishedStatus,
    is_running: bool,
    is_paused: bool,
) {
    for service in &mut status.services {
        let known = published
            .status
            .services
            .iter()
            .find(|known| known.name == service.name);
        if let Some(known) = known {
            service.address.clone_from(&known.address);
        }
    }
    // One that does not answer now: the runtime knows for how long, and what that makes it.
    for member in status
        .members
        .iter_mut()
        .filter(|member| member.role == "starting")
    {
        let known = published
            .status
            .members
            .iter()
            .find(|known| known.name == member.name);
        if let Some(known) = known.filter(|_| is_running) {
            member.clone_from(known);
        }
    }
    status.waits_for.clear();
    if is_running {
        status.waits_for.clone_from(&published.status.waits_for);
    }
    if !is_paused {
        let published_ready = published
            .status
            .conditions
            .iter()
            .find(|condition| condition.kind == "Ready");
        for condition in status
            .conditions
            .iter_mut()
            .filter(|c| c.reason == "Paused")
        {
            if let Some(known) = published_ready.filter(|_| is_running) {
                condition.clone_from(known);
            } else {
                condition.reason = "RuntimeDown".into();
                condition.message = "nobody fails over; start `tandem local` again".into();
                condition.status = tandem_api::ConditionStatus::Unknown;
            }
        }
    }
}

async fn observe(
    layout: &Layout,
    state: &State,
    valid: &Validated,
    published: &PublishedStatus,
    is_running: bool,
) -> Result<Observed, Error> {
    let claims = ClaimFiles::new(layout.clone()).read_all()?;
    let ports = Ports::new(state.base_port)?;
    let password = match &valid.secret_name {
        Some(name) => read_password(layout, name)?,
        None => None,
    };
    let mut asked = JoinSet::new();
    for slot in &valid.slots {
        for name in valid.instances(slot, claims.get(&slot.name)) {
            let address = ports.instance(&name);
            let process = state.processes.get(&name).copied();
            asked.spawn(ask(name, address, process, password.clone()));
        }
    }
    let services = if is_running {
        published.services.clone()
    } else {
        BTreeMap::new()
    };
    let instances = asked.join_all().await.into_iter().collect();
    Ok(Observed {
        instances,
        claims,
        services,
        ..Observed::default()
    })
}

async fn ask(
    name: InstanceName,
    address: Address,
    process: Option<ProcessId>,
    password: Option<String>,
) -> (InstanceName, InstanceObservation) {
    let runs = process.is_some_and(ProcessId::is_alive);
    let answer = if runs {
        let asking = ask_once(&address, password.as_deref(), ANSWER_TIMEOUT);
        tokio::time::timeout(ANSWER_TIMEOUT, asking)
            .await
            .ok()
            .and_then(Result::ok)
    } else {
        None
    };
    let process = match (runs, process) {
        (true, _) => Process::Running { age_ms: u64::MAX },
        (false, Some(_)) => Process::Exited {
            age_ms: 0,
            quick_exits: 0,
            how: "ended".into(),
        },
        (false, None) => Process::Absent,
    };
    let observation = InstanceObservation {
        process,
        address,
        answer: answer.map(|status| Answer { status, age_ms: 0 }),
        silent_ms: 0,
        missed_probes: 0,
        unsynced_ms: 0,
        ran_before: false,
        busy: None,
        placement: Placement::default(),
        settings: None,
    };
    (name, observation)
}
