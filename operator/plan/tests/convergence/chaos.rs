//! One seed: chaos for a while, then peace, then everything has to be as if nothing had been.

use std::collections::{BTreeMap, BTreeSet};

use tandem_api::{DoubleMaster, InstanceName};
use tandem_plan::double_master::{DoubleMasterPlan, plan, validate};
use tandem_plan::observed::is_writer;
use tandem_plan::state::State;
use tandem_plan::{Observed, Step};

use crate::disturb::{Dice, Troubles, disturb};
use crate::world::{Origin, Scope, World};

const TICK_MS: u64 = 100;
const CHAOS_TICKS: u64 = 150;
const PEACE_TICKS: u64 = 800;

/// How long `-rw` may lead to nobody while somebody writes whom it could lead to, and all who have a
/// say answer: detection, and the quiet time after a failover by silence.
const RW_AWAY_MS: u64 = 4000;

pub(crate) fn run(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let replicas = dice.below(3);
    let apart_ms = 3000 * dice.below(2);
    let spec = serde_json::json!({
        "replicasPerMaster": replicas,
        "failover": { "apartMs": apart_ms },
    });
    let spec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    let valid = validate(&DoubleMaster::new("dm", spec)).map_err(|error| error.to_string())?;
    let mut world = World::new(valid);
    world.lingers = dice.one_in(2);
    world.shift = dice.below(3);
    let troubles = Troubles {
        people: !dice.one_in(4),
        faults: !dice.one_in(4),
    };
    let mut rw_away_ms = 0;
    let mut late: Option<DoubleMasterPlan> = None;
    let mut written: BTreeMap<Origin, u64> = BTreeMap::new();
    for tick in 0..CHAOS_TICKS + PEACE_TICKS {
        let is_chaos = tick < CHAOS_TICKS;
        if is_chaos {
            disturb(&mut world, &mut dice, troubles);
        }
        if tick == CHAOS_TICKS {
            make_peace(&mut world);
        }
        let at = |error: String| format!("at {}: {error}", world_time(tick));
        world.pass(TICK_MS).map_err(at)?;
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
        rw_away_ms = if is_rw_away(&world) {
            rw_away_ms + TICK_MS
        } else {
            0
        };
        if rw_away_ms > RW_AWAY_MS {
            let plan = make_plan(&world, &world.observe())?;
            return Err(format!(
                "at {}: -rw leads to nobody\n{plan}",
                world_time(tick)
            ));
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

/// Nothing more goes wrong, and everything that was ever there is wanted again.
fn make_peace(world: &mut World) {
    world.revision += world.revision % 2;
    let most = world.instances.keys().map(InstanceName::ordinal).max();
    world.valid.replicas = most.unwrap_or(0).max(world.valid.replicas);
    for instance in world.instances.values_mut() {
        instance.cordoned_until = 0;
        instance.opens_from = 0;
    }
}

/// Whether `-rw` leads to nobody who writes while there is one, and everybody else answers.
fn is_rw_away(world: &World) -> bool {
    let target = world
        .services
        .iter()
        .find(|(name, _)| name.as_str() == "dm-rw")
        .and_then(|(_, targets)| targets.first());
    let writes = |name: &InstanceName| {
        let instance = &world.instances[name];
        world.is_up(name) && is_writer(instance.role) && world.claim_is(name, instance.epoch)
    };
    let others = || world.instances.keys().filter(|name| Some(*name) != target);
    let all_answer = others().all(|name| world.is_up(name));
    !target.is_some_and(writes) && all_answer && others().any(writes)
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
            if let Step::Start { instance } = step
                && let Some(seen) = observed.instances.get(instance)
                && seen.placement.terminating
            {
                return Err(format!("{instance} is started before its end:\n{plan}"));
            }
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
    let nodes: BTreeSet<String> = plan
        .groups
        .iter()
        .filter_map(|group| group.state.serving())
        .map(|primary| world.node(primary))
        .collect();
    let are_apart = nodes.len() == plan.groups.len();
    if world.valid.timing.apart_ms > 0 && wanted > 0 && !are_apart {
        return Err(format!("both masters are on {nodes:?}:\n{plan}"));
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
