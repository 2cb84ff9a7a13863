//! A world of processes, data and links in which plans are carried out: the least that has the
//! properties the planner counts on (handover before following, merge between writers).

use std::collections::{BTreeMap, BTreeSet};

use tandem_api::{GroupName, InstanceName, ServiceName};
use tandem_plan::double_master::Validated;
use tandem_plan::observed::is_writer;
use tandem_plan::{
    Address, Answer, Attempt, Claim, InstanceObservation, Observed, Placement, Process, Request,
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
    /// Specification that it was made from.
    pub(crate) revision: u32,
    pub(crate) cordoned_until: u64,
    /// Its end was asked for and comes then.
    pub(crate) ends_at: Option<u64>,
    /// A promotion does not end before that.
    pub(crate) opens_from: u64,
}

/// A promotion that goes on by itself.
#[derive(Debug, Clone)]
pub(crate) struct Late {
    pub(crate) at: u64,
    pub(crate) instance: InstanceName,
    pub(crate) epoch: u64,
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
    pub(crate) incarnations: u64,
    pub(crate) requests: Vec<Request>,
    /// Specification that is wanted; odd ones have an image that does not run.
    pub(crate) revision: u32,
    pub(crate) late: Vec<Late>,
    /// Who `-rw` sent clients to, and when last.
    pub(crate) left: BTreeMap<InstanceName, u64>,
    /// Clients of a service that was moved are still sent to its old target for a while.
    pub(crate) lingers: bool,
    /// When the present planner came.
    pub(crate) planner_since: u64,
    /// How far the nodes of the second slot are shifted against those of the first.
    pub(crate) shift: u64,
}

/// Nodes of the cluster.
const NODES: u64 = 3;

/// How long clients go to the old target of a service.
const LINGER_MS: u64 = 1200;

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
            requests: Vec::new(),
            revision: 0,
            late: Vec::new(),
            left: BTreeMap::new(),
            lingers: false,
            planner_since: 0,
            shift: 0,
        }
    }

    pub(crate) fn is_up(&self, name: &InstanceName) -> bool {
        self.instances
            .get(name)
            .is_some_and(|instance| instance.running_since.is_some() && !self.is_hung(instance))
    }

    /// Since when it answers without a break.
    fn up_since(&self, name: &InstanceName) -> Option<u64> {
        let instance = self.instances.get(name)?;
        let since = instance.running_since?.max(instance.hung_until);
        self.is_up(name).then_some(since)
    }

    fn is_hung(&self, instance: &Instance) -> bool {
        // An odd revision never answers.
        instance.hung_until > self.now || instance.revision % 2 == 1
    }

    /// Lets time pass: ends, late promotions, probes, links, writes.
    pub(crate) fn pass(&mut self, ms: u64) -> Result<(), String> {
        self.now += ms;
        let now = self.now;
        let is_over = |instance: &Instance| instance.ends_at.is_some_and(|at| at <= now);
        let ended: Vec<InstanceName> = self
            .instances
            .iter()
            .filter(|(_, instance)| is_over(instance))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &ended {
            self.remove(name);
        }
        self.open_late()?;
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
        Ok(())
    }

    /// Promotions that went on by themselves come through. An instance that answered all the time
    /// since it lost its claim never opens when another one has.
    fn open_late(&mut self) -> Result<(), String> {
        let now = self.now;
        let due: Vec<Late> = self.late.extract_if(.., |late| late.at <= now).collect();
        for Late {
            instance, epoch, ..
        } in due
        {
            if !self.is_up(&instance) {
                continue;
            }
            let before = self.instances[&instance].epoch;
            let opened = self.promote(&instance, epoch, &[])?.is_ok() && before < epoch;
            let group = self.instances[&instance].server_id;
            let slots = &self.valid.slots;
            let slot = slots.iter().find(|slot| slot.server_id == group);
            let claim = slot.and_then(|slot| self.claims.get(&slot.name));
            let since = self.up_since(&instance).unwrap_or(now);
            let is_open = |claim: &Claim| {
                let holder = self.instances.get(&claim.instance);
                holder.is_some_and(|holder| holder.epoch == claim.epoch && is_writer(holder.role))
            };
            if let Some(claim) = claim.filter(|claim| opened && claim.epoch > epoch)
                && since + 1000 < claim.at_ms
                && is_open(claim)
            {
                return Err(format!(
                    "{instance} opens under epoch {epoch} after {} did under {}",
                    claim.instance, claim.epoch
                ));
            }
        }
        Ok(())
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
            requests: self.requests.clone(),
            sent_to: self.sent_to(),
            ..Observed::default()
        }
    }

    fn sent_to(&self) -> BTreeSet<InstanceName> {
        let rw = self
            .services
            .iter()
            .find(|(name, _)| name.as_str() == "dm-rw");
        let now = rw.map_or_else(Vec::new, |(_, targets)| targets.clone());
        let left = self
            .left
            .iter()
            .filter(|(_, at)| self.now - **at < LINGER_MS);
        let all = now.into_iter().chain(left.map(|(name, _)| name.clone()));
        all.filter(|_| self.lingers).collect()
    }

    fn observation(&self, name: &InstanceName, instance: &Instance) -> InstanceObservation {
        let process = match (instance.running_since, instance.exited_at) {
            (Some(since), _) => Process::Running {
                age_ms: self.now - since.max(self.planner_since),
            },
            (None, Some(at)) => Process::Exited {
                age_ms: self.now - at,
                quick_exits: instance.quick_exits,
                how: "killed".into(),
            },
            (None, None) => Process::Absent,
        };
        let heard_at = instance.answer.as_ref().map_or(0, |(_, at)| *at);
        let started_at = instance.running_since.unwrap_or(0);
        let since = heard_at.max(started_at).max(self.planner_since);
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
            ran_before: started_at < self.planner_since,
            busy: None,
            placement: self.placement(name, instance),
            settings: None,
        }
    }

    /// Instances of a slot are on different nodes.
    pub(crate) fn node(&self, name: &InstanceName) -> String {
        let is_second = name.as_str().starts_with("dm-b-");
        let shift = if is_second { self.shift } else { 0 };
        format!("n{}", (u64::from(name.ordinal()) + shift) % NODES)
    }

    fn placement(&self, name: &InstanceName, instance: &Instance) -> Placement {
        let exists = instance.running_since.is_some() || instance.exited_at.is_some();
        let leaving = instance.cordoned_until > self.now;
        let outdated = exists && instance.revision != self.revision;
        let stuck = exists && instance.revision % 2 == 1;
        Placement {
            node: Some(self.node(name)),
            leaving: leaving.then(|| "its node is cordoned".into()),
            terminating: instance.ends_at.is_some(),
            outdated: outdated.then(|| "image".into()),
            trouble: stuck.then(|| "its image cannot be pulled".into()),
            ready: None,
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

    /// Its pod goes; the volume stays.
    pub(crate) fn remove(&mut self, name: &InstanceName) {
        if let Some(instance) = self.instances.get_mut(name) {
            (instance.running_since, instance.exited_at) = (None, None);
            (instance.ends_at, instance.hung_until) = (None, 0);
            instance.quick_exits = 0;
        }
    }

    /// Another planner takes over: it has heard nobody yet.
    pub(crate) fn replace_planner(&mut self) {
        self.planner_since = self.now;
        self.attempts.clear();
        for instance in self.instances.values_mut() {
            instance.answer = None;
            instance.missed = 0;
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

pub(crate) fn merge(into: &mut BTreeMap<Origin, u64>, from: &BTreeMap<Origin, u64>) {
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
