//! What an operator does in the world: starts what is down, gives roles, repairs what is not whole,
//! and says who pulls from whom.

use crate::disk::Crash;
use crate::failure::Failure;
use crate::instance::{Held, Instance};
use crate::link::{Link, Over};
use crate::sabotage::Sabotage;
use crate::world::World;
use tandem_proto::status::LinkKind;
use tandem_replicate::{FullMode, RefuseCode};

/// A link that should be: why, who pulls, from whom.
pub(crate) type Wanted = (LinkKind, usize, usize);

/// Whether `a` holds something that `b` lacks.
fn holds_more(a: &Held, b: &Held) -> bool {
    a.iter()
        .any(|(origin, row)| row.high > b.get(origin).map_or(0, |held| held.high))
}

impl World {
    /// One round.
    pub(crate) fn operate(&mut self) -> Result<(), Failure> {
        for at in 0..self.instances.len() {
            let instance = &self.instances[at];
            if instance.database.is_none() && self.now_ms >= instance.starts_ms {
                self.start(at)?;
            }
            self.give_role(at);
        }
        let wanted = self.wanted();
        self.links
            .retain(|link| wanted.contains(&(link.kind, link.receiver, link.source)));
        for (kind, receiver, source) in wanted {
            let is_there =
                |link: &Link| (link.kind, link.receiver, link.source) == (kind, receiver, source);
            let waits = self.backoff.get(&(receiver, source)).copied().unwrap_or(0);
            if self.now_ms < waits
                || self.is_cut(receiver, source)
                || self.links.iter().any(is_there)
            {
                continue;
            }
            self.dial(kind, receiver, source);
        }
        Ok(())
    }

    fn dial(&mut self, kind: LinkKind, receiver: usize, source: usize) {
        if kind == LinkKind::Handover {
            let (theirs, mine) = (
                self.instances[source].held(),
                self.instances[receiver].held(),
            );
            // A hole is filled by a mate, too: it may be the only one that has it.
            let repairs = self.instances[receiver].not_eligible() == Some("holes")
                && self.instances[source].not_eligible().is_none()
                && !holds_more(&mine, &theirs);
            let merges = repairs || self.merge_handovers.contains(&(receiver, source));
            if !repairs && !holds_more(&theirs, &mine) {
                return;
            }
            self.instances[receiver].handover_wish = merges.then_some(FullMode::Merge);
        }
        let (instances, mut around) = self.around();
        let link = Link::dial(kind, receiver, source, &instances[receiver], &mut around);
        if let Some(link) = link {
            self.links.push(link);
        }
    }

    /// Starts a process. One whose log cannot be read after damage begins with an empty volume.
    pub(crate) fn start(&mut self, at: usize) -> Result<(), Failure> {
        let instance = &mut self.instances[at];
        // What failed before this start says nothing about it.
        let _before = instance.disk.has_failed();
        let report = match instance.start(&mut self.random) {
            Ok(report) => report,
            Err(_) if instance.disk.has_failed() => {
                // The disk refused its service; the next start tries again.
                instance.database = None;
                instance.starts_ms = self.now_ms + 50;
                return Ok(());
            }
            Err(_) if instance.is_damaged => {
                instance.replace_volume();
                instance.start(&mut self.random)?
            }
            Err(failure) => return Err(failure),
        };
        let instance = &mut self.instances[at];
        if !report.corruptions.is_empty() && !instance.is_damaged {
            let text = format!("{}: {:?}", instance.name, report.corruptions);
            return Err(Failure::new("corruption out of nothing", text));
        }
        let name = instance.name.clone();
        let (torn, holes) = (report.torn_bytes, instance.not_eligible());
        self.report.starts += 1;
        self.report.holes += u64::from(holes == Some("holes"));
        self.say(|| format!("{name} starts, torn {torn}, {holes:?}"));
        if let Some((held, digest)) = self.expected.remove(&at) {
            let (now_held, now_digest) = (self.instances[at].held(), self.digest(at)?);
            if (&now_held, now_digest) != (&held, digest) {
                let text = format!(
                    "{name}: held {held:?}, now {now_held:?}; digest equal: {}",
                    digest == now_digest
                );
                return Err(Failure::new("restart", text));
            }
        }
        Ok(())
    }

