//! One seed: chaos for a while, then peace, then everything has to be as if nothing had been.

use std::collections::BTreeMap;

use tandem_api::{DoubleMaster, InstanceName};
use tandem_plan::double_master::{DoubleMasterPlan, plan, validate};
use tandem_plan::state::State;
use tandem_plan::{Observed, Step};
use tandem_proto::status::{LinkKind, LinkState};

use crate::world::{Origin, Scope, World};

const TICK_MS: u64 = 100;
const CHAOS_TICKS: u64 = 150;
const PEACE_TICKS: u64 = 400;

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }
}

pub(crate) fn run(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let replicas = dice.below(3);
    let spec = serde_json::json!({ "replicasPerMaster": replicas });
    let spec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    let valid = validate(&DoubleMaster::new("dm", spec)).map_err(|error| error.to_string())?;
    let mut world = World::new(valid);
    let mut late: Option<DoubleMasterPlan> = None;
    let mut written: BTreeMap<Origin, u64> = BTreeMap::new();
    for tick in 0..CHAOS_TICKS + PEACE_TICKS {
        let is_chaos = tick < CHAOS_TICKS;
        if is_chaos {
            disturb(&mut world, &mut dice);
        }
        world.pass(TICK_MS);
        note_writes(&world, &mut written);
        let observed = world.observe();
        let planned = make_plan(&world, &observed)?;
        check_plan(&planned, &observed)?;
        let at = |error: String| format!("at {}: {error}\n{planned}", world_time(tick));
        if is_chaos && dice.one_in(12) {
            // The planner dies after its claims.
            world.apply(&planned, Scope::ClaimsOnly).map_err(at)?;
        } else {
            world.apply(&planned, Scope::Whole).map_err(at)?;
        }
        if is_chaos && let Some(plan) = late.take_if(|_| dice.one_in(3)) {
            // A second planner was slow: its plan is of a world that is gone.
            world.apply(&plan, Scope::Whole)?;
        }
        if is_chaos && late.is_none() && dice.one_in(10) {
            late = Some(planned);
        }
        if let Some(error) = world.two_owners() {
            return Err(format!("at {}: {error}", world_time(tick)));
        }
    }
    check_peace(&world, &written)
}

fn world_time(tick: u64) -> String {
    format!("{} ms", tick * TICK_MS)
}

fn disturb(world: &mut World, dice: &mut Dice) {
    let names: Vec<InstanceName> = world.instances.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = &names[dice.below(names.len() as u64) as usize];
    match dice.below(60) {
        0..=2 => world.kill(name),
        3..=5 => {
            let until = world.now + 100 + dice.below(6000);
            if let Some(instance) = world.instances.get_mut(name) {
                instance.hung_until = until;
            }
        }
        6 => {
            // A whole slot at once.
            let slot = if dice.one_in(2) { "dm-a-" } else { "dm-b-" };
            for name in names.iter().filter(|name| name.as_str().starts_with(slot)) {
                world.kill(name);
            }
        }
        7 => {
            if let Some(instance) = world.instances.get_mut(name) {
                for link in instance
                    .links
                    .values_mut()
                    .filter(|l| l.kind == LinkKind::Peer)
                {
                    link.state = LinkState::LostPlace;
                }
            }
        }
        8 if dice.one_in(4) => names.iter().for_each(|name| world.kill(name)),
        _ => {}
    }
}

fn make_plan(world: &World, observed: &Observed) -> Result<DoubleMasterPlan, String> {
    let first = plan(&world.valid, observed, &[], world.now);
    let second = plan(&world.valid, observed, &[], world.now);
    if first == second {
        Ok(first)
    } else {
        Err("the same input gave two plans".into())
    }
}

fn check_plan(plan: &DoubleMasterPlan, observed: &Observed) -> Result<(), String> {
    for group in &plan.groups {
        let disruptive = group
            .steps
            .iter()
            .filter(|step| step.is_disruptive())
            .count();
        let is_first = group.steps.iter().skip(1).all(|step| !step.is_disruptive());
        if disruptive > 1 || !is_first {
            return Err(format!(
                "{disruptive} disruptive steps in one group:\n{plan}"
            ));
        }
        for step in &group.steps {
            let Step::Promote {
                instance, epoch, ..
            } = step
            else {
                continue;
            };
            let on_record = observed.claims.get(&group.group);
            let made = group.claim.as_ref().map(|step| &step.claim);
            let is_claimed = made
                .or(on_record)
                .is_some_and(|claim| claim.epoch == *epoch && claim.instance == *instance);
            if !is_claimed {
                return Err(format!("promotion without its claim:\n{plan}"));
            }
        }
    }
    Ok(())
}

fn note_writes(world: &World, written: &mut BTreeMap<Origin, u64>) {
    for (origin, high) in world.instances.values().flat_map(|instance| &instance.data) {
        let most = written.entry(*origin).or_insert(0);
        *most = (*most).max(*high);
    }
}

fn check_peace(world: &World, written: &BTreeMap<Origin, u64>) -> Result<(), String> {
    let observed = world.observe();
    let plan = make_plan(world, &observed)?;
    let wanted = usize::from(world.valid.replicas);
    let is_whole = plan.groups.iter().all(|group| {
        matches!(group.state, State::Serving { .. })
            && group.followers.len() == wanted
            && group.strays.is_empty()
            && group.paired
    });
    let is_served = plan.services.values().all(|targets| !targets.is_empty());
    if !plan.is_idle() || !is_whole || !is_served || plan.services != observed.services {
        return Err(format!("no peace:\n{plan}"));
    }
    if plan.status.conditions.iter().any(|condition| {
        let is_bad_when_true = matches!(condition.kind.as_str(), "Progressing" | "FailoverBlocked");
        (condition.status.as_str() == "True") == is_bad_when_true
    }) {
        return Err(format!("conditions: {:?}", plan.status.conditions));
    }
    // Writers go on writing, so a row of a life that still writes may be one tick behind elsewhere.
    for (name, instance) in &world.instances {
        if instance.running_since.is_none() {
            continue;
        }
        for (origin, high) in written {
            let held = instance.data.get(origin).copied().unwrap_or(0);
            if held + 3 < *high {
                return Err(format!(
                    "{name} holds {held} of {high} records of {origin:?}"
                ));
            }
        }
    }
    Ok(())
}
