//! A run: a drawn number of rough steps, then healing until nothing moves, then the judgement.

use crate::disk::Crash;
use crate::failure::Failure;
use crate::instance::{Held, Instance};
use crate::ledger::Ledger;
use crate::link::{Around, Link};
use crate::random::Random;
use crate::sabotage::Sabotage;
use crate::settings::Settings;
use crate::workload;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Steps within which a healed world has to converge.
const HEALING_STEPS_MAX: u32 = 3_000;

/// What happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Instances in the world.
    pub instances: usize,
    /// Commands that became records.
    pub records: u64,
    /// Writes that were answered and found again.
    pub answered: usize,
    /// Records applied over links.
    pub applied: u64,
    /// States that were received and put in force.
    pub switched: u64,
    /// Links that found the log purged or damaged below them.
    pub lost_places: u64,
    /// Processes started.
    pub starts: u64,
    /// Starts that found holes.
    pub holes: u64,
    /// Bytes flipped in logs.
    pub damages: u64,
    /// Instances promoted.
    pub promotions: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Segments purged.
    pub purged: u64,
    /// Steps until everything was equal again.
    pub healing_steps: u32,
}

/// The world.
pub struct World {
    pub(crate) random: Random,
    pub(crate) settings: Settings,
    pub(crate) sabotage: Sabotage,
    pub(crate) now_ms: u64,
    pub(crate) instances: Vec<Instance>,
    pub(crate) links: Vec<Link>,
    pub(crate) members: Vec<u32>,
    /// By group: the instance that writes.
    pub(crate) writers: Vec<usize>,
    /// By group: the newest claim.
    pub(crate) epochs: Vec<u64>,
    /// Writers that were not told yet that they are none any more.
    pub(crate) zombies: BTreeSet<usize>,
    /// Pairs that cannot reach each other, and until when.
    pub(crate) cuts: BTreeMap<(usize, usize), u64>,
    pub(crate) full_until: BTreeMap<usize, u64>,
    pub(crate) backoff: BTreeMap<(usize, usize), u64>,
    /// Handovers that need a state, since the log no longer has what is missing.
    pub(crate) merge_handovers: BTreeSet<(usize, usize)>,
    /// By instance: what it must hold and show after its start.
    pub(crate) expected: BTreeMap<usize, (Held, u128)>,
    pub(crate) ledger: Ledger,
    pub(crate) report: Report,
    pub(crate) is_healing: bool,
    trace: Option<String>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("settings", &self.settings)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// Runs a seed.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Report, Failure> {
    World::new(seed, sabotage).run()
}

/// Runs a seed again and returns what happened, line by line, with how it ended.
pub fn trace(seed: u64, sabotage: Sabotage) -> (String, Result<Report, Failure>) {
    let mut world = World::new(seed, sabotage);
    world.trace = Some(format!("{:?}\n", world.settings));
    let ended = world.run();
    (world.trace.unwrap_or_default(), ended)
}

