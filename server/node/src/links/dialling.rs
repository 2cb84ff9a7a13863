//! The receiver's side: whom to dial, and dialling again and again.

use super::dial::{Dial, Wanted};
use super::receive::{self, Ended};
use super::shared::Shared;
use crate::instance::random_u64;
use crate::meta::StoredRole;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tandem_proto::status::{LinkKind, LinkState};
use tandem_replicate::Backoff;

/// Whom the instance has to dial now.
fn wanted(shared: &Shared) -> Vec<Wanted> {
    let meta = shared.instance.meta();
    match meta.role {
        StoredRole::Replica => meta.follow.map(|target| Wanted {
            kind: LinkKind::Replica,
            target,
            expected: None,
            // A life that was lived since the last handshake left records that the source must hear of.
            incarnation: meta.incarnation,
        }),
        StoredRole::Writer => meta.peer.map(|peer| Wanted {
            kind: LinkKind::Peer,
            target: peer.target,
            expected: (peer.server_id != 0).then_some(peer.server_id),
            incarnation: meta.incarnation,
        }),
        StoredRole::Waiting => None,
    }
    .into_iter()
    .collect()
}

/// Keeps the links as the instance's role wants them.
pub(super) async fn supervise(shared: Arc<Shared>) {
    loop {
        let generation = shared.instance.generation();
        adjust(&shared);
        shared.instance.changed(generation).await;
    }
}

/// Starts and ends links; returns those wanted now.
pub(super) fn adjust(shared: &Arc<Shared>) -> Vec<Arc<Dial>> {
    let wanted = wanted(shared);
    let mut dials = shared.dials.lock();
    let mut ended = Vec::new();
    dials.retain(|dial| {
        let keep = wanted.contains(&dial.wanted);
        if !keep {
            dial.stop();
            ended.push(Arc::clone(dial));
        }
        keep
    });
    for one in wanted {
        if !dials.iter().any(|dial| dial.wanted == one) {
            let dial = Dial::new(one);
            if let Some(older) = ended.iter().find(|older| older.goes_where(&dial)) {
                dial.count_on(older);
            }
            begin(&dial, shared);
            dials.push(dial);
        }
    }
    dials.clone()
}

/// A link that stood for so long is dialled again at once when it ends.
const STEADY: Duration = Duration::from_secs(1);
/// Wait before a link that was refused is tried again, when nobody asks for it before.
const REFUSED_WAIT: Duration = Duration::from_secs(2);

/// Dials, again and again, until stopped.
pub(super) fn begin(dial: &Arc<Dial>, shared: &Arc<Shared>) {
    // The task before must not show its end over what this one shows.
    dial.stop();
    let turn = dial.next_turn();
    let task = keep_dialling(Arc::clone(shared), Arc::downgrade(dial), turn);
    dial.run_by(shared.runtime.spawn(task).abort_handle());
}

async fn keep_dialling(shared: Arc<Shared>, dial: Weak<Dial>, turn: u64) {
    let mut backoff = Backoff::default();
    loop {
        let Some(dial) = dial.upgrade() else { return };
        let begun = Instant::now();
        let Ended {
            state,
            reason,
            worked,
            is_gone: _,
        } = receive::run(&shared, &dial).await;
        if !dial.is_turn(turn) {
            return;
        }
        if worked && begun.elapsed() >= STEADY {
            backoff.reset();
        }
        dial.tell(state, &reason);
        dial.show(state, &reason);
        let wait = match state {
            LinkState::LostPlace | LinkState::Refused => REFUSED_WAIT.min(Duration::from_millis(
                backoff.next_ms(random_u64()).max(200),
            )),
            _ => Duration::from_millis(backoff.next_ms(random_u64())),
        };
        drop(dial);
        tokio::time::sleep(wait).await;
    }
}