    fn give_role(&mut self, at: usize) {
        let (group, now_ms) = (self.instances[at].group, self.now_ms);
        let is_chosen = self.writers[group] == at;
        let epoch = self.epochs[group];
        let instance = &mut self.instances[at];
        if instance.database.is_none() {
            return;
        }
        if instance.not_eligible() == Some("poisoned") {
            self.stop(at, Crash::Process);
            return;
        }
        let (writes, holes) = (
            instance.own().is_some(),
            instance.not_eligible() == Some("holes"),
        );
        if holes || instance.wish.is_some() {
            // Merge for writers, replace for replicas.
            instance.wish = Some(if is_chosen {
                FullMode::Merge
            } else {
                FullMode::Replace
            });
        }
        let is_old = instance.identity.writer_epoch != epoch;
        if is_chosen && (!writes || is_old) && !holes {
            let same = self.sabotage == Sabotage::SameLife;
            instance.become_writer(epoch, now_ms, &mut self.random, same);
        } else if !is_chosen
            && (writes || instance.identity.is_writer)
            && !self.zombies.contains(&at)
        {
            instance.become_replica(epoch);
        }
    }

    /// Everything that should be linked now.
    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let is_up = |at: usize| self.instances[at].database.is_some();
        for at in (0..self.instances.len()).filter(|at| is_up(*at)) {
            let group = self.instances[at].group;
            let writer = self.writers[group];
            if at == writer || self.zombies.contains(&at) {
                let others = (0..self.writers.len()).filter(|g| self.settings.shape.has(group, *g));
                let sources = others.map(|other| self.writers[other]);
                wanted.extend(sources.map(|source| (LinkKind::Peer, at, source)));
            } else {
                wanted.push((LinkKind::Replica, at, writer));
            }
            if at == writer {
                let mates = (0..self.instances.len())
                    .filter(|mate| *mate != at && self.instances[*mate].group == group);
                wanted.extend(mates.map(|mate| (LinkKind::Handover, at, mate)));
            }
        }
        wanted.retain(|(_, _, source)| is_up(*source));
        wanted
    }

    /// A link is over: dialled again later, with a wish if a state is needed.
    pub(crate) fn link_ended(&mut self, link: &Link, over: Over) -> Result<(), Failure> {
        let pause = 10 + self.random.below(100) as u64;
        self.backoff
            .insert((link.receiver, link.source), self.now_ms + pause);
        let code = match over {
            Over::Broken(failure) => return Err(failure),
            Over::Passing(text) => {
                let (to, from) = (self.name(link.receiver), self.name(link.source));
                self.say(|| format!("{to} <- {from} ends: {text}"));
                return Ok(());
            }
            Over::Refused(code) => code,
        };
        let (to, from) = (self.name(link.receiver), self.name(link.source));
        self.say(|| format!("{to} <- {from} refused: {code:?}"));
        match code {
            RefuseCode::LostPlace => {
                self.report.lost_places += 1;
                match link.kind {
                    LinkKind::Handover => {
                        self.merge_handovers.insert((link.receiver, link.source));
                    }
                    LinkKind::Peer => self.instances[link.receiver].wish = Some(FullMode::Merge),
                    LinkKind::Replica => {
                        self.instances[link.receiver].wish = Some(FullMode::Replace);
                    }
                }
            }
            RefuseCode::HandoverFirst
            | RefuseCode::Hole
            | RefuseCode::Failed
            | RefuseCode::Superseded => {}
            other => {
                let text = format!("{to} <- {from}: {other:?}");
                return Err(Failure::new("refused", text));
            }
        }
        Ok(())
    }

    fn name(&self, at: usize) -> String {
        self.instances[at].name.clone()
    }
}

impl Instance {
    /// A new, empty volume in place of the old one.
    pub(crate) fn replace_volume(&mut self) {
        let mut fresh = Self::new(
            format!("{}'", self.name),
            self.group,
            self.options.segment_bytes,
            self.skew_ms,
        );
        fresh.identity.epoch = self.identity.epoch;
        *self = fresh;
    }
}
