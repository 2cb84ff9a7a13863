//! Two hundred resources and one operator: what it holds in memory, what it asks of the API server at
//! rest, and how long it takes to be at work again.
//!
//! `TANDEM_SCALE=200 TANDEM_CLUSTER=all cargo test -p tandem-e2e --test cluster scale`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use tandem_e2e::cluster::operator::install_definitions;
use tandem_e2e::cluster::{Stage, wait_until};
use tandem_e2e::scale::{Door, Instances, Kubelet, Operator, STORAGE_CLASS, Use};

/// How many resources.
const COUNT_VARIABLE: &str = "TANDEM_SCALE";
const USUAL_COUNT: u64 = 5;
/// For how long it is looked at.
const WINDOW_VARIABLE: &str = "TANDEM_SCALE_SECONDS";
const USUAL_WINDOW: u64 = 60;
const FORM_LIMIT: Duration = Duration::from_mins(10);
/// What is told once a minute is told by then.
const SETTLE_VARIABLE: &str = "TANDEM_SCALE_SETTLE";
const USUAL_SETTLE: u64 = 70;

fn number(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usual, |text| text.parse().unwrap())
}

fn manifests(count: u64) -> String {
    let mut text = String::new();
    for number in 0..count {
        write!(
            text,
            "---
apiVersion: tandem.dev/v1alpha1
kind: DoubleMaster
metadata:
  name: dm{number}
spec:
  replicasPerMaster: 1
  storage: {{size: 1Gi, className: {STORAGE_CLASS}}}
  scheduling:
    nodeSelector: {{tandem.dev/simulated: 'true'}}
  reclaimPolicy: Delete
"
        )
        .unwrap();
    }
    text
}

/// What it used between two looks.
struct Rate {
    calls: f64,
    watches: f64,
    rounds: f64,
    processor: f64,
    resident: u64,
}

fn window(operator: &mut Operator, length: Duration) -> Rate {
    let before = operator.usage().unwrap();
    std::thread::sleep(length);
    let after = operator.usage().unwrap();
    let seconds = (after.at - before.at).as_secs_f64();
    let a_minute = |from: u64, to: u64| (to - from) as f64 * 60.0 / seconds;
    Rate {
        calls: a_minute(before.calls, after.calls),
        watches: a_minute(before.watches, after.watches),
        rounds: (after.rounds - before.rounds) as f64 / seconds,
        processor: (after.processor - before.processor) / seconds,
        resident: after.resident,
    }
}

fn wait_until_all_ready(operator: &mut Operator, count: u64) -> Use {
    wait_until("every resource is ready", FORM_LIMIT, || {
        let usage = operator.usage()?;
        ensure!(
            usage.ready == count,
            "{} of {count} are: {}",
            usage.ready,
            operator.log()
        );
        Ok(usage)
    })
    .unwrap()
}

fn pods(stage: &Stage) -> Vec<Option<String>> {
    let all: Vec<Pod> = stage.list("app.kubernetes.io/managed-by=tandem").unwrap();
    let mut ids: Vec<Option<String>> = all.iter().map(Pod::uid).collect();
    ids.sort();
    ids
}

/// Which version of itself each service is; one that moves has another.
fn services(stage: &Stage) -> BTreeMap<String, Option<String>> {
    let all: Vec<Service> = stage.list("app.kubernetes.io/managed-by=tandem").unwrap();
    let version = |one: &Service| (one.name_any(), one.resource_version());
    all.iter().map(version).collect()
}

fn write(instances: &Mutex<Instances>, is_written: bool) {
    let mut instances = instances.lock().unwrap_or_else(PoisonError::into_inner);
    instances.write(is_written);
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Takes the node away when the story ends, however it does.
struct Remove<'a>(&'a Stage);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        let cluster = self.0.cluster();
        if let Err(error) = cluster.run(Kubelet::remove(&cluster.client())) {
            self.0.says(format_args!("the node stays: {error:#}"));
        }
    }
}

#[test]
fn scale_an_operator_with_many_resources_is_small_and_silent() {
    let Some(stage) = Stage::begin("scale").unwrap() else {
        return;
    };
    let count = number(COUNT_VARIABLE, USUAL_COUNT);
    let length = Duration::from_secs(number(WINDOW_VARIABLE, USUAL_WINDOW));
    let settle = Duration::from_secs(number(SETTLE_VARIABLE, USUAL_SETTLE));
    let world = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let begun: Result<_> = world.block_on(async {
        let door = Door::open()?;
        // A client of this runtime: one is driven by the runtime that made it.
        let client = stage.cluster().connect().await?;
        let kubelet = Kubelet::begin(&client, stage.namespace(), door.instances()).await?;
        Ok((door, kubelet))
    });
    let (door, _kubelet) = begun.unwrap();
    let _remove = Remove(&stage);

    install_definitions(&stage).unwrap();
    stage.apply(&manifests(count)).unwrap();
    let mut operator = Operator::start(stage.cluster().kubeconfig(), stage.namespace()).unwrap();
    let formed = wait_until_all_ready(&mut operator, count);
    let forming = formed.at - operator.begun();
    stage.says(format_args!(
        "{count} resources, {} instances: all formed in {:.1} s, {:.0} calls each, {:.0} MiB",
        4 * count,
        forming.as_secs_f64(),
        formed.calls as f64 / count as f64,
        mebibytes(formed.resident),
    ));
    let before = pods(&stage);
    assert_eq!(before.len() as u64, 4 * count);

    std::thread::sleep(settle);
    let rest = window(&mut operator, length);
    stage.says(row("at rest", &rest, count));

    write(&door.instances(), true);
    std::thread::sleep(settle);
    let busy = window(&mut operator, length);
    stage.says(row("written to", &busy, count));
    write(&door.instances(), false);

    let pointed = services(&stage);
    let ended = Instant::now();
    operator.end().unwrap();
    let mut operator = Operator::start(stage.cluster().kubeconfig(), stage.namespace()).unwrap();
    let back = wait_until_all_ready(&mut operator, count);
    stage.says(format_args!(
        "all reconciled {:.1} s after a restart ({:.1} s after its end was asked for), {} calls, {} watches, \
         {:.1} s of processor, {:.0} MiB",
        (back.at - operator.begun()).as_secs_f64(),
        ended.elapsed().as_secs_f64(),
        back.calls,
        back.watches,
        back.processor,
        mebibytes(back.resident),
    ));
    assert_eq!(pods(&stage), before, "no pod was made anew");
    assert_eq!(services(&stage), pointed, "no service was moved");
    // Its lease is not of the resources.
    let own = 60.0;
    assert!(
        rest.calls - own <= count as f64,
        "more than a call for each resource and minute at rest"
    );
}

fn row(what: &str, rate: &Rate, count: u64) -> String {
    format!(
        "{what}: {:.0} calls a minute ({:.2} for each resource), {:.0} watches, {:.0} rounds a second, \
         {:.2} processors, {:.0} MiB",
        rate.calls,
        rate.calls / count as f64,
        rate.watches,
        rate.rounds,
        rate.processor,
        mebibytes(rate.resident),
    )
}
