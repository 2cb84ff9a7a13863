//! A random world: groups of one or two instances, links, faults; then heal, exchange until quiet,
//! and compare every instance with the oracle.

use crate::oracle::{self, Act, Cell, Entry, Part, covers, within};
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use tandem_merge::rules::Rule;
use tandem_merge::site::{Data, Held, Record, Shown, Site};
use tandem_merge::{Draft, Kind, NEVER, Number, Object, Origin, Refused};

const SKEW_MAX: u64 = 30;

/// What went wrong: its class, and the details.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

fn fail<T>(class: &'static str, text: String) -> Result<T, Failure> {
    Err(Failure { class, text })
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self {
            class: "refused",
            text: refused.to_string(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Set(Vec<u8>, Vec<u8>, Option<u64>),
    Replace(Vec<u8>, Vec<u8>),
    Add(Kind, Vec<u8>, Vec<u8>, Number),
    Put(Kind, Vec<u8>, Vec<u8>, Vec<u8>),
    Remove(Kind, Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Expire(Vec<u8>, u64),
    Persist(Vec<u8>),
    Rename(Vec<u8>, Vec<u8>),
    Copy(Vec<u8>, Vec<u8>),
    Flush,
    Sweep(Vec<Vec<u8>>),
}

impl Command {
    pub(crate) fn run(&self, draft: &mut Draft<'_>, objects: &BTreeMap<Vec<u8>, Object>) {
        let now = draft.now();
        match self {
            Self::Set(key, value, ttl) => {
                draft.set(key, value, ttl.map_or(NEVER, |ttl| now + ttl));
            }
            Self::Replace(key, value) => draft.replace(key, value),
            Self::Add(kind, key, element, delta) => {
                let _refused = draft.add(key, *kind, element, *delta).is_err();
            }
            Self::Put(kind, key, element, value) => {
                draft.put(key, *kind, element, value);
            }
            Self::Remove(kind, key, element) => {
                draft.remove(key, *kind, element);
            }
            Self::Delete(key) => {
                draft.delete(key);
            }
            Self::Expire(key, ttl) => {
                draft.expire(key, now + ttl);
            }
            Self::Persist(key) => {
                draft.persist(key);
            }
            Self::Rename(src, dst) => {
                draft.rename(src, dst);
            }
            Self::Copy(src, dst) => {
                draft.copy(src, dst);
            }
            Self::Flush => draft.flush(objects.values()),
            Self::Sweep(keys) => keys.iter().for_each(|key| draft.sweep(key)),
        }
    }
}

struct Session {
    src: usize,
    dst: usize,
    records: Vec<Arc<Record>>,
    at: usize,
}

struct Tree {
    dst: usize,
    side: Data,
    base: Held,
    /// The source, when the merge is made in place (rule left out).
    in_place: Option<usize>,
    held: Held,
}

/// The world.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub(crate) struct World {
    random: Random,
    pub(crate) steps: u32,
    without: Option<Rule>,
    time: i64,
    drawn: u64,
    commands: i64,
    pub(crate) sites: Vec<Site>,
    names: Vec<String>,
    skew: Vec<i64>,
    /// By group: its instances.
    groups: Vec<Vec<usize>>,
    /// By group: its writer.
    writer: Vec<usize>,
    down: BTreeSet<usize>,
    zombies: BTreeSet<usize>,
    edges: Vec<(usize, usize)>,
    sessions: Vec<Session>,
    trees: Vec<Tree>,
    history: Vec<Entry>,
    runs: oracle::Runs,
    lost: BTreeSet<(Origin, u64)>,
    swept: BTreeSet<(Origin, u64, Vec<u8>)>,
    faults: bool,
    calm: bool,
    ttl_only: bool,
    pub(crate) verbose: bool,
    pub(crate) trace: String,
}

impl World {
    pub(crate) fn new(seed: u64, steps: Option<u32>, without: Option<Rule>) -> Self {
        let mut random = Random::new(seed);
        let count = random.pick(&[2, 2, 3, 3, 4, 5]);
        let members: Vec<u32> = (1..=count as u32).collect();
        let (mut sites, mut names, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for group in 0..count {
            let instances = random.pick(&[1, 1, 2]);
            groups.push((sites.len()..sites.len() + instances).collect::<Vec<_>>());
            for instance in 0..instances {
                sites.push(Site::new(members[group], &members, SKEW_MAX));
                names.push(format!("{}{}", group + 1, ["a", "b"][instance]));
            }
        }
        let writer = groups.iter().map(|group| group[0]).collect();
        let mut skew = Vec::new();
        for _ in &sites {
            skew.push(if random.chance(0.67) {
                0
            } else {
                random.between(-8, 8)
            });
        }
        let shape = random.below(3);
        let mut edges = Vec::new();
        for a in 0..count {
            for b in (0..count).filter(|b| *b != a) {
                let linked = match shape {
                    0 => true,
                    1 => a.abs_diff(b) == 1,
                    _ => a == 0 || b == 0,
                };
                if linked {
                    edges.push((a, b));
                }
            }
        }
        let (faults, calm) = (random.chance(0.6), random.chance(0.3));
        let ttl_only = random.chance(0.3);
        let drawn_steps = random.pick(&[10, 25, 50, 90]);
        Self {
            random,
            steps: steps.unwrap_or(drawn_steps),
            without,
            time: 1,
            drawn: 0,
            commands: 0,
            sites,
            names,
            skew,
            groups,
            writer,
            down: BTreeSet::new(),
            zombies: BTreeSet::new(),
            edges,
            sessions: Vec::new(),
            trees: Vec::new(),
            history: Vec::new(),
            runs: BTreeMap::new(),
            lost: BTreeSet::new(),
            swept: BTreeSet::new(),
            faults,
            calm,
            ttl_only,
            verbose: false,
            trace: String::new(),
        }
    }

    fn say(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.verbose {
            let line = text(self);
            let _written = writeln!(self.trace, "t={} {line}", self.time);
        }
    }

    fn wall(&self, at: usize) -> u64 {
        (self.time + self.skew[at]).max(1) as u64
    }

    fn group(&self, at: usize) -> usize {
        self.sites[at].server_id as usize - 1
    }

    fn is_writer(&self, at: usize) -> bool {
        self.writer[self.group(at)] == at
    }

    fn has_holes(&self, at: usize) -> bool {
        self.sites[at].data.history.vv.has_holes()
    }

    fn held(&self, at: usize) -> Held {
        self.sites[at].data.held()
    }

    // -- commands ----------------------------------------------------------------------------------

    fn command(&mut self) -> Command {
        self.commands += 1;
        let count = self.commands;
        let random = &mut self.random;
        let value = if random.chance(0.5) {
            format!("v{count}")
        } else {
            count.to_string()
        };
        let value = value.into_bytes();
        let key = random.pick(&["k", "k", "j"]).as_bytes().to_vec();
        let element = random.pick(&["a", "b"]).as_bytes().to_vec();
        let kind = random.pick(&[Kind::Hash, Kind::Set, Kind::Zset]);
        if self.ttl_only {
            let key = b"k".to_vec();
            return match random.below(8) {
                0 => Command::Put(Kind::Hash, key, element, value),
                1 | 2 => Command::Add(Kind::Hash, key, element, Number::Int(1)),
                3 | 4 => Command::Expire(key, random.between(2, 6) as u64),
                5 => Command::Expire(key, random.between(6, 20) as u64),
                6 => Command::Persist(key),
                _ => Command::Delete(key),
            };
        }
        let delta = Number::Int(random.between(1, 9));
        let half = Number::Float(random.between(1, 9) as f64 / 2.0);
        let ttl = random.between(3, 25) as u64;
        let other = random.pick(&["k", "j"]).as_bytes().to_vec();
        let x = random.fraction();
        let table = [
            (
                0.12,
                Command::Set(
                    key.clone(),
                    value.clone(),
                    random.chance(0.33).then_some(ttl),
                ),
            ),
            (0.15, Command::Replace(key.clone(), value.clone())),
            (
                0.25,
                Command::Add(Kind::String, key.clone(), Vec::new(), delta),
            ),
            (0.48, {
                let value = match kind {
                    Kind::Set => Vec::new(),
                    Kind::Zset => (count as f64).to_le_bytes().to_vec(),
                    _ => value,
                };
                Command::Put(kind, key.clone(), element.clone(), value)
            }),
            (0.54, {
                let kind = random.pick(&[Kind::Hash, Kind::Zset]);
                Command::Add(kind, key.clone(), element.clone(), delta)
            }),
            (0.57, {
                let kind = random.pick(&[Kind::String, Kind::Hash, Kind::Zset]);
                let element = if kind == Kind::String {
                    Vec::new()
                } else {
                    element.clone()
                };
                Command::Add(kind, key.clone(), element, half)
            }),
            (0.70, Command::Remove(kind, key.clone(), element)),
            (0.80, Command::Delete(key.clone())),
            (0.89, Command::Expire(key.clone(), ttl)),
            (0.93, Command::Persist(key.clone())),
            (0.96, Command::Rename(key.clone(), other.clone())),
            (0.98, Command::Copy(key, other)),
            (1.00, Command::Flush),
        ];
        table
            .into_iter()
            .find(|(upto, _)| x < *upto)
            .map_or(Command::Flush, |(_, it)| it)
    }

    fn write(
        &mut self,
        at: usize,
        commands: &[Command],
        settled: bool,
        closes: &[Origin],
    ) -> Result<(), Failure> {
        let held = self.held(at);
        let wall = self.wall(at);
        let (drawn, random) = (&mut self.drawn, &mut self.random);
        let mut draw = || {
            *drawn += 1;
            (random.bits() & 0xffff) * 1000 + *drawn
        };
        let mut run = |draft: &mut Draft<'_>, objects: &BTreeMap<Vec<u8>, Object>| {
            for command in commands {
                command.run(draft, objects);
            }
        };
        let some = !commands.is_empty();
        let site = &mut self.sites[at];
        let record = site.write(wall, &mut draw, some.then_some(&mut run), settled, closes);
        let Some(record) = record else { return Ok(()) };
        self.history
            .push(oracle::entry(&record, held, &mut self.runs));
        self.say(|world| {
            let shown = world.sites[at].visible(record.stamp);
            let (sequence, stamp) = (record.sequence, record.stamp);
            format!(
                "{} writes {commands:?} sequence {sequence} stamp {stamp} settled {settled} \
                 closes {}: {}",
                world.names[at],
                closes.len(),
                print(&shown)
            )
        });
        self.read_own_write(at, &record, commands.last())
    }

    fn read_own_write(
        &self,
        at: usize,
        record: &Record,
        last: Option<&Command>,
    ) -> Result<(), Failure> {
        let seen = self.sites[at].visible(record.stamp);
        match last {
            Some(Command::Delete(key)) if seen.contains_key(key) => {
                fail("own DEL had no effect", self.names[at].clone())
            }
            Some(Command::Flush) if !seen.is_empty() => {
                fail("own DEL had no effect", self.names[at].clone())
            }
            Some(Command::Set(key, value, _) | Command::Replace(key, value))
                if seen.get(key).is_none_or(|shown| {
                    shown.kind != Kind::String || shown.elements.get(&Vec::new()) != Some(value)
                }) =>
            {
                fail("own SET not read back", self.names[at].clone())
            }
            _ => Ok(()),
        }
    }

    // -- links -------------------------------------------------------------------------------------

    fn forget(&mut self, at: usize, keep_incoming: bool) {
        self.sessions
            .retain(|one| one.src != at && (one.dst != at || keep_incoming));
        self.trees.retain(|one| one.dst != at);
    }

    fn pick_link(&mut self) -> (usize, usize) {
        let group = self.random.below(self.groups.len());
        let writer = self.writer[group];
        let followers: Vec<usize> = self.groups[group]
            .iter()
            .copied()
            .filter(|one| *one != writer && !self.zombies.contains(one))
            .collect();
        if !followers.is_empty() && self.random.chance(0.5) {
            let follower = self.random.pick(&followers);
            // Sometimes a handover: the writer pulls from its replica.
            return if self.random.chance(0.3) {
                (follower, writer)
            } else {
                (writer, follower)
            };
        }
        let (a, b) = self.random.pick(&self.edges);
        let mut targets = vec![self.writer[b]];
        if !self.random.chance(0.9) {
            let cut_off = self.groups[b]
                .iter()
                .filter(|one| self.zombies.contains(one));
            targets.extend(cut_off);
        }
        let dst = self.random.pick(&targets);
        let src = if self.random.chance(0.8) {
            self.writer[a]
        } else {
            self.random.pick(&self.groups[a])
        };
        (src, dst)
    }

    /// Two sites at once; they are never the same.
    fn pair(&mut self, dst: usize, src: usize) -> (&mut Site, &Site) {
        assert_ne!(dst, src);
        let (head, tail) = self.sites.split_at_mut(dst.max(src));
        if dst < src {
            (&mut head[dst], &tail[0])
        } else {
            (&mut tail[0], &head[src])
        }
    }

    fn open_link(&mut self) {
        let (src, dst) = self.pick_link();
        if src == dst || self.down.contains(&src) || self.down.contains(&dst) {
            return;
        }
        let held = self.held(dst);
        let records = self.sites[src].serve(&held);
        let repair = self.has_holes(dst) && self.random.chance(0.3);
        let by_choice = self.random.chance(0.06);
        let Some(mut records) = records.filter(|_| !repair && !by_choice) else {
            self.begin_tree(src, dst, held);
            return;
        };
        if self.faults && !records.is_empty() && self.random.chance(0.1) {
            let lost = records.remove(self.random.below(records.len()));
            if self.random.chance(0.5) {
                records.retain(|one| one.origin != lost.origin || one.sequence < lost.sequence);
            }
            self.say(|world| {
                let (src, dst) = (&world.names[src], &world.names[dst]);
                format!(
                    "link {src}->{dst} will lose {:?}:{}",
                    lost.origin, lost.sequence
                )
            });
        }
        self.sessions.push(Session {
            src,
            dst,
            records,
            at: 0,
        });
    }

    fn begin_tree(&mut self, src: usize, dst: usize, held: Held) {
        let (to, from) = self.pair(dst, src);
        if !to.may_take(from) {
            return;
        }
        let side = to.side_tree(from);
        let base = vector(&to.data, true);
        let mut in_place = None;
        if self.without == Some(Rule::SideTree) {
            // In place, key by key: half now, the rest and the vector at the end.
            in_place = Some(src);
            let site = &mut self.sites[dst];
            let keys: BTreeSet<Vec<u8>> = side
                .objects
                .keys()
                .chain(site.data.objects.keys())
                .cloned()
                .collect();
            for key in keys.into_iter().step_by(2) {
                site.data.objects.remove(&key);
                let new = side.objects.get(&key).cloned();
                site.data.objects.extend(new.map(|object| (key, object)));
            }
        }
        self.say(|world| {
            format!(
                "{} takes the state of {}: begins",
                world.names[dst], world.names[src]
            )
        });
        self.trees.push(Tree {
            dst,
            side,
            base,
            in_place,
            held,
        });
    }

    fn step_link(&mut self, at: usize) {
        if self.random.chance(0.15) {
            let back = self.random.between(1, 3) as usize;
            let session = &mut self.sessions[at];
            session.at = session.at.saturating_sub(back);
        }
        for _ in 0..self.random.between(1, 6) {
            let session = &mut self.sessions[at];
            let Some(record) = session.records.get(session.at).cloned() else {
                self.sessions.remove(at);
                return;
            };
            session.at += 1;
            let (src, dst) = (session.src, session.dst);
            match self.sites[dst].apply(&record) {
                Ok(false) => {}
                Ok(true) => self.say(|world| {
                    let shown = print(&world.sites[dst].visible(record.stamp));
                    let (to, from) = (&world.names[dst], &world.names[src]);
                    format!("{to} applies {} from {from}: {shown}", brief(&record))
                }),
                Err(refused) => {
                    self.say(|world| {
                        let (to, from) = (&world.names[dst], &world.names[src]);
                        format!("link {from}->{to} refused: {refused}")
                    });
                    self.sessions.remove(at);
                    return;
                }
            }
        }
    }

    fn end_tree(&mut self, at: usize) -> Result<(), Failure> {
        let tree = self.trees.remove(at);
        let dst = tree.dst;
        let high = |held: &Held, origin: &Origin| held.get(origin).map_or(0, |row| row.high);
        let side = tree.side.held();
        let base = vector(&self.sites[dst].data, true);
        if base
            .iter()
            .any(|(origin, row)| row.high > high(&side, origin))
        {
            return Ok(()); // Purged meanwhile: begin again.
        }
        let holed = tree.held.values().any(|row| !row.holes.is_empty());
        if self.has_holes(dst) && !holed {
            return Ok(());
        }
        let mut side = tree.side;
        if let Some(src) = tree.in_place {
            let now = self.held(dst);
            let (to, from) = self.pair(dst, src);
            let rest = to.side_tree(from);
            if within(&tree.held, &now) {
                side = rest;
            }
        }
        let _begun = tree.base;
        self.sites[dst].switch(side)?;
        self.say(|world| {
            let shown = print(&world.sites[dst].visible(world.time as u64));
            format!("{} switches: {shown}", world.names[dst])
        });
        Ok(())
    }

    // -- events ------------------------------------------------------------------------------------

    fn is_settled(&self, at: usize) -> bool {
        let held = self.held(at);
        self.is_writer(at)
            && self.groups[self.group(at)]
                .iter()
                .filter(|one| **one != at)
                .all(|one| {
                    !self.down.contains(one)
                        && !self.zombies.contains(one)
                        && within(&self.held(*one), &held)
                })
    }

    fn mark(&mut self, at: usize) -> Result<(), Failure> {
        let settled = self.is_settled(at);
        let mut closes = BTreeSet::new();
        if settled {
            for one in &self.groups[self.group(at)] {
                closes.extend(self.sites[*one].lives.iter().copied());
            }
            let site = &self.sites[at];
            closes.retain(|life| {
                Some(*life) != site.life() && !site.data.history.ends.contains_key(life)
            });
        }
        let closes: Vec<Origin> = closes.into_iter().collect();
        self.write(at, &[], settled, &closes)
    }

    fn sweep(&mut self, at: usize) -> Result<(), Failure> {
        self.sites[at].drop_dead();
        let writes = self.is_writer(at) || self.zombies.contains(&at);
        if !writes || self.down.contains(&at) || self.has_holes(at) {
            return Ok(());
        }
        let site = &self.sites[at];
        let keys = site.due(site.now(self.wall(at)));
        if keys.is_empty() {
            return Ok(());
        }
        let full: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| {
                site.data
                    .objects
                    .get(*key)
                    .is_some_and(Object::holds_content)
            })
            .cloned()
            .collect();
        self.write(at, &[Command::Sweep(keys)], false, &[])?;
        let site = &self.sites[at];
        if let (Some(life), Some(own)) = (site.life(), site.own) {
            let sequence = site.data.history.vv.high(own);
            self.swept
                .extend(full.into_iter().map(|key| (life, sequence, key)));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Failure> {
        let x = self.random.fraction();
        let up: Vec<usize> = self
            .writer
            .iter()
            .chain(&self.zombies)
            .copied()
            .filter(|one| !self.down.contains(one))
            .collect();
        self.time += self.random.pick(&[0, 0, 1, 2]);
        if x < 0.34 && !up.is_empty() {
            let at = self.random.pick(&up);
            let count = self.random.pick(&[1, 1, 1, 2, 3]);
            let commands: Vec<Command> = (0..count).map(|_| self.command()).collect();
            return self.write(at, &commands, false, &[]);
        }
        if x < 0.54 {
            self.open_link();
            return Ok(());
        }
        if x < 0.74 && !self.sessions.is_empty() {
            let at = self.random.below(self.sessions.len());
            self.step_link(at);
            return Ok(());
        }
        if x < 0.78 && !self.trees.is_empty() {
            let at = self.random.below(self.trees.len());
            return self.end_tree(at);
        }
        let at = self.random.below(self.sites.len());
        if self.down.contains(&at) {
            return Ok(());
        }
        if self.ttl_only && self.random.chance(0.6) {
            if self.random.chance(0.5) {
                return self.sweep(at);
            }
            if !up.is_empty() {
                let at = self.random.pick(&up);
                return self.mark(at);
            }
        }
        self.rare(x, at, &up)
    }

    fn rare(&mut self, x: f64, at: usize, up: &[usize]) -> Result<(), Failure> {
        if x < 0.83 {
            self.sites[at].sync();
            self.say(|world| format!("{} syncs", world.names[at]));
        } else if x < 0.87 {
            return self.sweep(at);
        } else if x < 0.90 {
            if !up.is_empty() {
                let at = self.random.pick(up);
                return self.mark(at);
            }
        } else if self.calm && x < 0.96 {
        } else if x < 0.92 {
            let keep = self.random.chance(0.3);
            self.forget(at, keep);
            self.sites[at].crash();
            self.say(|world| {
                let shown = print(&world.sites[at].visible(world.time as u64));
                format!("{} crashes: {shown}", world.names[at])
            });
        } else if x < 0.94 {
            let group = self.random.below(self.groups.len());
            self.promote(group)?;
        } else if x < 0.95 && !self.down.is_empty() {
            let at = *self.down.iter().next().unwrap();
            self.comeback(at);
        } else if x < 0.96 && !self.zombies.is_empty() {
            let at = *self.zombies.iter().next().unwrap();
            self.comeback(at);
        } else if x < 0.97 {
            self.time += self.random.between(3, 30);
        } else if x < 0.975 {
            self.skew[at] += self.random.between(-20, 40);
            self.say(|world| format!("clock of {} jumps", world.names[at]));
        } else if self.faults && !self.calm {
            if x < 0.99 {
                self.sites[at].purge();
                self.say(|world| format!("{} purges its log", world.names[at]));
            } else {
                self.start_from_now();
            }
        }
        Ok(())
    }

    fn start_from_now(&mut self) {
        let (src, dst) = self.pick_link();
        if !self.is_writer(dst)
            || self.group(src) == self.group(dst)
            || self.down.contains(&src)
            || self.down.contains(&dst)
            || self.has_holes(src)
            || self.has_holes(dst)
        {
            return;
        }
        let base = vector(&self.sites[dst].data, true);
        if !within(&base, &self.sites[src].synced().held()) {
            return;
        }
        if let Some(life) = self.sites[dst].life() {
            let high = |at: usize| self.held(at).get(&life).map_or(0, |row| row.high);
            if high(src) > high(dst) {
                return;
            }
        }
        let (to, from) = self.pair(dst, src);
        to.start_from_now(from);
        to.sync();
        self.forget(dst, false);
        self.say(|world| {
            let holes = world.sites[dst].data.history.vv.holes().count();
            format!(
                "{} starts from now at {}: {holes} holes",
                world.names[dst], world.names[src]
            )
        });
    }

    fn promote(&mut self, group: usize) -> Result<(), Failure> {
        let old = self.writer[group];
        let able: Vec<usize> = self.groups[group]
            .iter()
            .copied()
            .filter(|one| {
                *one != old
                    && !self.down.contains(one)
                    && !self.zombies.contains(one)
                    && !self.has_holes(*one)
            })
            .collect();
        if able.is_empty() || self.has_holes(old) {
            return Ok(());
        }
        let new = self.random.pick(&able);
        let x = self.random.fraction();
        if !self.down.contains(&old) && x < 0.4 {
            self.pull(new, old)?; // Planned: hand over, then follow.
            self.sites[old].own = None;
        } else if x < 0.8 {
            self.down.insert(old);
        } else {
            self.zombies.insert(old); // Cut off, goes on writing.
        }
        if self.down.contains(&old) {
            self.sites[old].crash();
        }
        for one in self.groups[group].clone() {
            self.forget(one, false);
        }
        let epoch = self.groups[group]
            .iter()
            .map(|one| self.sites[*one].epoch)
            .max();
        let site = &mut self.sites[new];
        site.epoch = epoch.unwrap_or_default() + 1;
        site.own = None;
        self.writer[group] = new;
        self.say(|world| {
            let fate = if world.down.contains(&old) {
                "down"
            } else if world.zombies.contains(&old) {
                "cut off"
            } else {
                "follows"
            };
            format!("{} promoted, {} {fate}", world.names[new], world.names[old])
        });
        Ok(())
    }

    fn comeback(&mut self, at: usize) {
        self.forget(at, false);
        self.down.remove(&at);
        self.zombies.remove(&at);
        if !self.is_writer(at) {
            self.sites[at].own = None;
        }
        self.say(|world| {
            let shown = print(&world.sites[at].visible(world.time as u64));
            format!("{} is back: {shown}", world.names[at])
        });
    }

    /// All there is, at once.
    fn pull(&mut self, dst: usize, src: usize) -> Result<(), Failure> {
        if dst == src {
            return Ok(());
        }
        let held = self.held(dst);
        let records = self.sites[src].serve(&held);
        let Some(records) = records.filter(|_| !self.has_holes(dst)) else {
            let (to, from) = self.pair(dst, src);
            if to.may_take(from) {
                let side = to.side_tree(from);
                to.switch(side)?;
                self.say(|world| {
                    let shown = print(&world.sites[dst].visible(world.time as u64));
                    format!("{} merges {}: {shown}", world.names[dst], world.names[src])
                });
                return Ok(());
            }
            // What the log has is taken although it may be refused on the way.
            let records = self.sites[src].serve(&held).unwrap_or_default();
            self.take(dst, src, &records);
            return Ok(());
        };
        self.take(dst, src, &records);
        Ok(())
    }

    fn take(&mut self, dst: usize, src: usize, records: &[Arc<Record>]) {
        for record in records {
            if let Err(refused) = self.sites[dst].apply(record) {
                self.say(|world| {
                    let (to, from) = (&world.names[dst], &world.names[src]);
                    format!("{from}->{to} refused: {refused}")
                });
                return;
            }
        }
        if !records.is_empty() {
            self.say(|world| {
                let shown = print(&world.sites[dst].visible(world.time as u64));
                let (to, from) = (&world.names[dst], &world.names[src]);
                format!("{to} pulls {} of {from}: {shown}", records.len())
            });
        }
    }

    fn all_held(&self) -> Vec<Held> {
        (0..self.sites.len()).map(|at| self.held(at)).collect()
    }

    fn exchange(&mut self) -> Result<(), Failure> {
        for _ in 0..30 {
            let before = self.all_held();
            for group in 0..self.groups.len() {
                for at in self.groups[group].clone() {
                    self.pull(self.writer[group], at)?;
                }
            }
            for (a, b) in self.edges.clone() {
                self.pull(self.writer[b], self.writer[a])?;
            }
            for group in 0..self.groups.len() {
                for at in self.groups[group].clone() {
                    self.pull(at, self.writer[group])?;
                }
            }
            if before != self.all_held() {
                continue;
            }
            let lost = self.lost_in_holes(&before);
            if lost.is_empty() && (0..self.sites.len()).all(|at| !self.has_holes(at)) {
                return Ok(());
            }
            // Nothing passes through a hole: link its neighbours directly.
            for a in 0..self.sites.len() {
                for b in 0..self.sites.len() {
                    self.pull(b, a)?;
                }
            }
            if before != self.all_held() || lost.is_empty() {
                continue;
            }
            self.say(|_| format!("declared lost, nobody holds them: {}", lost.len()));
            for (origin, sequence) in lost {
                for site in &mut self.sites {
                    site.declare_lost(origin, sequence);
                }
                self.lost.insert((origin, sequence));
            }
        }
        fail("never quiet", String::new())
    }

    fn lost_in_holes(&self, held: &[Held]) -> Vec<(Origin, u64)> {
        let mut lost = BTreeSet::new();
        for (origin, row) in held.iter().flatten() {
            for (first, last) in &row.holes {
                for sequence in *first..=*last {
                    let known = held.iter().any(|one| covers(one, origin, sequence));
                    if !known && !self.lost.contains(&(*origin, sequence)) {
                        lost.insert((*origin, sequence));
                    }
                }
            }
        }
        lost.into_iter().collect()
    }

    // -- judgement ---------------------------------------------------------------------------------

    fn surviving(&self) -> Vec<Entry> {
        let held = self.held(0);
        self.history
            .iter()
            .filter(|one| {
                !self.lost.contains(&(one.origin, one.sequence))
                    && covers(&held, &one.origin, one.sequence)
            })
            .cloned()
            .collect()
    }

    fn compare(&self, now: u64, when: &str) -> Result<(), Failure> {
        let held = self.held(0);
        for (at, site) in self.sites.iter().enumerate() {
            if site.data.held() != held || self.has_holes(at) {
                return fail("vectors differ", format!("{when}: {}", self.names[at]));
            }
        }
        let want = oracle::visible(&self.surviving(), now);
        let first = self.sites[0].visible(now);
        for (at, site) in self.sites.iter().enumerate() {
            let got = site.visible(now);
            if got != first {
                let (name, one) = (&self.names[at], print(&first));
                let (got, want) = (print(&got), print(&want));
                return fail(
                    "diverged",
                    format!("{when}: {} {one} {name} {got} oracle {want}", self.names[0]),
                );
            }
            check_counts(site, now)?;
        }
        if first == want {
            return Ok(());
        }
        let cells = |shown: &BTreeMap<Vec<u8>, Shown>| -> BTreeSet<(Vec<u8>, Vec<u8>)> {
            let pairs = shown.iter();
            pairs
                .flat_map(|(key, one)| one.elements.keys().map(|name| (key.clone(), name.clone())))
                .collect()
        };
        let (got, must) = (cells(&first), cells(&want));
        let class = if must.difference(&got).next().is_some() {
            "lost"
        } else if got.difference(&must).next().is_some() {
            "came back"
        } else {
            "wrong value"
        };
        fail(
            class,
            format!("{when}: all have {} oracle {}", print(&first), print(&want)),
        )
    }

    fn late(&self) -> i64 {
        let last = self.sites.iter().map(|site| site.clock.last as i64).max();
        self.time.max(last.unwrap_or_default()) + 1
    }

    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        for _ in 0..self.steps {
            self.step()?;
        }
        for at in self
            .down
            .iter()
            .chain(&self.zombies)
            .copied()
            .collect::<Vec<_>>()
        {
            self.comeback(at);
        }
        self.sessions.clear();
        self.trees.clear();
        let safe: Vec<(Origin, u64)> = {
            let held = self.all_held();
            let dots = self.history.iter().map(|one| (one.origin, one.sequence));
            dots.filter(|(origin, n)| held.iter().any(|one| covers(one, origin, *n)))
                .collect()
        };
        self.say(|_| "heal".into());
        self.exchange()?;
        let held = self.held(0);
        if let Some(gone) = safe.iter().find(|(origin, n)| !covers(&held, origin, *n)) {
            return fail("lost", format!("record {gone:?}"));
        }
        self.time = self.late();
        self.compare(self.time as u64, "after the exchange")?;
        self.time += 1000;
        for _ in 0..3 {
            // Marks, so that everything is heard of and closed; then sweeps, early and late.
            for group in 0..self.groups.len() {
                self.mark(self.writer[group])?;
                let at = self.random.below(self.sites.len());
                self.sweep(at)?;
            }
            self.exchange()?;
        }
        self.compare(self.time as u64, "before the sweep")?;
        for group in 0..self.groups.len() {
            self.sweep(self.writer[group])?;
        }
        self.exchange()?;
        for _ in 0..2 {
            self.sites.iter_mut().for_each(Site::drop_dead);
            for group in 0..self.groups.len() {
                self.mark(self.writer[group])?;
            }
            self.exchange()?;
        }
        self.sites.iter_mut().for_each(Site::drop_dead);
        self.time = self.late();
        self.compare(self.time as u64, "after the sweep")?;
        if self.calm {
            self.extensions()?;
        }
        self.nothing_stays()
    }

    fn nothing_stays(&self) -> Result<(), Failure> {
        let first = all_dots(&self.sites[0]);
        for (at, site) in self.sites.iter().enumerate() {
            for (key, object) in &site.data.objects {
                let end = object.deadline();
                if object.has_dead() || (end > 0 && end < self.time as u64) {
                    let text = format!("{} {key:?} {object:?}", self.names[at]);
                    return fail("garbage stays", text);
                }
            }
            if all_dots(site) != first {
                return fail("diverged", format!("dots of {}", self.names[at]));
            }
        }
        Ok(())
    }

    /// Without crashes, promotions and holes no sweep takes away what a concurrent TTL lengthened.
    fn extensions(&self) -> Result<(), Failure> {
        for one in &self.history {
            for act in &one.acts {
                let Act::Expire(key, end) = act else { continue };
                if !self
                    .swept
                    .contains(&(one.origin, one.sequence, key.clone()))
                {
                    continue;
                }
                let ttl = Cell {
                    key: key.clone(),
                    part: Part::Ttl,
                };
                let lengthens = |act: &Act| match act {
                    Act::Put(cell, value) => {
                        *cell == ttl && u64::from_le_bytes(value[..].try_into().unwrap()) > *end
                    }
                    _ => false,
                };
                let unseen = self.history.iter().find(|other| {
                    !covers(&one.held, &other.origin, other.sequence)
                        && other.stamp <= *end
                        && other.acts.iter().any(lengthens)
                });
                if let Some(unseen) = unseen {
                    let text = format!("{act:?} against {:?}:{}", unseen.origin, unseen.sequence);
                    return fail("extension lost", text);
                }
            }
        }
        Ok(())
    }
}

/// The version vector, or the base, with origins in full.
fn vector(data: &Data, base: bool) -> Held {
    let history = &data.history;
    let vector = if base { &history.base } else { &history.vv };
    let name = |origin| history.origins.origin(origin).expect("a known origin");
    vector
        .rows()
        .map(|(origin, row)| (name(origin), row.clone()))
        .collect()
}

/// Every live dot with its cell.
fn all_dots(site: &Site) -> BTreeSet<(Vec<u8>, String, Origin, u64)> {
    let history = &site.data.history;
    let mut out = BTreeSet::new();
    for (key, object) in &site.data.objects {
        for (cell, dot) in object.dots() {
            let origin = history.origins.origin(dot.origin).expect("a known origin");
            out.insert((key.clone(), format!("{cell:?}"), origin, dot.sequence));
        }
    }
    out
}

/// What the object counts must be what it lists; its bytes must lead back to it.
fn check_counts(site: &Site, now: u64) -> Result<(), Failure> {
    let origins = &site.data.history.origins;
    for (key, object) in &site.data.objects {
        for kind in Kind::ALL {
            let listed = object.elements(kind, now, origins).count();
            if object.element_count(kind, now, origins) != listed {
                return fail("miscounted", format!("{key:?} {kind:?} {object:?}"));
            }
        }
        let mut state = Vec::new();
        object.encode(&mut state);
        let again = Object::decode(key, &state, &Some);
        if again.as_ref().map(Object::fingerprint) != Ok(object.fingerprint()) {
            return fail("encoding", format!("{key:?} {object:?} {again:?}"));
        }
    }
    Ok(())
}

fn brief(record: &Record) -> String {
    let origin = record.origin;
    format!(
        "{}.{}:{}",
        origin.server_id,
        origin.incarnation % 1000,
        record.sequence
    )
}

fn print(shown: &BTreeMap<Vec<u8>, Shown>) -> String {
    let mut out = String::from("{");
    for (key, one) in shown {
        let _key = write!(out, "{} {:?}", String::from_utf8_lossy(key), one.kind);
        for (name, value) in &one.elements {
            let name = String::from_utf8_lossy(name);
            let value = match (one.kind, <[u8; 8]>::try_from(&value[..])) {
                (Kind::Zset, Ok(score)) => f64::from_le_bytes(score).to_string(),
                _ => String::from_utf8_lossy(value).into_owned(),
            };
            let _element = write!(out, " {name}={value}");
        }
        if let Some(deadline) = one.deadline {
            let _end = write!(out, " until {deadline}");
        }
        out.push_str("; ");
    }
    out.push('}');
    out
}
