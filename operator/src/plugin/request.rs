//! What a person asks the operator for: writes the annotation, then follows what becomes of it.
//!
//! ```text
//! asked ─▶ taken (the annotation is gone) ─▶ served (the slot has its new writer) ─▶ restored
//!    └───▶ refused (an event says why)
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use tandem_api::double_master::{DoubleMasterSpec, DoubleMasterStatus, LinkSummary};
use tandem_api::{ConditionStatus, DoubleMaster, labels};
use tandem_plan::request::{Request, RequestKind};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::args::Slot;
use super::cluster::Cluster;
use super::error::Error;
use super::picture::Picture;
use crate::view;

/// Distance between two looks.
const PACE: Duration = Duration::from_millis(500);
/// How long the event of a refusal may come after the annotation went.
const REFUSAL_GRACE: Duration = Duration::from_secs(3);
/// Reason of the event that refuses a request.
const REFUSED: &str = "RequestRefused";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// A slot gets another primary, without a lost write.
    Switchover(Slot, Option<String>),
    /// A slot gets another primary at once.
    Failover(Slot, Option<String>),
    /// An instance takes its source's whole state.
    Resync(String),
}

impl Ask {
    fn request(&self) -> Request {
        let of_slot = |slot: &Slot, to: &Option<String>| match to {
            Some(to) => format!("{}={to}", slot.as_str()),
            None => slot.as_str().to_string(),
        };
        let (kind, text) = match self {
            Self::Switchover(slot, to) => (RequestKind::Switchover, of_slot(slot, to)),
            Self::Failover(slot, to) => (RequestKind::Failover, of_slot(slot, to)),
            Self::Resync(instance) => (RequestKind::Resync, instance.clone()),
        };
        Request { kind, text }
    }

    fn annotation(&self) -> String {
        annotation(self.request().kind)
    }
}

fn annotation(kind: RequestKind) -> String {
    format!("{}/{}", labels::PREFIX, kind.as_str())
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The operator has not taken it up, or works on it.
    Asked,
    /// The operator took it up, or refused it.
    Taken,
    /// Clients of the slot are served by the new primary.
    Served,
    /// Everything is as it should be.
    Restored,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "the operator has not finished with the request",
            Self::Taken => "the operator has taken the request",
            Self::Served => "the new primary serves",
            Self::Restored => "everything is restored",
        }
    }
}

/// What a slot or instance was like before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Before {
    epoch: u64,
    full_resyncs: u64,
}

/// Asks, and follows until the end or the deadline.
pub(super) async fn run(
    cluster: &Cluster,
    name: &str,
    ask: &Ask,
    timeout: Duration,
) -> Result<(), Error> {
    let object = cluster.resource(name).await?;
    check(ask, &object)?;
    let picture = Picture::take(cluster, name).await?;
    let before = Before {
        epoch: epoch(ask, &picture),
        full_resyncs: full_resyncs(ask, &picture.status),
    };
    let mut told: BTreeSet<String> = cluster.events(name).await?.iter().map(key).collect();
    let request = ask.request();
    cluster
        .annotate(name, &ask.annotation(), &request.text)
        .await?;
    view::put(&format!("asked: {request}\n"));
    let asked_at = Instant::now();
    let mut taken_at = None;
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let is_late = asked_at.elapsed() >= timeout;
        let look = look(cluster, name, ask).await;
        let (pending, picture, events) = match look {
            Ok(look) => look,
            // The API server may be away for a moment: the deadline decides.
            Err(error) if is_late => return Err(error),
            Err(error) => {
                tracing::debug!(error = %crate::error::chain(&error), "no look at the resource");
                continue;
            }
        };
        for event in events.iter().filter(|event| told.insert(key(event))) {
            let reason = event.reason.as_deref().unwrap_or_default();
            let message = event.message.as_deref().unwrap_or_default();
            if reason == REFUSED {
                return Err(Error::Refused(message.into()));
            }
            view::put(&format!(
                "{:>7.1} s  {reason}: {message}\n",
                asked_at.elapsed().as_secs_f64()
            ));
        }
        if !pending && taken_at.is_none() {
            taken_at = Some(Instant::now());
        }
        let stage = judge(ask, &before, pending, &picture);
        let is_settled = taken_at.is_some_and(|taken| taken.elapsed() >= REFUSAL_GRACE);
        if stage == Stage::Restored && (is_settled || !matches!(ask, Ask::Resync(_))) {
            view::put(&ending(ask, &picture));
            return Ok(());
        }
        if is_late && stage == Stage::Served {
            view::put(&ending(ask, &picture));
            view::put(&format!(
                "not restored yet: {}\n",
                picture.status.waits_for.join("; ")
            ));
            return Ok(());
        }
        if is_late {
            return Err(Error::Deadline {
                waited: timeout,
                state: stage.as_str().into(),
            });
        }
    }
}

async fn look(
    cluster: &Cluster,
    name: &str,
    ask: &Ask,
) -> Result<(bool, Picture, Vec<Event>), Error> {
    let object = cluster.resource(name).await?;
    let pending = asked_of(&object, &ask.annotation()).is_some();
    let picture = Picture::take(cluster, name).await?;
    let events = cluster.events(name).await?;
    Ok((pending, picture, events))
}

/// One sighting of an event; a repetition is news.
fn key(event: &Event) -> String {
    format!(
        "{} {}",
        event.metadata.uid.as_deref().unwrap_or_default(),
        event
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
    )
}

fn asked_of<'a>(object: &'a DoubleMaster, annotation: &str) -> Option<&'a str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(annotation).map(String::as_str)
}

