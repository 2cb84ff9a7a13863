//! A world of processes, data and links in which plans are carried out: the least that has the
//! properties the planner counts on (handover before following, merge between writers).

use std::collections::BTreeMap;

use tandem_api::{GroupName, InstanceName, ServiceName};
use tandem_plan::double_master::{DoubleMasterPlan, Validated};
use tandem_plan::observed::is_writer;
use tandem_plan::{
    Address, Answer, Attempt, Claim, InstanceObservation, Observed, Placement, Process, Resync,
    Step,
};
use tandem_proto::status::{
    DatabaseStatus, InstanceStatus, LinkKind, LinkState, LinkStatus, Role, VvRow,
};

/// (server id, epoch, incarnation).
pub(crate) type Origin = (u32, u64, u64);

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) running_since: Option<u64>,
    pub(crate) exited_at: Option<u64>,
    pub(crate) quick_exits: u32,
    pub(crate) hung_until: u64,
    pub(crate) server_id: u32,
    pub(crate) role: Role,
    pub(crate) epoch: u64,
    pub(crate) incarnation: u64,
    pub(crate) data: BTreeMap<Origin, u64>,
    pub(crate) links: BTreeMap<InstanceName, Link>,
    pub(crate) members: Vec<u32>,
    pub(crate) answer: Option<(InstanceStatus, u64)>,
    pub(crate) missed: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) kind: LinkKind,
    pub(crate) state: LinkState,
    pub(crate) contact_at: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) valid: Validated,
    pub(crate) now: u64,
    pub(crate) instances: BTreeMap<InstanceName, Instance>,
    pub(crate) claims: BTreeMap<GroupName, Claim>,
    pub(crate) services: BTreeMap<ServiceName, Vec<InstanceName>>,
    pub(crate) attempts: BTreeMap<String, (u64, u32, String)>,
    /// Who was ever promoted under an epoch of a group.
    pub(crate) owners: BTreeMap<(u32, u64), InstanceName>,
    incarnations: u64,
}

impl World {
    pub(crate) fn new(valid: Validated) -> Self {
        Self {
            valid,
            now: 1_000_000,
            instances: BTreeMap::new(),
            claims: BTreeMap::new(),
            services: BTreeMap::new(),
            attempts: BTreeMap::new(),
            owners: BTreeMap::new(),
            incarnations: 0,
        }
    }

    pub(crate) fn is_up(&self, name: &InstanceName) -> bool {
        self.instances
            .get(name)
            .is_some_and(|instance| instance.running_since.is_some() && !self.is_hung(instance))
    }

    fn is_hung(&self, instance: &Instance) -> bool {
        instance.hung_until > self.now
    }

