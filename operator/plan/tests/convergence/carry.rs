//! How plans are carried out in the world: as late, as often and as incompletely as may be.

use std::collections::BTreeMap;

use tandem_api::InstanceName;
use tandem_plan::double_master::DoubleMasterPlan;
use tandem_plan::observed::is_writer;
use tandem_plan::{Claim, Resync, Step};
use tandem_proto::status::{LinkKind, LinkState, Role};

use crate::world::{Instance, Late, Link, Scope, World, merge};

impl World {
    /// Carries out a plan that may be late: claims are swapped only against what they expect, and
    /// each step with an epoch is refused when the claim has moved on.
    pub(crate) fn apply(&mut self, plan: &DoubleMasterPlan, scope: Scope) -> Result<(), String> {
        let rw = |services: &BTreeMap<_, Vec<InstanceName>>| -> Vec<InstanceName> {
            let found = services
                .iter()
                .find(|(name, _): &(&tandem_api::ServiceName, _)| name.as_str() == "dm-rw");
            found.map_or_else(Vec::new, |(_, targets)| targets.clone())
        };
        for name in rw(&self.services) {
            self.left.insert(name, self.now);
        }
        self.services.clone_from(&plan.services);
        self.requests
            .retain(|request| plan.replies.iter().all(|reply| reply.request != *request));
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

    pub(crate) fn claim_is(&self, holder: &InstanceName, epoch: u64) -> bool {
        self.claims
            .values()
            .any(|claim| claim.instance == *holder && claim.epoch == epoch)
    }

    /// What a step does to processes; `None` when it is a command to an instance.
    fn of_process(
        &mut self,
        step: &Step,
        plan: &DoubleMasterPlan,
    ) -> Result<Option<Result<(), String>>, String> {
        match step {
            Step::Start { instance } | Step::Restart { instance, .. } => {
                let mut wanted = plan.instances.iter();
                let wanted = wanted.find(|wanted| wanted.name == *instance);
                let server_id = wanted.ok_or("start of an unwanted instance")?.server_id;
                let found = self.instances.get(instance);
                if found.is_some_and(|found| found.ends_at.is_some()) {
                    return Ok(Some(Err("its old pod is there".into())));
                }
                self.start(instance, server_id);
            }
            Step::Stop { instance } => self.remove(instance),
            Step::Replace { instance, .. } => {
                let server_id = self.instances[instance].server_id;
                self.remove(instance);
                self.start(instance, server_id);
            }
            _ => return Ok(None),
        }
        Ok(Some(Ok(())))
    }

    /// The outer error is a broken invariant, the inner one a step that did not work.
    fn carry_out(
        &mut self,
        step: &Step,
        plan: &DoubleMasterPlan,
    ) -> Result<Result<(), String>, String> {
        if let Some(done) = self.of_process(step, plan)? {
            return Ok(done);
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
        let (now, revision) = (self.now, self.revision);
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
                revision: 0,
                cordoned_until: 0,
                ends_at: None,
                opens_from: 0,
            });
        if instance.exited_at.is_none() {
            // A new pod: made as the specification wants it now.
            instance.revision = revision;
        }
        instance.running_since = Some(now);
        instance.exited_at = None;
        instance.hung_until = 0;
        instance.role = Role::Waiting;
        instance.links.clear();
        instance.missed = 0;
    }

    pub(crate) fn promote(
        &mut self,
        name: &InstanceName,
        epoch: u64,
        collect_from: &[InstanceName],
    ) -> Result<Result<(), String>, String> {
        let instance = &self.instances[name];
        let already = is_writer(instance.role) && instance.epoch == epoch;
        if instance.opens_from > self.now && !already {
            // It hangs in its promotion, which goes on long after who asked has given up.
            self.late.push(Late {
                at: instance.opens_from,
                instance: name.clone(),
                epoch,
            });
            return Ok(Err("no answer".into()));
        }
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
}