/// What needs no operator to be refused.
fn check(ask: &Ask, object: &DoubleMaster) -> Result<(), Error> {
    let unaskable = |problem: String, remedy: &str| {
        Err(Error::Unaskable {
            problem,
            remedy: remedy.into(),
        })
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    if object.spec.pause {
        return unaskable(
            format!("`{name}` is paused, so the operator does nothing"),
            "set spec.pause to false first",
        );
    }
    for kind in RequestKind::ALL {
        if let Some(text) = asked_of(object, &annotation(kind)) {
            return unaskable(
                format!("`{name}` is already asked for `{} {text}`", kind.as_str()),
                "wait until the operator has answered it, or remove that annotation",
            );
        }
    }
    let Some(status) = &object.status else {
        return Err(Error::NoStatus(name));
    };
    let (wanted, slot) = match ask {
        Ask::Switchover(slot, to) | Ask::Failover(slot, to) => (to.as_ref(), Some(*slot)),
        Ask::Resync(instance) => (Some(instance), None),
    };
    if let Some(wanted) = wanted {
        known(wanted, slot, &object.spec, status)?;
        let is_writer = |name: &str| {
            let mut members = status.members.iter();
            members.any(|member| member.name == name && member.writable)
        };
        if slot.is_some() && is_writer(wanted) {
            return unaskable(
                format!("`{wanted}` already writes for its slot"),
                "name a replica, or leave out `--to`",
            );
        }
    }
    Ok(())
}

/// The instance exists, and in that slot.
fn known(
    wanted: &str,
    slot: Option<Slot>,
    spec: &DoubleMasterSpec,
    status: &DoubleMasterStatus,
) -> Result<(), Error> {
    let of_slot: Vec<&str> = status
        .members
        .iter()
        .filter(|member| slot.is_none_or(|slot| member.slot == slot.as_str()))
        .map(|member| member.name.as_str())
        .collect();
    if of_slot.contains(&wanted) {
        return Ok(());
    }
    let place = slot.map_or_else(String::new, |slot| format!(" in slot {}", slot.as_str()));
    Err(Error::Unaskable {
        problem: format!("there is no instance `{wanted}`{place}"),
        remedy: format!(
            "there are {} ({} replicas per master)",
            of_slot.join(", "),
            spec.replicas_per_master
        ),
    })
}

fn slot_of(ask: &Ask) -> Option<&'static str> {
    match ask {
        Ask::Switchover(slot, _) | Ask::Failover(slot, _) => Some(slot.as_str()),
        Ask::Resync(_) => None,
    }
}

fn epoch(ask: &Ask, picture: &Picture) -> u64 {
    picture
        .claims
        .iter()
        .find(|claim| Some(claim.slot.as_str()) == slot_of(ask))
        .map_or(0, |claim| claim.epoch)
}

fn links_of<'a>(ask: &Ask, status: &'a DoubleMasterStatus) -> &'a [LinkSummary] {
    let Ask::Resync(instance) = ask else {
        return &[];
    };
    status
        .members
        .iter()
        .find(|member| member.name == *instance)
        .map_or(&[], |member| &member.links)
}

fn full_resyncs(ask: &Ask, status: &DoubleMasterStatus) -> u64 {
    links_of(ask, status)
        .iter()
        .map(|link| link.full_resyncs)
        .sum()
}

/// How far it is, by what stands on the API server.
fn judge(ask: &Ask, before: &Before, pending: bool, picture: &Picture) -> Stage {
    let unserved = if pending { Stage::Asked } else { Stage::Taken };
    let status = &picture.status;
    if let Ask::Resync(_) = ask {
        let links = links_of(ask, status);
        let is_over = full_resyncs(ask, status) > before.full_resyncs
            && links.iter().all(|link| link.state == "streaming");
        return if is_over && !pending {
            Stage::Restored
        } else {
            unserved
        };
    }
    let slot = slot_of(ask).unwrap_or_default();
    let Some(claim) = picture.claims.iter().find(|claim| claim.slot == slot) else {
        return unserved;
    };
    let writes = status
        .members
        .iter()
        .any(|member| member.name == claim.instance && member.writable);
    let is_pointed_at = status
        .services
        .iter()
        .filter(|service| service.name == format!("{}-{slot}", picture.name))
        .any(|service| service.targets.first() == Some(&claim.instance));
    if claim.epoch <= before.epoch || !writes || !is_pointed_at {
        return unserved;
    }
    let report = picture
        .last_failover_report
        .as_ref()
        .filter(|report| report.start.group.as_str() == slot)
        .filter(|report| report.start.epoch == claim.epoch);
    let is_ready = status
        .conditions
        .iter()
        .any(|condition| condition.kind == "Ready" && condition.status == ConditionStatus::True);
    if !pending && (is_ready || report.is_some_and(|report| report.closed)) {
        Stage::Restored
    } else {
        Stage::Served
    }
}

/// The last lines.
fn ending(ask: &Ask, picture: &Picture) -> String {
    let Some(slot) = slot_of(ask) else {
        return "done: the state was taken and the links stream\n".into();
    };
    let report = picture
        .last_failover_report
        .as_ref()
        .filter(|report| report.start.group.as_str() == slot);
    let writer = picture
        .claims
        .iter()
        .find(|claim| claim.slot == slot)
        .map_or("nobody", |claim| claim.instance.as_str());
    match report {
        Some(report) => format!("done: {}\n", report.headline()),
        None => format!("done: {writer} writes in slot {slot}\n"),
    }
}

#[cfg(test)]
mod tests;