    /// Lets time pass: probes, links, writes.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        let names: Vec<InstanceName> = self.instances.keys().cloned().collect();
        for name in &names {
            if self.is_up(name) {
                self.write(name);
                self.pull(name);
            }
        }
        for name in &names {
            let up = self.is_up(name);
            let status = self.status(name);
            let now = self.now;
            let Some(instance) = self.instances.get_mut(name) else {
                continue;
            };
            if up {
                instance.answer = Some((status, now));
                instance.missed = 0;
            } else if instance.running_since.is_some() {
                instance.missed += 1;
            }
        }
    }

    fn write(&mut self, name: &InstanceName) {
        let targeted = self.services.values().any(|targets| targets.contains(name));
        let Some(instance) = self.instances.get_mut(name) else {
            return;
        };
        if targeted && is_writer(instance.role) {
            let origin = (instance.server_id, instance.epoch, instance.incarnation);
            *instance.data.entry(origin).or_insert(0) += 1;
        }
    }

    fn pull(&mut self, name: &InstanceName) {
        let sources: Vec<InstanceName> = self.instances[name].links.keys().cloned().collect();
        for source in sources {
            let up = self.is_up(&source);
            let data = if up {
                self.instances[&source].data.clone()
            } else {
                BTreeMap::new()
            };
            let now = self.now;
            let Some(instance) = self.instances.get_mut(name) else {
                return;
            };
            let Some(link) = instance.links.get_mut(&source) else {
                continue;
            };
            if !up {
                if link.state == LinkState::Streaming {
                    link.state = LinkState::Connecting;
                }
                continue;
            }
            link.contact_at = Some(now);
            if link.state == LinkState::LostPlace {
                continue;
            }
            link.state = LinkState::Streaming;
            merge(&mut instance.data, &data);
        }
    }

    /// What the planner gets to see.
    pub(crate) fn observe(&self) -> Observed {
        let instances = self
            .instances
            .iter()
            .map(|(name, instance)| (name.clone(), self.observation(name, instance)))
            .collect();
        let attempts = self
            .attempts
            .iter()
            .filter(|(_, (at, _, _))| self.now - at < 10_000)
            .map(|(key, (at, failures, error))| {
                let (failures, error) = (*failures, error.clone());
                (
                    key.clone(),
                    Attempt {
                        age_ms: self.now - at,
                        failures,
                        error,
                    },
                )
            })
            .collect();
        Observed {
            instances,
            claims: self.claims.clone(),
            services: self.services.clone(),
            attempts,
            ..Observed::default()
        }
    }

    fn observation(&self, name: &InstanceName, instance: &Instance) -> InstanceObservation {
        let process = match (instance.running_since, instance.exited_at) {
            (Some(since), _) => Process::Running {
                age_ms: self.now - since,
            },
            (None, Some(at)) => Process::Exited {
                age_ms: self.now - at,
                quick_exits: instance.quick_exits,
                how: "killed".into(),
            },
            (None, None) => Process::Absent,
        };
        let heard_at = instance.answer.as_ref().map_or(0, |(_, at)| *at);
        let since = heard_at.max(instance.running_since.unwrap_or(0));
        InstanceObservation {
            process,
            address: address(name),
            answer: instance.answer.clone().map(|(status, at)| Answer {
                status,
                age_ms: self.now - at,
            }),
            silent_ms: self.now.saturating_sub(since),
            missed_probes: instance.missed,
            unsynced_ms: 0,
            ran_before: false,
            busy: None,
            placement: Placement::default(),
            settings: None,
        }
    }

    fn status(&self, name: &InstanceName) -> InstanceStatus {
        let instance = &self.instances[name];
        let rows = instance
            .data
            .iter()
            .map(|((server_id, epoch, incarnation), high)| VvRow {
                server_id: *server_id,
                epoch: *epoch,
                incarnation: format!("{incarnation:016x}"),
                high: *high,
                holes: Vec::new(),
            })
            .collect();
        let links = instance
            .links
            .iter()
            .map(|(source, link)| LinkStatus {
                kind: link.kind,
                host: address(source).host,
                port: address(source).port,
                server_id: 0,
                instance_id: source.to_string(),
                state: link.state,
                reason: String::new(),
                last_contact_ms: link.contact_at.map(|at| self.now - at),
                lag_records: 0,
                full_resyncs: 0,
                partial_resyncs: 0,
            })
            .collect();
        InstanceStatus {
            format: 1,
            instance_id: name.to_string(),
            cluster_id: "c".into(),
            server_id: instance.server_id,
            epoch: instance.epoch,
            incarnation: None,
            role: instance.role,
            writable: is_writer(instance.role),
            not_writable_reason: None,
            eligible: true,
            not_eligible_reason: None,
            priority: 100,
            now_ms: self.now,
            uptime_ms: 0,
            pid: 0,
            databases: vec![DatabaseStatus {
                database: 0,
                version_vector: rows,
                segment: 0,
                offset: 0,
                keys: 0,
            }],
            links,
            receivers: Vec::new(),
            members: instance.members.clone(),
            last_sync_age_ms: 0,
            poisoned: false,
            volume_full: false,
            clock_skew_ms: 0,
        }
    }

    /// Carries out a plan that may be late: claims are swapped only against what they expect, and
    /// each step with an epoch is refused when the claim has moved on.
    pub(crate) fn apply(&mut self, plan: &DoubleMasterPlan, scope: Scope) -> Result<(), String> {
        self.services.clone_from(&plan.services);
        for group in &plan.groups {
            if let Some(step) = &group.claim {
                if self.claims.get(&group.group) != step.expected.as_ref() {
                    continue;
                }
                self.claims.insert(group.group.clone(), step.claim.clone());
            }
            if scope == Scope::ClaimsOnly {
                continue;
            }
            for step in &group.steps {
                let outcome = self.carry_out(step, plan)?;
                let tried = self
                    .attempts
                    .entry(step.key())
                    .or_insert((0, 0, String::new()));
                if self.now - tried.0 > 10_000 {
                    tried.1 = 0;
                }
                *tried = (self.now, tried.1 + 1, outcome.err().unwrap_or_default());
            }
        }
        Ok(())
    }

    fn claim_is(&self, holder: &InstanceName, epoch: u64) -> bool {
        self.claims
            .values()
            .any(|claim| claim.instance == *holder && claim.epoch == epoch)
    }

    /// The outer error is a broken invariant, the inner one a step that did not work.
    fn carry_out(
        &mut self,
        step: &Step,
        plan: &DoubleMasterPlan,
    ) -> Result<Result<(), String>, String> {
        match step {
            Step::Start { instance } | Step::Restart { instance, .. } => {
                let wanted = plan
                    .instances
                    .iter()
                    .find(|wanted| wanted.name == *instance);
                let server_id = wanted.ok_or("start of an unwanted instance")?.server_id;
                self.start(instance, server_id);
                return Ok(Ok(()));
            }
            Step::Stop { instance } => {
                if let Some(instance) = self.instances.get_mut(instance) {
                    (instance.running_since, instance.exited_at) = (None, None);
                }
                return Ok(Ok(()));
            }
            _ => {}
        }
        if !self.is_up(step.instance()) {
            return Ok(Err("does not answer".into()));
        }
        match step {
            Step::Promote {
                instance,
                epoch,
                collect_from,
            } => {
                if !self.claim_is(instance, *epoch) {
                    return Ok(Err("claim moved on".into()));
                }
                self.promote(instance, *epoch, collect_from)
            }
            Step::Fence {
                instance,
                epoch,
                primary,
            }
            | Step::Follow {
                instance,
                epoch,
                primary,
            } => {
                if !self.claim_is(primary, *epoch) {
                    return Ok(Err("claim moved on".into()));
                }
                Ok(self.follow(instance, *epoch, primary))
            }
            Step::Withdraw { instance, epoch } => {
                let lost = |claim: &Claim| claim.epoch == epoch + 1 && claim.instance != *instance;
                if !self.claims.values().any(lost) {
                    return Ok(Err("claim moved on".into()));
                }
                let told = self.instances.get_mut(instance).ok_or("unknown")?;
                told.epoch = told.epoch.max(*epoch);
                told.role = Role::Waiting;
                told.links.clear();
                Ok(Ok(()))
            }
            Step::Peer { instance, peer, .. } => {
                self.link(instance, peer, LinkKind::Peer);
                Ok(Ok(()))
            }
            Step::Members {
                instance,
                server_ids,
            } => {
                let told = self.instances.get_mut(instance).ok_or("unknown")?;
                told.members.clone_from(server_ids);
                Ok(Ok(()))
            }
            Step::FullResync {
                instance,
                source,
                mode,
                ..
            } => {
                if !self.is_up(source) {
                    return Ok(Err("source does not answer".into()));
                }
                if *mode == Resync::Replace {
                    let taken = self.instances[source].data.clone();
                    self.link(instance, source, LinkKind::Replica);
                    let target = self.instances.get_mut(instance).ok_or("unknown")?;
                    target.data = taken;
                } else {
                    self.link(instance, source, LinkKind::Peer);
                }
                Ok(Ok(()))
            }
            Step::Start { .. }
            | Step::Restart { .. }
            | Step::Replace { .. }
            | Step::Configure { .. }
            | Step::Stop { .. } => Ok(Ok(())),
        }
    }

    fn start(&mut self, name: &InstanceName, server_id: u32) {
        let now = self.now;
        let instance = self
            .instances
            .entry(name.clone())
            .or_insert_with(|| Instance {
                running_since: None,
                exited_at: None,
                quick_exits: 0,
                hung_until: 0,
                server_id,
                role: Role::Waiting,
                epoch: 0,
                incarnation: 0,
                data: BTreeMap::new(),
                links: BTreeMap::new(),
                members: Vec::new(),
                answer: None,
                missed: 0,
            });
        instance.running_since = Some(now);
        instance.exited_at = None;
        instance.hung_until = 0;
        instance.role = Role::Waiting;
        instance.links.clear();
        instance.missed = 0;
    }

    fn promote(
        &mut self,
        name: &InstanceName,
        epoch: u64,
        collect_from: &[InstanceName],
    ) -> Result<Result<(), String>, String> {
        let instance = &self.instances[name];
        let already = is_writer(instance.role) && instance.epoch == epoch;
        if instance.epoch >= epoch && !already {
            return Ok(Err(format!("-STALE {epoch}")));
        }
        let group = instance.server_id;
        let owner = self
            .owners
            .entry((group, epoch))
            .or_insert_with(|| name.clone());
        if owner != name {
            return Err(format!(
                "epoch {epoch} of {group} belongs to {owner}, not {name}"
            ));
        }
        let collected: Vec<_> = collect_from
            .iter()
            .filter(|from| self.is_up(from))
            .map(|from| self.instances[from].data.clone())
            .collect();
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let instance = self.instances.get_mut(name).ok_or("unknown")?;
        for data in &collected {
            merge(&mut instance.data, data);
        }
        if !already {
            instance.incarnation = incarnation;
            instance.links.clear();
        }
        instance.role = Role::DoubleMaster;
        instance.epoch = epoch;
        Ok(Ok(()))
    }

    fn follow(
        &mut self,
        name: &InstanceName,
        epoch: u64,
        primary: &InstanceName,
    ) -> Result<(), String> {
        if !self.is_up(primary) {
            return Err("the primary does not answer".into());
        }
        if self.instances[name].epoch > epoch {
            return Err("-STALE".into());
        }
        let alone = self.instances[name].data.clone();
        let target = self.instances.get_mut(primary).ok_or("unknown")?;
        merge(&mut target.data, &alone);
        let instance = self.instances.get_mut(name).ok_or("unknown")?;
        instance.role = Role::Replica;
        instance.epoch = epoch;
        instance.links.clear();
        self.link(name, primary, LinkKind::Replica);
        Ok(())
    }

    fn link(&mut self, name: &InstanceName, source: &InstanceName, kind: LinkKind) {
        if let Some(instance) = self.instances.get_mut(name) {
            instance.links.retain(|_, link| link.kind != kind);
            let state = LinkState::Connecting;
            instance.links.insert(
                source.clone(),
                Link {
                    kind,
                    state,
                    contact_at: None,
                },
            );
        }
    }

    pub(crate) fn kill(&mut self, name: &InstanceName) {
        let now = self.now;
        if let Some(instance) = self.instances.get_mut(name)
            && let Some(since) = instance.running_since.take()
        {
            instance.exited_at = Some(now);
            instance.hung_until = 0;
            let is_quick = now - since < 2000;
            instance.quick_exits = if is_quick {
                instance.quick_exits + 1
            } else {
                0
            };
        }
    }

    /// Two writers of one group under one epoch, if there are.
    pub(crate) fn two_owners(&self) -> Option<String> {
        let mut writers = BTreeMap::new();
        for (name, instance) in &self.instances {
            if instance.running_since.is_some() && is_writer(instance.role) {
                let key = (instance.server_id, instance.epoch);
                if let Some(other) = writers.insert(key, name) {
                    return Some(format!("{other} and {name} both write under {key:?}"));
                }
            }
        }
        None
    }
}

/// How much of a plan is carried out before the planner dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Whole,
    ClaimsOnly,
}

fn merge(into: &mut BTreeMap<Origin, u64>, from: &BTreeMap<Origin, u64>) {
    for (origin, high) in from {
        let mine = into.entry(*origin).or_insert(0);
        *mine = (*mine).max(*high);
    }
}

pub(crate) fn address(name: &InstanceName) -> Address {
    let slot = if name.as_str().contains("-b-") {
        21
    } else {
        11
    };
    Address {
        host: "h".into(),
        port: 7000 + slot + u16::from(name.ordinal()),
    }
}
