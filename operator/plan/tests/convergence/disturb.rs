//! What goes wrong, and what people do.

use tandem_api::InstanceName;
use tandem_plan::{Request, RequestKind};
use tandem_proto::status::{LinkKind, LinkState};

use crate::world::World;

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// What a run is troubled by besides faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Troubles {
    pub(crate) people: bool,
    pub(crate) faults: bool,
}

/// Something happens, or nothing.
pub(crate) fn disturb(world: &mut World, dice: &mut Dice, troubles: Troubles) {
    let names: Vec<InstanceName> = world.instances.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = dice.pick(&names).clone();
    if troubles.faults {
        fault(world, dice, &names, &name);
    }
    if troubles.people {
        people(world, dice, &names, &name);
    }
}

fn fault(world: &mut World, dice: &mut Dice, names: &[InstanceName], name: &InstanceName) {
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
        9 => {
            let from = world.now + 100 + dice.below(9000);
            if let Some(instance) = world.instances.get_mut(name) {
                instance.opens_from = from;
            }
        }
        10 if dice.one_in(2) => world.replace_planner(),
        _ => {}
    }
}

fn people(world: &mut World, dice: &mut Dice, names: &[InstanceName], name: &InstanceName) {
    match dice.below(90) {
        0..=2 => {
            let until = world.now + 500 + dice.below(8000);
            // One node, with whatever is on it.
            for name in names {
                if dice.one_in(2)
                    && let Some(instance) = world.instances.get_mut(name)
                {
                    instance.cordoned_until = until;
                }
            }
        }
        3..=5 => {
            let now = world.now;
            if let Some(instance) = world.instances.get_mut(name)
                && instance.running_since.is_some()
            {
                instance.ends_at.get_or_insert(now + 2000);
            }
        }
        6 => world.revision += 1,
        7 => world.revision += 2 - world.revision % 2,
        8 => world.valid.replicas = dice.below(3) as u8,
        9..=12 => ask(world, dice, name),
        _ => {}
    }
}

fn ask(world: &mut World, dice: &mut Dice, name: &InstanceName) {
    let slot = *dice.pick(&["a", "b"]);
    let (kind, text) = match dice.below(4) {
        0 => (RequestKind::Switchover, slot.to_string()),
        1 => (RequestKind::Switchover, format!("{slot}={name}")),
        2 => (RequestKind::Failover, slot.to_string()),
        _ => (RequestKind::Resync, name.to_string()),
    };
    world.requests.retain(|request| request.kind != kind);
    world.requests.push(Request { kind, text });
}
