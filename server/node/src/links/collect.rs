//! Handover: pulling what other instances of the own group alone hold, once, up to a deadline.

use super::dial::{Dial, Wanted};
use super::receive;
use super::shared::Shared;
use crate::instance::random_u64;
use crate::meta::Target;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tandem_proto::status::{LinkKind, LinkState};
use tandem_replicate::Backoff;
use tokio::time::{Instant, sleep, timeout_at};

/// What a collection brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// Records that were not held here before.
    pub records: u64,
    /// Instances whose whole holdings are held here now.
    pub complete: Vec<Target>,
    /// The others, with the reason.
    pub failed: Vec<(Target, String)>,
}

/// Longest time for what is pulled without anybody waiting for it; a whole state may be part of it.
const BACKGROUND_SILENCE: Duration = Duration::from_hours(1);

/// How often that is tried when it is refused, and the pause before the next time.
const BACKGROUND_TRIES: u32 = 5;
const BACKGROUND_PAUSE: Duration = Duration::from_secs(2);

/// So often in a row nobody may listen before a target counts as ended for who waits to open.
const REFUSALS_MAX: u32 = 2;

/// Pulls from one target until all that it held at contact is held here. One that has ended is given
/// up after `refusals_max` attempts: nothing comes from there before it is started again, and what it
/// alone holds is pulled then.
async fn pull(
    shared: &Arc<Shared>,
    target: Target,
    deadline: Instant,
    refusals_max: u32,
) -> (u64, Result<(), String>) {
    let dial = Dial::new(Wanted {
        kind: LinkKind::Handover,
        target,
        expected: None,
        incarnation: 0,
    });
    let mut backoff = Backoff::default();
    let tries = async {
        let mut refusals = 0;
        loop {
            let ended = receive::run(shared, &dial).await;
            if ended.state == LinkState::Streaming {
                return Ok(());
            }
            dial.show(ended.state, &ended.reason);
            if matches!(ended.state, LinkState::Refused | LinkState::LostPlace) {
                return Err(ended.reason);
            }
            refusals = if ended.is_gone { refusals + 1 } else { 0 };
            if refusals >= refusals_max {
                return Err(ended.reason);
            }
            sleep(Duration::from_millis(backoff.next_ms(random_u64()))).await;
        }
    };
    let outcome = timeout_at(deadline, tries).await.unwrap_or_else(|_| {
        let last = dial.status().reason;
        Err(if last.is_empty() {
            "not complete at the deadline".to_owned()
        } else {
            last
        })
    });
    (dial.applied.load(Ordering::Relaxed), outcome)
}

/// Pulls from all targets at once; whoever is not complete at the deadline is named.
pub(super) async fn collect(
    shared: &Arc<Shared>,
    targets: Vec<Target>,
    deadline: Instant,
) -> Collected {
    let tasks: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let (shared, there) = (Arc::clone(shared), target.clone());
            let pulled = shared
                .runtime
                .clone()
                .spawn(async move { pull(&shared, there, deadline, REFUSALS_MAX).await });
            (target, pulled)
        })
        .collect();
    let mut collected = Collected::default();
    for (target, pulled) in tasks {
        match pulled.await {
            Ok((records, outcome)) => {
                collected.records += records;
                match outcome {
                    Ok(()) => collected.complete.push(target),
                    Err(reason) => collected.failed.push((target, reason)),
                }
            }
            Err(_) => collected
                .failed
                .push((target, "the task failed".to_owned())),
        }
    }
    collected
}

/// Pulls from one target without anybody waiting for it, unless that is being done.
pub(super) fn in_background(shared: &Arc<Shared>, target: Target) {
    {
        let mut pulling = shared.pulling.lock();
        if pulling.contains(&target) {
            return;
        }
        pulling.push(target.clone());
    }
    let task = Arc::clone(shared);
    shared.runtime.spawn(async move {
        let deadline = Instant::now() + BACKGROUND_SILENCE;
        let (mut records, mut outcome) = pull(&task, target.clone(), deadline, u32::MAX).await;
        // The replica's own link may stand for long: nobody else would ask again.
        for _ in 1..BACKGROUND_TRIES {
            if outcome.is_ok() || !task.instance.is_writable() {
                break;
            }
            sleep(BACKGROUND_PAUSE).await;
            let (more, again) = pull(&task, target.clone(), deadline, u32::MAX).await;
            records += more;
            outcome = again;
        }
        task.pulling.lock().retain(|one| *one != target);
        match outcome {
            Ok(()) => tracing::info!(%target, records, "handed over"),
            Err(reason) => tracing::warn!(%target, records, reason, "not handed over"),
        }
    });
}