impl World {
    fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings::draw(&mut random);
        let mut instances = Vec::new();
        let mut writers = Vec::new();
        for (group, count) in settings.groups.iter().enumerate() {
            writers.push(instances.len());
            for number in 0..*count {
                let skew_ms = random.below(2_000) as i64 - 1_000;
                let name = format!("{}{}", group + 1, char::from(b'a' + number as u8));
                let instance = Instance::new(name, group, settings.segment_bytes, skew_ms);
                instance.disk.lie(sabotage == Sabotage::SyncThatLies);
                instances.push(instance);
            }
        }
        let report = Report {
            instances: instances.len(),
            ..Report::default()
        };
        Self {
            random,
            sabotage,
            now_ms: 1_000_000,
            members: (1..=settings.groups.len() as u32).collect(),
            epochs: vec![1; settings.groups.len()],
            settings,
            instances,
            links: Vec::new(),
            writers,
            zombies: BTreeSet::new(),
            cuts: BTreeMap::new(),
            full_until: BTreeMap::new(),
            backoff: BTreeMap::new(),
            merge_handovers: BTreeSet::new(),
            expected: BTreeMap::new(),
            ledger: Ledger::default(),
            report,
            is_healing: false,
            trace: None,
        }
    }

    /// Notes what happens, when somebody wants to read it.
    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let _written = writeln!(trace, "{} {}", self.now_ms, text());
        }
    }

    pub(crate) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cuts.contains_key(&(a.min(b), a.max(b)))
    }

    /// The instances, and what a link may look at beside them.
    pub(crate) fn around(&mut self) -> (&mut Vec<Instance>, Around<'_>) {
        let around = Around {
            settings: &self.settings,
            members: &self.members,
            now_ms: self.now_ms,
            sabotage: self.sabotage,
            random: &mut self.random,
        };
        (&mut self.instances, around)
    }

    fn run(&mut self) -> Result<Report, Failure> {
        for _ in 0..self.settings.steps {
            self.fault()?;
            self.step()?;
        }
        self.heal()?;
        self.check()?;
        self.report.answered = self.ledger.answered();
        Ok(self.report.clone())
    }

    fn step(&mut self) -> Result<(), Failure> {
        self.now_ms += 1 + self.random.below(20) as u64;
        self.recover(self.is_healing);
        if !self.is_healing {
            for _ in 0..self.random.below(4) {
                self.client()?;
            }
        }
        for at in 0..self.instances.len() {
            self.upkeep(at)?;
        }
        self.operate()?;
        self.move_links()
    }

    fn client(&mut self) -> Result<(), Failure> {
        let at = self.random.below(self.instances.len());
        let written = workload::act(
            at,
            &self.instances[at],
            &mut self.ledger,
            self.settings.flushes,
            self.now_ms,
            &mut self.random,
        )?;
        self.report.records += u64::from(written);
        if self.sabotage == Sabotage::AnswerBeforeWritten {
            self.observe(at);
        }
        Ok(())
    }

    fn move_links(&mut self) -> Result<(), Failure> {
        let pair = self.instances.len() == 2;
        let mut links = std::mem::take(&mut self.links);
        let mut left = Vec::with_capacity(links.len());
        for mut link in links.drain(..) {
            let (instances, mut around) = self.around();
            let stepped = link.step(instances, &mut around);
            if let Some(pull) = &mut link.pull {
                self.report.applied += std::mem::take(&mut pull.applied);
                self.report.switched += std::mem::take(&mut pull.switched);
                if pair && pull.duplicates > 0 {
                    let text = format!("{} records that were held", pull.duplicates);
                    return Err(Failure::new("duplicate", text));
                }
            }
            match stepped {
                Ok(()) => left.push(link),
                Err(over) => self.link_ended(&link, over)?,
            }
        }
        self.links = left;
        Ok(())
    }

    /// Nothing goes wrong any more: everything has to become equal.
    fn heal(&mut self) -> Result<(), Failure> {
        self.say(|| "healing".to_owned());
        self.is_healing = true;
        // Who is down starts at once; who failed to sync starts anew.
        for instance in &mut self.instances {
            instance.starts_ms = 0;
            instance.disk.fail_syncs(0);
        }
        for at in 0..self.instances.len() {
            if self.instances[at].not_eligible() == Some("poisoned") {
                self.stop(at, Crash::Process);
            }
        }
        for step in 0..HEALING_STEPS_MAX {
            self.step()?;
            if self.has_converged() {
                self.report.healing_steps = step;
                return Ok(());
            }
        }
        let mut text = String::new();
        for instance in &self.instances {
            let _written = write!(
                text,
                "{}: {:?} {:?} {:?}; ",
                instance.name,
                instance.not_eligible(),
                instance.wish,
                instance.held()
            );
        }
        Err(Failure::new("no convergence", text))
    }
}
