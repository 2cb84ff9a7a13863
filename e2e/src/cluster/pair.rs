//! A `DoubleMaster` on the cluster: its status, its pods and services, and the check at the end.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tandem_api::DoubleMaster;
use tandem_api::double_master::{DoubleMasterStatus, FailoverSummary, MemberStatus};

use super::patience::patience;
use super::stage::{Stage, pod_address};
use super::wait::wait_until;
use crate::story::{Instance, Ledger, wait_until_equal};

/// Its name.
pub const NAME: &str = "dm";
const PORT: u16 = 6379;
const OWNER: &str = "tandem-e2e";

/// How long forming or healing may take; a busy machine takes its time.
pub const HEAL_LIMIT: Duration = Duration::from_mins(4);
const REMOVE_LIMIT: Duration = Duration::from_mins(2);

/// A pair in the story's namespace; it goes at drop, while its operator is there.
#[derive(Debug)]
pub struct Pair<'a> {
    stage: &'a Stage,
    /// Everything that clients have been told so far.
    told: RefCell<Ledger>,
    password: Cell<Option<&'static str>>,
}

/// What a story's pair is unless the story says otherwise: the defaults, on small volumes.
pub fn usual_spec() -> Value {
    let mut spec = json!({
        "storage": {"size": "1Gi"},
        "terminationGracePeriodSeconds": 10,
    });
    if patience() > 1 {
        let times = |milliseconds: u32| milliseconds * patience();
        spec["failover"] = json!({
            "hangTimeoutMs": times(600),
            "linkTimeoutMs": times(600),
            "collectMs": times(1000),
        });
    }
    spec
}

impl<'a> Pair<'a> {
    /// Applies a pair and waits until it is ready.
    pub fn start(stage: &'a Stage, spec: &Value) -> Result<Self> {
        Self::start_with(stage, spec, None)
    }

    /// As [`Self::start`], with the password that clients need.
    pub fn start_with(
        stage: &'a Stage,
        spec: &Value,
        password: Option<&'static str>,
    ) -> Result<Self> {
        let pair = Self {
            stage,
            told: RefCell::default(),
            password: Cell::new(password),
        };
        pair.apply(spec)?;
        let begun = std::time::Instant::now();
        pair.wait_until_ready()?;
        let seconds = begun.elapsed().as_secs_f64();
        stage.says(format_args!("the pair is ready after {seconds:.1} s"));
        Ok(pair)
    }

    /// What doors say from here on.
    pub fn use_password(&self, password: &'static str) {
        self.password.set(Some(password));
    }

    /// Applies a whole specification, the first or another one; waits for nothing.
    pub fn apply(&self, spec: &Value) -> Result<()> {
        let object = json!({
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": "DoubleMaster",
            "metadata": {"name": NAME},
            "spec": spec,
        });
        let parameters = PatchParams::apply(OWNER).force();
        let api = self.stage.api::<DoubleMaster>();
        let patch = Patch::Apply(&object);
        let applied = api.patch(NAME, &parameters, &patch);
        self.stage.cluster().run(applied)?;
        Ok(())
    }

    /// Merges a change into the object.
    pub fn change(&self, change: &Value) -> Result<()> {
        let api = self.stage.api::<DoubleMaster>();
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
        let changed = api.patch(NAME, &parameters, &patch);
        self.stage.cluster().run(changed)?;
        Ok(())
    }

    /// Asks the operator as `kubectl tandem` does: `switchover`, `failover` or `resync`.
    pub fn request(&self, kind: &str, text: &str) -> Result<()> {
        let annotation = format!("tandem.dev/{kind}");
        self.change(&json!({"metadata": {"annotations": {annotation: text}}}))
    }

