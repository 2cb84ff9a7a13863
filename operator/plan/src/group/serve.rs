//! A group whose primary serves: every other instance that answers is brought behind it.

use tandem_api::InstanceName;
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState};

use super::decision::{Clock, Decision, Group};
use crate::claim::Claim;
use crate::observed::{Observed, is_writer, link_to};
use crate::outcome::Waiting;
use crate::state::State;
use crate::step::Step;

/// The primary serves: everyone else who answers is brought behind it.
pub(super) fn serving(
    group: Group<'_>,
    claim: &Claim,
    observed: &Observed,
    clock: Clock<'_>,
) -> Decision {
    let primary = &claim.instance;
    let mut decision = Decision::in_state(State::Serving {
        primary: primary.clone(),
        epoch: claim.epoch,
    });
    for name in group.instances.iter().filter(|name| *name != primary) {
        let Some(status) = observed.heard(name, clock.timing) else {
            continue;
        };
        if is_writer(status.role) {
            decision.strays.push(name.clone());
            let fence = Step::Fence {
                instance: name.clone(),
                epoch: claim.epoch,
                primary: primary.clone(),
            };
            decision.disruptive.get_or_insert(fence);
            continue;
        }
        match follow(name, status, claim, observed) {
            Following::Streams => decision.followers.push(name.clone()),
            Following::Comes(why) => {
                decision.strays.push(name.clone());
                decision
                    .waits_for
                    .push(Waiting::new(format!("{name} to follow {primary}"), why));
            }
            Following::Not => {
                decision.strays.push(name.clone());
                decision.repairs.push(Step::Follow {
                    instance: name.clone(),
                    epoch: claim.epoch,
                    primary: primary.clone(),
                });
            }
        }
    }
    decision
}

enum Following {
    Streams,
    Comes(String),
    Not,
}

fn follow(
    name: &InstanceName,
    status: &InstanceStatus,
    claim: &Claim,
    observed: &Observed,
) -> Following {
    let Some(primary) = observed.instances.get(&claim.instance) else {
        return Following::Not;
    };
    let Some(link) = link_to(status, LinkKind::Replica, &primary.address) else {
        return Following::Not;
    };
    if status.epoch < claim.epoch {
        return Following::Not;
    }
    match link.state {
        LinkState::Streaming => Following::Streams,
        LinkState::Connecting => Following::Comes(format!("{name} connects: {}", link.reason)),
        LinkState::FullResync => Following::Comes("a full resync runs".into()),
        LinkState::LostPlace | LinkState::Refused => Following::Not,
    }
}
