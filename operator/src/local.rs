//! `tandem local FILE.yaml`: a resource on this machine, from the first process to the last.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tandem_api::DoubleMaster;
use tandem_api::double_master::{DoubleMasterStatus, Failover};
use tandem_node::config::Config;
use tandem_plan::double_master::{Validated, validate};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::unix_ms;
use crate::error::{Error, chain};
use crate::journal::{Journal, ReportFiles, last_report};
use crate::manifest;
use crate::reconcile::{Controller, Parts, Publish};
use crate::runtime::Runtime as _;
use crate::runtime::process::{Layout, Options, ProcessRuntime, PublishedStatus};
use crate::signals::end_signal;
use crate::telemetry;
use crate::view::{self, Announcer};

/// Where runtimes lie when nothing says otherwise.
pub const DIRECTORY: &str = ".tandem";

/// The status file is written at most this often.
const STATUS_PAUSE: Duration = Duration::from_millis(100);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Local {
    /// The manifest.
    pub file: PathBuf,
    /// The directory; `.tandem/NAME` when absent.
    pub directory: Option<PathBuf>,
    /// First port.
    pub base_port: Option<u16>,
    /// Drop all data first.
    pub reset: bool,
    /// Factor on all detection intervals, for machines that are busy with other things.
    pub patience: u64,
}

/// Runs a resource until Ctrl-C or SIGTERM.
pub async fn run(local: Local) -> Result<(), Error> {
    let object = manifest::read(&local.file)?;
    let valid = settle(&object, local.patience)?;
    let root = local
        .directory
        .clone()
        .unwrap_or_else(|| Path::new(DIRECTORY).join(valid.name.as_str()));
    let manifest = serde_json::to_value(&object).map_err(|source| Error::Encode {
        what: "the manifest",
        source,
    })?;
    let options = Options {
        base_port: local.base_port,
        reset: local.reset,
    };
    let (runtime, opened) = ProcessRuntime::open(&root, valid.clone(), manifest, &options).await?;
    telemetry::to_file(&runtime.layout().log())?;
    let (announcer, lines) = Announcer::channel();
    let (status, latest) = watch::channel(DoubleMasterStatus::default());
    let showing = tokio::spawn(view::show(lines, latest.clone()));
    let runtime = Arc::new(runtime);
    greet(&announcer, &valid, &runtime, &opened.adopted);

    let reports = ReportFiles::new(runtime.layout().failovers())?;
    let last = last_report(&runtime.layout().failovers())?.map(|(report, path)| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        (report, name.unwrap_or_default())
    });
    let journal = Journal::new(
        valid.name.clone(),
        Box::new(reports),
        last,
        announcer.clone(),
    );
    let publisher = Publisher {
        runtime: Arc::clone(&runtime),
        status,
    };
    let writing = tokio::spawn(write_status(
        latest,
        Arc::clone(&runtime),
        runtime.layout().clone(),
    ));
    let (_wanted, specification) = watch::channel(Arc::new(valid));
    let mut controller = Controller::new(Parts {
        specification,
        runtime: Arc::clone(&runtime),
        journal,
        announcer: announcer.clone(),
        publisher,
        conditions: Vec::new(),
    });
    tokio::select! {
        () = controller.run() => {}
        name = end_signal() => announcer.say(format!("{name}: the instances are stopped")),
    }
    drop(controller);
    runtime.shut_down().await;
    announcer.say("stopped; starting again continues from the data");
    writing.abort();
    drop(announcer);
    // Steps that were under way may still hold an announcer: the last lines get a moment.
    if tokio::time::timeout(Duration::from_millis(200), showing)
        .await
        .is_err()
    {
        tracing::debug!("the view did not end by itself");
    }
    Ok(())
}

/// Validates. On one machine silence shows sooner than across a network, so a manifest that leaves
/// detection at its defaults gets half of them.
fn settle(object: &DoubleMaster, patience: u64) -> Result<Validated, Error> {
    let mut valid = validate(object)?;
    for (key, value) in &valid.config {
        let words = [format!("--{key}"), value.clone()];
        Config::parse(None, &words).map_err(|source| Error::ConfigKey {
            key: key.clone(),
            source: Box::new(source),
        })?;
    }
    let timing = &mut valid.timing;
    if object.spec.failover == Failover::default() {
        timing.probe_interval_ms = 100;
        timing.hang_ms = 500;
        timing.link_ms = 500;
    }
    for interval_ms in [
        &mut timing.probe_interval_ms,
        &mut timing.hang_ms,
        &mut timing.link_ms,
        &mut timing.disk_ms,
        &mut timing.quiet_ms,
        &mut timing.assemble_ms,
        &mut timing.restart_hung_ms,
    ] {
        *interval_ms = interval_ms.saturating_mul(patience.max(1));
    }
    Ok(valid)
}

fn greet(
    announcer: &Announcer,
    valid: &Validated,
    runtime: &ProcessRuntime,
    adopted: &[tandem_api::InstanceName],
) {
    announcer.say(format!(
        "{}: two masters with {} replicas each, data in {}",
        valid.name,
        valid.replicas,
        runtime.layout().root().display()
    ));
    for (name, address) in runtime.service_addresses() {
        announcer.say(format!("{name} on {address}"));
    }
    for name in adopted {
        announcer.say(format!("{name} was running and is taken over"));
    }
}

/// Completes the status with what only the runtime knows.
struct Publisher {
    runtime: Arc<ProcessRuntime>,
    status: watch::Sender<DoubleMasterStatus>,
}

impl Publish for Publisher {
    fn publish(&self, mut status: DoubleMasterStatus) {
        add_addresses(&mut status, &self.runtime);
        self.status.send_if_modified(|current| {
            let is_new = *current != status;
            if is_new {
                *current = status;
            }
            is_new
        });
    }
}

fn add_addresses(status: &mut DoubleMasterStatus, runtime: &ProcessRuntime) {
    for (name, address) in runtime.service_addresses() {
        if let Some(service) = status
            .services
            .iter_mut()
            .find(|service| service.name == name.as_str())
        {
            service.address = address.to_string();
        }
    }
}

async fn write_status(
    mut latest: watch::Receiver<DoubleMasterStatus>,
    runtime: Arc<ProcessRuntime>,
    layout: Layout,
) {
    let mut ticks = interval(STATUS_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while latest.changed().await.is_ok() {
        ticks.tick().await;
        let published = PublishedStatus {
            updated_at_ms: unix_ms(),
            services: runtime.services(),
            status: latest.borrow_and_update().clone(),
        };
        if let Err(error) = published.write(&layout) {
            tracing::error!(error = %chain(&error), "status not written");
        }
    }
}
