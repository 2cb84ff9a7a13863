//! Which processes are started, restarted and stopped. Says nothing about roles: every instance boots
//! without one.

use tandem_api::InstanceName;

use crate::events::{Event, Reason};
use crate::observed::{InstanceObservation, Observed, Process};
use crate::outcome::Waiting;
use crate::step::Step;
use crate::timing::{BOOT_PATIENCE, MISSED_PROBES_MIN, Timing, backoff_ms};

/// What has to be done to processes.
#[derive(Debug, Default)]
pub struct Lifecycle {
    /// Starts.
    pub starts: Vec<Step>,
    /// Restarts and stops, in the order in which they should be taken, one at a time.
    pub disruptive: Vec<Step>,
    /// Restarts that wait.
    pub waits_for: Vec<Waiting>,
}

/// Plans the processes of one group: `wanted` run, other known ones of it do not.
pub fn plan(
    wanted: &[InstanceName],
    unwanted: &[InstanceName],
    observed: &Observed,
    timing: &Timing,
) -> Lifecycle {
    let mut plan = Lifecycle::default();
    for name in wanted {
        match observed.instances.get(name) {
            None => plan.starts.push(Step::Start {
                instance: name.clone(),
            }),
            Some(seen) => plan_one(name, seen, timing, &mut plan),
        }
    }
    for name in unwanted {
        if observed
            .instances
            .get(name)
            .is_some_and(|seen| !seen.is_gone())
        {
            plan.disruptive.push(Step::Stop {
                instance: name.clone(),
            });
        }
    }
    plan
}

fn plan_one(
    name: &InstanceName,
    seen: &InstanceObservation,
    timing: &Timing,
    plan: &mut Lifecycle,
) {
    let instance = || name.clone();
    if seen.placement.terminating {
        let why = seen.placement.going().unwrap_or_default();
        plan.waits_for
            .push(Waiting::new(format!("the end of {name}"), why));
        return;
    }
    match &seen.process {
        Process::Absent => plan.starts.push(Step::Start {
            instance: instance(),
        }),
        Process::Exited {
            age_ms,
            quick_exits,
            how,
        } => {
            let wait_ms = backoff_ms(*quick_exits);
            if *age_ms >= wait_ms {
                plan.starts.push(Step::Start {
                    instance: instance(),
                });
            } else {
                let why = format!("{how}; {quick_exits} quick exits in a row");
                plan.waits_for
                    .push(Waiting::new(format!("the restart of {name}"), why));
            }
        }
        Process::Running { age_ms } => {
            if let Some(reason) = reason_to_restart(seen, *age_ms, timing) {
                plan.disruptive.push(Step::Restart {
                    instance: instance(),
                    reason,
                });
            }
        }
        Process::Unknown => {}
    }
}

fn reason_to_restart(
    seen: &InstanceObservation,
    running_ms: u64,
    timing: &Timing,
) -> Option<String> {
    if seen.heard(timing).is_some_and(|status| status.poisoned) {
        return Some("failed fsync".into());
    }
    if seen.missed_probes < MISSED_PROBES_MIN {
        return None;
    }
    let silent_ms = seen.silent_ms.min(running_ms);
    let patience_ms = if seen.has_answered() {
        timing.restart_hung_ms
    } else {
        timing.restart_hung_ms * BOOT_PATIENCE
    };
    (silent_ms >= patience_ms).then(|| format!("silent for {silent_ms} ms"))
}

/// The event of a lifecycle step.
pub fn event(step: &Step, observed: &Observed) -> Option<Event> {
    match step {
        Step::Start { instance } => {
            let how = observed
                .instances
                .get(instance)
                .and_then(|seen| match &seen.process {
                    Process::Exited { how, .. } => Some(how.clone()),
                    _ => None,
                });
            let why = how.map_or(String::new(), |how| format!(" after its end: {how}"));
            Some(Event::new(
                Reason::InstanceStarted,
                format!("{instance} is started{why}"),
            ))
        }
        Step::Restart { instance, reason } => Some(Event::new(
            Reason::InstanceRestarted,
            format!("{instance} is killed and started again: {reason}"),
        )),
        Step::Stop { instance } => Some(Event::new(
            Reason::InstanceStopped,
            format!("{instance} is not wanted any more; its data stays"),
        )),
        Step::Replace { instance, reason } => Some(Event::new(
            Reason::InstanceReplaced,
            format!("{instance} is replaced: {reason}"),
        )),
        _ => None,
    }
}
