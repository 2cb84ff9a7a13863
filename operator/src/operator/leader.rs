//! Which of several operators acts: the holder of a Lease. It fences nothing: every command to an
//! instance carries its epoch, and claims are compared and swapped; two leaders are a nuisance, no harm.

mod pace;
mod rival;

use std::net::SocketAddr;
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
use pace::{DURATION, RENEW};
use rival::Rival;

/// A holder that could not renew for so long ends itself, before its Lease runs out.
const GIVE_UP: Duration = Duration::from_secs(6);
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Annotation of the Lease: where the holder's door is, for those who wait.
const DOOR: &str = "tandem.dev/leader-address";

/// An operator that wants to lead.
#[derive(Clone)]
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// Where others reach this one's `/livez`.
    door: Option<SocketAddr>,
    /// The Lease as this one wrote it last: it is written again without being read.
    written: Arc<Mutex<Option<Lease>>>,
}

enum Try {
    Held,
    /// The record was changed by another one in this moment.
    Outrun,
    HeldBy {
        who: String,
        version: String,
        door: Option<SocketAddr>,
    },
}

impl Candidate {
    /// One for the Lease `name` in `namespace`, under a name of its own unless one is given. At `door`
    /// others see that it lives.
    pub(super) fn new(
        client: Client,
        namespace: &str,
        name: String,
        identity: Option<String>,
        door: Option<SocketAddr>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            identity: identity.unwrap_or_else(own_name),
            door,
            written: Arc::default(),
        }
    }

    /// Waits until this one leads.
    pub(super) async fn acquire(&self) {
        let mut rival: Option<Rival> = None;
        loop {
            match timeout(CALL_TIMEOUT, self.attempt(rival.as_ref())).await {
                Ok(Ok(Try::Held)) => {
                    tracing::info!(identity = self.identity, "this operator leads");
                    return;
                }
                Ok(Ok(Try::HeldBy { who, version, door })) => {
                    // Time is measured from when the record was first seen, by this clock.
                    if let Some(known) = rival.as_mut().filter(|rival| rival.is(&who, door)) {
                        known.holds(version, Instant::now());
                    } else {
                        tracing::info!(leader = who, "another operator leads");
                        rival = Some(Rival::new(who, version, door, Instant::now()));
                    }
                }
                // Somebody was quicker; the next look says who.
                Ok(Ok(Try::Outrun)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "leadership not told, trying again");
                }
                Err(_) => tracing::warn!("leadership not told in time, trying again"),
            }
            let asking = async {
                if let Some(rival) = &mut rival {
                    rival.ask().await;
                }
            };
            tokio::join!(sleep(RENEW / 2), asking);
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
                Ok(Ok(Try::Outrun)) => {}
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

    /// Writes itself into the Lease when nobody else holds it, or its holder is silent.
    async fn attempt(&self, rival: Option<&Rival>) -> Result<Try, kube::Error> {
        let params = PostParams::default();
        // Taken out: after a conflict, or a call that was given up, it is read afresh.
        let own = self.lock().take();
        if let Some(mut lease) = own {
            self.hold(&mut lease);
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
                let mut lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: None,
                };
                self.hold(&mut lease);
                self.api.create(&params, &lease).await
            }
            Some(mut lease) => {
                if let Some(who) = holder(&lease).filter(|who| *who != self.identity) {
                    let version = lease.metadata.resource_version.clone().unwrap_or_default();
                    let is_silent =
                        rival.is_some_and(|rival| rival.is_silent(&version, Instant::now()));
                    if !is_silent {
                        let (who, door) = (who.to_owned(), door(&lease));
                        return Ok(Try::HeldBy { who, version, door });
                    }
                    tracing::warn!(leader = who, "the leader is silent: it is replaced");
                }
                self.hold(&mut lease);
                self.api.replace(&self.name, &params, &lease).await
            }
        };
        match written {
            Ok(lease) => {
                *self.lock() = Some(lease);
                Ok(Try::Held)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Try::Outrun)
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lease>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this one its holder, from now on.
    fn hold(&self, lease: &mut Lease) {
        let now = MicroTime(Timestamp::now());
        let is_new = holder(lease) != Some(&self.identity);
        let annotations = lease.metadata.annotations.get_or_insert_default();
        match self.door {
            Some(door) => annotations.insert(DOOR.into(), door.to_string()),
            None => annotations.remove(DOOR),
        };
        let spec = lease.spec.get_or_insert_default();
        if is_new {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(DURATION.as_secs() as i32);
        spec.renew_time = Some(now);
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref();
    holder.filter(|holder| !holder.is_empty())
}

fn door(lease: &Lease) -> Option<SocketAddr> {
    let annotations = lease.metadata.annotations.as_ref()?;
    annotations.get(DOOR)?.parse().ok()
}

/// A name that no other running operator has.
fn own_name() -> String {
    let random = random_password().unwrap_or_default();
    let part = random.get(..8).unwrap_or_default();
    format!("operator-{}-{part}", std::process::id())
}