    /// The story's turn.
    pub fn stage(&self) -> &'a Stage {
        self.stage
    }

    /// The object.
    pub fn object(&self) -> Result<DoubleMaster> {
        self.stage.get(NAME)
    }

    /// What the operator says of it, about its present generation.
    pub fn status(&self) -> Result<DoubleMasterStatus> {
        let object = self.object()?;
        let status = object.status.context("the object has no status yet")?;
        ensure!(
            Some(status.observed_generation) == object.metadata.generation,
            "the status is about generation {}",
            status.observed_generation
        );
        Ok(status)
    }

    /// Waits until the status satisfies `is_so`; `what` says of what.
    pub fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&DoubleMasterStatus) -> bool,
    ) -> Result<DoubleMasterStatus> {
        wait_until(what, limit, || {
            let status = self.status()?;
            if is_so(&status) {
                return Ok(status);
            }
            bail!("the status is {}", serde_json::to_string(&status)?)
        })
    }

    /// Waits until two masters and all replicas are in place, by the status and by their own word.
    pub fn wait_until_ready(&self) -> Result<DoubleMasterStatus> {
        wait_until("a ready pair", HEAL_LIMIT, || {
            let object = self.object()?;
            let wanted = 2 * (1 + usize::from(object.spec.replicas_per_master));
            let status = self.status()?;
            let told = serde_json::to_string(&status)?;
            ensure!(is(&status, "Ready"), "it is not ready: {told}");
            ensure!(status.members.len() == wanted, "not all members: {told}");
            for member in &status.members {
                let own = self.instance(&member.name)?.status()?;
                let streams = |link: &tandem_proto::status::LinkStatus| {
                    link.state == tandem_proto::status::LinkState::Streaming
                };
                ensure!(
                    own.links.iter().all(streams),
                    "links of {}: {:?}; {told}",
                    member.name,
                    own.links
                );
            }
            ensure!(
                ["a", "b"].iter().all(|slot| master(&status, slot).is_ok()),
                "not two masters: {told}"
            );
            Ok(status)
        })
    }

    /// The master of a slot.
    pub fn master(&self, slot: &str) -> Result<MemberStatus> {
        master(&self.status()?, slot).cloned()
    }

    /// The member that `-rw` points at.
    pub fn writer(&self) -> Result<MemberStatus> {
        let status = self.status()?;
        let name = target(&status, "rw").context("-rw has no target")?;
        member(&status, &name).cloned()
    }

    /// The door of a service, `rw`, `ro`, `a` or `b`.
    pub fn service(&self, suffix: &str) -> Result<Instance> {
        let service: Service = self.stage.get(&format!("{NAME}-{suffix}"))?;
        let address = service.spec.and_then(|spec| spec.cluster_ip);
        let host: IpAddr = address.context("the service has no address")?.parse()?;
        Ok(Instance::on(host, PORT).with_password(self.password.get()))
    }

    /// The door of an instance.
    pub fn instance(&self, name: &str) -> Result<Instance> {
        let pod: Pod = self.stage.get(name)?;
        Ok(Instance::on(pod_address(&pod)?, PORT).with_password(self.password.get()))
    }

    /// The doors of all instances.
    pub fn instances(&self) -> Result<Vec<Instance>> {
        let members = self.status()?.members;
        members.iter().map(|one| self.instance(&one.name)).collect()
    }

    /// The node that an instance is on.
    pub fn node_of(&self, name: &str) -> Result<String> {
        let pod: Pod = self.stage.get(name)?;
        let node = pod.spec.and_then(|spec| spec.node_name);
        node.context("the pod is on no node")
    }

    /// The identity of an instance's pod, which another one of its name does not have.
    pub fn pod_id(&self, name: &str) -> Result<String> {
        let pod: Pod = self.stage.get(name)?;
        pod.uid().context("the pod has no identity")
    }

    /// Waits until a slot has a master with an epoch above `epoch`, its failover is closed and the pair is
    /// whole; gives what the status and the report say of it.
    pub fn wait_until_restored(&self, slot: &str, epoch: u64) -> Result<FailoverSummary> {
        let what = format!("slot {slot} restored beyond epoch {epoch}");
        self.wait_until(&what, HEAL_LIMIT, |status| {
            let last = status.last_failover.as_ref();
            master(status, slot).is_ok_and(|master| master.epoch > epoch)
                && last.is_some_and(|last| last.epoch > epoch && last.total_ms.is_some())
        })?;
        let status = self.wait_until_ready()?;
        let last = status.last_failover.context("no failover is told of")?;
        self.report_agrees(&last)?;
        Ok(last)
    }

    /// Waits until a slot has another master than `before`, or the same one in another life.
    pub fn wait_until_served(&self, before: &MemberStatus) -> Result<MemberStatus> {
        let what = format!("another life of slot {}", before.slot);
        let status = self.wait_until(&what, HEAL_LIMIT, |status| {
            master(status, &before.slot).is_ok_and(|now| is_later(now, before))
        })?;
        master(&status, &before.slot).cloned()
    }

    /// Waits until a slot is served again and the pair is whole; gives the failover that was needed, as
    /// the status and the report tell it, which has to be the same. `None`: its master came back itself.
    pub fn wait_until_healed(&self, before: &MemberStatus) -> Result<Option<FailoverSummary>> {
        let what = format!("a closed failover of slot {}", before.slot);
        self.wait_until(&what, HEAL_LIMIT, |status| {
            let last = status.last_failover.as_ref();
            master(status, &before.slot).is_ok_and(|now| {
                is_later(now, before)
                    && (now.epoch == before.epoch
                        || last.is_some_and(|last| {
                            last.epoch > before.epoch && last.total_ms.is_some()
                        }))
            })
        })?;
        let status = self.wait_until_ready()?;
        if master(&status, &before.slot)?.epoch == before.epoch {
            return Ok(None);
        }
        let last = status.last_failover.context("no failover is told of")?;
        self.report_agrees(&last)?;
        Ok(Some(last))
    }

    fn report_agrees(&self, summary: &FailoverSummary) -> Result<()> {
        let place = summary.report.rsplit_once('/');
        let key = place.context("the status names no report")?.1;
        wait_until("the report is written", HEAL_LIMIT, || {
            let map: ConfigMap = self.stage.get(&format!("{NAME}-failovers"))?;
            let data = map.data.unwrap_or_default();
            let report: Value = serde_json::from_str(data.get(key).context("no report")?)?;
            let told = [&report["group"], &report["epoch"], &report["closed"]];
            let wanted = [json!(summary.slot), json!(summary.epoch), json!(true)];
            ensure!(told == wanted.each_ref(), "the report is {report}");
            Ok(())
        })
    }

    /// Nothing acknowledged is missing on any instance, of this ledger and those before it, and all
    /// instances hold the same.
    pub fn nothing_is_lost(&self, ledger: &Ledger) -> Result<()> {
        self.told.borrow_mut().merge(ledger.clone());
        self.wait_until_ready()?;
        let ledger = self.told.borrow();
        let instances = self.instances()?;
        let took = wait_until_equal(&instances, HEAL_LIMIT)?;
        let checked = ledger.check_all(&instances)?;
        for instance in &instances {
            ensure!(
                instance.echoes()? == 0,
                "records were sent back to where they began"
            );
        }
        self.stage.says(format_args!(
            "0 of {} acknowledged writes lost, {} unanswered; {} values and {} counters on each of \
             {} instances, equal after {} ms",
            ledger.acknowledged(),
            ledger.unanswered(),
            checked.values,
            checked.counters,
            instances.len(),
            took.as_millis()
        ));
        Ok(())
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stage.describe();
            match self.object() {
                Ok(object) => self
                    .stage
                    .says(serde_json::to_string_pretty(&object.status).unwrap_or_default()),
                Err(error) => self.stage.says(format_args!("no object: {error:#}")),
            }
            return;
        }
        if self.stage.is_removed() {
            return;
        }
        let api = self.stage.api::<DoubleMaster>();
        let deleted = self
            .stage
            .cluster()
            .run(api.delete(NAME, &DeleteParams::default()));
        let gone = deleted.map_err(anyhow::Error::from).and_then(|_| {
            wait_until("its pods are gone", REMOVE_LIMIT, || {
                let pods = self
                    .stage
                    .list::<Pod>(&format!("tandem.dev/resource={NAME}"))?;
                ensure!(pods.is_empty(), "{} pods", pods.len());
                Ok(())
            })
        });
        if let Err(error) = gone {
            self.stage.says(format_args!("the pair stays: {error:#}"));
        }
    }
}

