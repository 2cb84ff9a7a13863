//! The gate before anything is taken away on purpose: what is not as it should be, one line each.
//! Empty means: every instance is heard, in its role and streaming, and the pair exchanges.

use tandem_api::InstanceName;

use super::state::SlotState;
use super::steps::streams_from_peer;
use super::validate::Validated;
use crate::observed::Observed;

/// What is not well besides `except`.
pub(super) fn troubles(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
    except: Option<&InstanceName>,
) -> Vec<String> {
    let mut found = Vec::new();
    let [a, b] = slots;
    for (own, other) in [(a, b), (b, a)] {
        let state = &own.decision.state;
        let Some(primary) = state.serving() else {
            found.push(format!("slot {}: {state}", own.slot.name));
            continue;
        };
        if own.decision.claim.is_some() || own.decision.disruptive.is_some() {
            found.push(format!(
                "slot {}: a change of its roles is under way",
                own.slot.name
            ));
        }
        for name in own.instances.iter().filter(|name| Some(*name) != except) {
            if let Some(why) = trouble(valid, own, name, primary, observed) {
                found.push(format!("{name}: {why}"));
            }
        }
        if except != Some(primary)
            && other
                .decision
                .state
                .serving()
                .is_some_and(|peer| Some(peer) != except)
            && !streams_from_peer(own, other, observed, &valid.timing)
        {
            found.push(format!(
                "slot {} does not stream from its peer",
                own.slot.name
            ));
        }
    }
    found
}

fn trouble(
    valid: &Validated,
    own: &SlotState<'_>,
    name: &InstanceName,
    primary: &InstanceName,
    observed: &Observed,
) -> Option<String> {
    let Some(seen) = observed.instances.get(name) else {
        return Some("not there yet".into());
    };
    if let Some(trouble) = &seen.placement.trouble {
        return Some(trouble.clone());
    }
    if let Some(going) = seen.placement.going() {
        return Some(going.into());
    }
    if let Some(busy) = &seen.busy {
        return Some(format!("`{busy}` is under way"));
    }
    if seen.heard(&valid.timing).is_none() {
        return Some("does not answer".into());
    }
    if seen.placement.ready == Some(false) {
        return Some("is not ready".into());
    }
    (name != primary && !own.decision.followers.contains(name))
        .then(|| format!("does not stream from {primary}"))
}
