//! Status to the API server: at once when something material changes, at most once a minute for ages,
//! lags and positions, never when nothing changes.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tandem_api::DoubleMaster;
use tandem_api::double_master::DoubleMasterStatus;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::metrics::Metrics;
use crate::error::chain;
use crate::reconcile::Publish;
use crate::runtime::kubernetes::{Key, KubernetesRuntime, names};

/// What is not material is told this often.
const VOLATILE: Duration = Duration::from_mins(1);
/// Patches are at least this far apart.
const PAUSE: Duration = Duration::from_millis(100);
const AGAIN: Duration = Duration::from_secs(1);

/// Takes the status of each round.
pub(super) struct Publisher {
    pub(super) key: Key,
    pub(super) runtime: Arc<KubernetesRuntime>,
    pub(super) status: watch::Sender<DoubleMasterStatus>,
    pub(super) metrics: Arc<Metrics>,
}

impl Publish for Publisher {
    fn publish(&self, mut status: DoubleMasterStatus) {
        for service in &mut status.services {
            if let Ok(name) = tandem_api::ServiceName::parse(&service.name) {
                service.address = names::service_address(&name, &self.key.namespace);
            }
        }
        status.conditions.extend(self.runtime.storage_condition());
        self.metrics.status(&self.key, &status);
        self.status.send_if_modified(|current| {
            let is_new = *current != status;
            *current = status;
            is_new
        });
    }

    fn round(&self, took: Duration, failed: bool) {
        self.metrics.round(&self.key, took, failed);
    }
}

/// Patches the status until its sender is gone.
pub(super) async fn patch_all(
    api: Api<DoubleMaster>,
    name: String,
    mut latest: watch::Receiver<DoubleMasterStatus>,
    published: DoubleMasterStatus,
) {
    let mut published = published;
    let mut next = Instant::now();
    loop {
        let status = latest.borrow_and_update().clone();
        let is_material = material(&status) != material(&published);
        let is_other = status != published;
        let is_due = is_material || (is_other && Instant::now() >= next);
        if !is_due {
            let changed = if is_other {
                timeout_at(next, latest.changed()).await.unwrap_or(Ok(()))
            } else {
                latest.changed().await
            };
            if changed.is_err() {
                return;
            }
            continue;
        }
        let patch = json!({
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": "DoubleMaster",
            "metadata": {"name": name},
            "status": status,
        });
        let params = PatchParams::apply(names::FIELD_OWNER).force();
        match api
            .patch_status(&name, &params, &Patch::Apply(&patch))
            .await
        {
            Ok(_) => {
                published = status;
                next = Instant::now() + VOLATILE;
                sleep(PAUSE).await;
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => return,
            Err(error) => {
                tracing::warn!(resource = name, error = %chain(&error), "status not published, trying again");
                sleep(AGAIN).await;
                latest.mark_changed();
            }
        }
    }
}

/// A status without what changes all the time.
fn material(status: &DoubleMasterStatus) -> DoubleMasterStatus {
    let mut status = status.clone();
    status.lag_records = 0;
    for text in &mut status.waits_for {
        *text = without_numbers(text);
    }
    for condition in &mut status.conditions {
        condition.message = without_numbers(&condition.message);
    }
    for member in &mut status.members {
        member.position.clear();
        member.lag_records = 0;
        member.silent_ms = member.silent_ms.map(|_| 0);
        member.reason = without_numbers(&member.reason);
        for link in &mut member.links {
            link.lag_records = 0;
            link.last_contact_ms = None;
            link.reason = without_numbers(&link.reason);
        }
    }
    status
}

/// Ages and counts inside a text are no news.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_lags_are_not_material() {
        let mut status = DoubleMasterStatus {
            lag_records: 3,
            waits_for: vec!["the quiet time to pass, 1200 ms".into()],
            members: vec![tandem_api::double_master::MemberStatus {
                position: "0=3:77".into(),
                silent_ms: Some(4),
                ..Default::default()
            }],
            ..DoubleMasterStatus::default()
        };
        let before = material(&status);
        status.lag_records = 9;
        status.waits_for = vec!["the quiet time to pass, 90 ms".into()];
        status.members[0].position = "0=3:99".into();
        status.members[0].silent_ms = Some(700);
        assert_eq!(material(&status), before);
        status.members[0].silent_ms = None;
        assert_ne!(material(&status), before);
    }
}
