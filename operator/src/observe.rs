//! Observe: what is seen of a resource, gathered without waiting for anybody.
//!
//! Each instance is probed by a task of its own, at its own pace; one that does not answer holds
//! nobody back. `observe` only takes the latest word of each and turns instants into ages.

mod probe;
mod tracker;

use std::collections::BTreeMap;

use tandem_plan::Observed;

use crate::error::Error;
use crate::runtime::Runtime;

pub use probe::{Prober, ask_once};
pub use tracker::Tracker;

/// What is seen now.
pub async fn observe<R: Runtime>(runtime: &R, tracker: &Tracker) -> Result<Observed, Error> {
    let claims = runtime.claims().await?;
    let instances: BTreeMap<_, _> = runtime
        .instances()
        .into_iter()
        .map(|(name, seen)| {
            let observation = tracker.observation(&name, &seen);
            (name, observation)
        })
        .collect();
    Ok(Observed {
        instances,
        claims,
        services: runtime.services(),
        attempts: tracker.attempts(),
        requests: runtime.requests(),
        retained: runtime.retained(),
        sent_to: runtime.sent_to(),
    })
}
