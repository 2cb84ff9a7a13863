//! Which of several operators acts: the holder of a Lease. It fences nothing: every command to an
//! instance carries its epoch, and claims are compared and swapped; two leaders are a nuisance, no harm.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{sleep, timeout};

use crate::error::{Error, chain};
use crate::runtime::process::random_password;

/// Silence of a holder after which another one takes over.
const DURATION: Duration = Duration::from_secs(8);
/// Distance of renewals.
const RENEW: Duration = Duration::from_secs(2);
/// A holder that could not renew for so long ends itself, before another one may begin.
const GIVE_UP: Duration = Duration::from_secs(6);
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// An operator that wants to lead.
#[derive(Clone)]
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The Lease as this one wrote it last: it is written again without being read.
    written: Arc<Mutex<Option<Lease>>>,
}

enum Try {
    Held,
    HeldBy { who: String, version: String },
}

impl Candidate {
    /// One for the Lease `name` in `namespace`, under a name of its own unless one is given.
    pub(super) fn new(
        client: Client,
        namespace: &str,
        name: String,
        identity: Option<String>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            identity: identity.unwrap_or_else(own_name),
            written: Arc::default(),
        }
    }

    /// Waits until this one leads.
    pub(super) async fn acquire(&self) {
        let mut seen: Option<(String, Instant)> = None;
        loop {
            match timeout(CALL_TIMEOUT, self.attempt(seen.as_ref())).await {
                Ok(Ok(Try::Held)) => {
                    tracing::info!(identity = self.identity, "this operator leads");
                    return;
                }
                Ok(Ok(Try::HeldBy { who, version })) => {
                    // Time is measured from when the record was first seen, by this clock.
                    if seen.as_ref().is_none_or(|(old, _)| *old != version) {
                        if seen.is_none() {
                            tracing::info!(leader = who, "another operator leads");
                        }
                        seen = Some((version, Instant::now()));
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "leadership not told, trying again");
                }
                Err(_) => tracing::warn!("leadership not told in time, trying again"),
            }
            sleep(RENEW / 2).await;
        }
    }

    /// Renews for as long as it can. Returns why it does not lead any more.
    pub(super) async fn keep(&self) -> Error {
        let mut renewed = Instant::now();
        loop {
            sleep(RENEW).await;
            match timeout(CALL_TIMEOUT, self.attempt(None)).await {
                Ok(Ok(Try::Held)) => renewed = Instant::now(),
                Ok(Ok(Try::HeldBy { who, .. })) => {
                    return Error::NotLeader {
                        why: format!("{who} leads"),
                    };
                }
                Ok(Err(error)) => tracing::warn!(error = %chain(&error), "leadership not renewed"),
                Err(_) => tracing::warn!("leadership not renewed in time"),
            }
            if renewed.elapsed() > GIVE_UP {
                let why = format!("it could not be renewed for {GIVE_UP:?}");
                return Error::NotLeader { why };
            }
        }
    }

    /// Lets another one lead at once.
    pub(super) async fn release(&self) {
        let release = async {
            let mut lease = self.api.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = None;
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        match timeout(CALL_TIMEOUT, release).await {
            Ok(Ok(())) => tracing::info!("leadership given up"),
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "leadership not given up"),
            Err(_) => tracing::warn!("leadership not given up in time"),
        }
    }

    /// Writes itself into the Lease when nobody else holds it, or its holder was silent since it was
    /// `seen` last.
    async fn attempt(&self, seen: Option<&(String, Instant)>) -> Result<Try, kube::Error> {
        let params = PostParams::default();
        // Taken out: after a conflict, or a call that was given up, it is read afresh.
        let own = self.lock().take();
        if let Some(mut lease) = own {
            let before = lease.spec.take();
            lease.spec = Some(self.held(before));
            match self.api.replace(&self.name, &params, &lease).await {
                Ok(lease) => {
                    *self.lock() = Some(lease);
                    return Ok(Try::Held);
                }
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let found = self.api.get_opt(&self.name).await?;
        let written = match found {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.held(None)),
                };
                self.api.create(&params, &lease).await
            }
            Some(mut lease) => {
                let version = lease.metadata.resource_version.clone().unwrap_or_default();
                let before = lease.spec.take().unwrap_or_default();
                let holder = before
                    .holder_identity
                    .clone()
                    .filter(|holder| !holder.is_empty());
                if let Some(who) = holder.filter(|holder| *holder != self.identity) {
                    let is_silent =
                        seen.is_some_and(|(old, at)| *old == version && at.elapsed() > DURATION);
                    if !is_silent {
                        return Ok(Try::HeldBy { who, version });
                    }
                    tracing::warn!(leader = who, "the leader is silent: it is replaced");
                }
                lease.spec = Some(self.held(Some(before)));
                self.api.replace(&self.name, &params, &lease).await
            }
        };
        match written {
            Ok(lease) => {
                *self.lock() = Some(lease);
                Ok(Try::Held)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Try::HeldBy {
                    who: "another operator".into(),
                    version: String::new(),
                })
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lease>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, before: Option<LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mut spec = before.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(DURATION.as_secs() as i32);
        spec.renew_time = Some(now);
        spec
    }
}

/// A name that no other running operator has.
fn own_name() -> String {
    let random = random_password().unwrap_or_default();
    let part = random.get(..8).unwrap_or_default();
    format!("operator-{}-{part}", std::process::id())
}