fn is_later(now: &MemberStatus, before: &MemberStatus) -> bool {
    now.epoch > before.epoch || now.incarnation != before.incarnation
}

/// Whether a condition is `True`.
pub fn is(status: &DoubleMasterStatus, kind: &str) -> bool {
    let conditions = &status.conditions;
    conditions
        .iter()
        .any(|one| one.kind == kind && one.status == tandem_api::ConditionStatus::True)
}

/// The member of that name.
pub fn member<'a>(status: &'a DoubleMasterStatus, name: &str) -> Result<&'a MemberStatus> {
    let found = status.members.iter().find(|member| member.name == name);
    found.with_context(|| format!("no member `{name}`"))
}

/// The member that takes the writes of a slot.
pub fn master<'a>(status: &'a DoubleMasterStatus, slot: &str) -> Result<&'a MemberStatus> {
    let found = status
        .members
        .iter()
        .find(|member| member.slot == slot && member.writable && member.role == "double_master");
    found.with_context(|| format!("slot {slot} has no master"))
}

/// The first instance behind a service.
pub fn target(status: &DoubleMasterStatus, suffix: &str) -> Option<String> {
    let name = format!("{NAME}-{suffix}");
    let service = status
        .services
        .iter()
        .find(|service| service.name == name)?;
    service.targets.first().cloned()
}

/// The other slot.
pub fn other(slot: &str) -> &'static str {
    if slot == "a" { "b" } else { "a" }
}
