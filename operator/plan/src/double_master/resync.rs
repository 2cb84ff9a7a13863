//! A full resync that a person asks for: of a replica from its primary, of a primary from its peer.

use tandem_api::InstanceName;
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState};

use super::state::SlotState;
use crate::group::Clock;
use crate::observed::{Observed, is_writer, link_to};
use crate::step::{Resync, Step};

/// The step, or what is answered instead: that there is nothing to do, or why it cannot be done.
pub(super) fn resync(
    slots: &[SlotState<'_>; 2],
    name: &InstanceName,
    observed: &Observed,
    clock: Clock<'_>,
) -> Result<Step, Result<String, String>> {
    let [a, b] = slots;
    let both = [(a, b), (b, a)];
    let found = both.into_iter().find(|(own, _)| own.members.contains(name));
    let (own, other) = found.ok_or_else(|| Err(format!("there is no instance {name}")))?;
    let refuse = |why: String| Err(Err(why));
    let state = &own.decision.state;
    let (Some(primary), Some(epoch)) = (state.serving(), state.epoch()) else {
        return refuse(format!("slot {}: {state}", own.slot.name));
    };
    let Some(status) = observed.heard(name, clock.timing) else {
        return refuse(format!("{name} does not answer"));
    };
    let (source, kind, mode) = if primary == name {
        let Some(peer) = other.decision.state.serving() else {
            return refuse(format!(
                "{name} is the primary of slot {}, and there is no other writer whose state it \
                 could take: slot {}: {}",
                own.slot.name, other.slot.name, other.decision.state
            ));
        };
        (peer, LinkKind::Peer, Resync::Merge)
    } else {
        (primary, LinkKind::Replica, Resync::Replace)
    };
    let link = observed
        .instances
        .get(source)
        .and_then(|seen| link_to(status, kind, &seen.address));
    let Some(link) = link else {
        return refuse(format!("{name} is not linked with {source} yet; ask again"));
    };
    if link.state == LinkState::FullResync {
        return Err(Ok(format!("a full resync {name} <- {source} runs already")));
    }
    if mode == Resync::Replace {
        let source_status = observed.heard(source, clock.timing);
        if is_writer(status.role) || status.epoch > epoch {
            return refuse(format!("{name} is no replica of {source} yet; ask again"));
        }
        let alone = source_status.map_or(0, |source| alone(status, source));
        if alone > 0 && !own.decision.followers.contains(name) {
            return refuse(format!(
                "{name} holds {alone} records that {source} was not seen to hold, and does not \
                 stream from it ({}); they would be lost",
                if link.reason.is_empty() {
                    "connecting"
                } else {
                    &link.reason
                }
            ));
        }
    }
    Ok(Step::FullResync {
        instance: name.clone(),
        source: source.clone(),
        epoch,
        mode,
    })
}

/// Records that one shows and another does not.
fn alone(status: &InstanceStatus, other: &InstanceStatus) -> u64 {
    let rows = |status: &InstanceStatus| {
        let databases = status.databases.clone();
        databases.into_iter().flat_map(|database| {
            let number = database.database;
            database.version_vector.into_iter().map(move |row| {
                let origin = (number, row.server_id, row.epoch, row.incarnation);
                (origin, row.high)
            })
        })
    };
    let held: std::collections::BTreeMap<_, _> = rows(other).collect();
    rows(status)
        .map(|(origin, high)| high.saturating_sub(held.get(&origin).copied().unwrap_or(0)))
        .sum()
}
