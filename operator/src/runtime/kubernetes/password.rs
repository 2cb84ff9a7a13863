//! The password of the instances: read from its Secret, made when there is none, and changed on running
//! instances when the Secret changes.
//!
//! First every instance takes the new password as well as the old one, then it gives the new one to the
//! others, and only later it takes the new one alone: no link is refused at any moment, and clients have
//! some time to follow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tandem_api::double_master::ReclaimPolicy;
use tandem_plan::Process;

use super::cache::Key;
use super::machine::KubernetesRuntime;
use super::names::{FIELD_OWNER, resource_labels};
use super::objects::PASSWORD_KEY;
use super::wanted::Wanted;
use crate::error::Error;
use crate::instance_client::InstanceClient;
use crate::runtime::Runtime as _;
use crate::runtime::process::random_password;
use crate::view::Announcer;

const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// Older passwords that are still tried.
const KEPT_MAX: usize = 3;

/// How long the old password is good, too, once all instances have the new one.
const BOTH: Duration = Duration::from_mins(1);

/// How far a change of the password is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// All instances have the present one.
    #[default]
    None,
    /// They are being told.
    Telling,
    /// All have it, and still take the old one.
    Both { since: Instant },
}

/// The passwords of one resource.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    version: Option<String>,
    /// The present one first, older ones behind it.
    known: Vec<String>,
    change: Change,
}

impl Passwords {
    /// Brings the instances to what the Secret says. Returns whether all of them are there.
    pub(super) async fn keep(
        &mut self,
        runtime: &KubernetesRuntime,
        wanted: &Wanted,
        announcer: &Announcer,
    ) -> Result<bool, Error> {
        let Some(name) = &wanted.valid.secret_name else {
            return Ok(true);
        };
        let version = runtime
            .world()
            .secret_version(&Key::new(wanted.key.namespace.clone(), name.clone()));
        if version.is_none() || version != self.version || self.known.is_empty() {
            let (password, read) = read_or_create(runtime, wanted, name).await?;
            self.version = Some(read);
            if self.known.first() != Some(&password) {
                let is_first = self.known.is_empty();
                self.known.retain(|known| *known != password);
                self.known.insert(0, password);
                self.known.truncate(KEPT_MAX);
                runtime.take_passwords(self.known.clone());
                if is_first {
                    // An operator before this one may have ended while both were good.
                    self.change = Change::Both {
                        since: Instant::now(),
                    };
                } else {
                    self.change = Change::Telling;
                    let line = format!("{name} has another password: the instances are told");
                    announcer.note("PasswordChanging", line);
                }
            }
        }
        self.advance(runtime, announcer).await;
        Ok(self.change == Change::None)
    }

    async fn advance(&mut self, runtime: &KubernetesRuntime, announcer: &Announcer) {
        let Some(present) = self.known.first() else {
            return;
        };
        let setting = |key: &str, value: &str| (key.to_string(), value.to_string());
        match self.change {
            Change::Telling => {
                let old = self.known.get(1).map_or("", String::as_str);
                let take = [
                    setting("requirepass", present),
                    setting("requirepass-previous", old),
                ];
                let give = [setting("masterauth", present)];
                if tell_all(runtime, &self.known, &take).await
                    && tell_all(runtime, &self.known, &give).await
                {
                    announcer.note("PasswordChanged", "all instances have the new password");
                    self.change = Change::Both {
                        since: Instant::now(),
                    };
                }
            }
            Change::Both { since } if since.elapsed() >= BOTH => {
                let forget = [setting("requirepass-previous", "")];
                if tell_all(runtime, &self.known, &forget).await {
                    self.change = Change::None;
                }
            }
            Change::None | Change::Both { .. } => {}
        }
    }
}

/// The password and the version of its Secret.
async fn read_or_create(
    runtime: &KubernetesRuntime,
    wanted: &Wanted,
    name: &str,
) -> Result<(String, String), Error> {
    let api: Api<Secret> = runtime.world().api(Some(&wanted.key.namespace));
    let secret = if let Some(secret) = api
        .get_opt(name)
        .await
        .map_err(Error::api("get secret", name))?
    {
        secret
    } else {
        let params = PostParams {
            field_manager: Some(FIELD_OWNER.into()),
            ..PostParams::default()
        };
        let secret = generated(wanted, name)?;
        api.create(&params, &secret)
            .await
            .map_err(Error::api("create secret", name))?
    };
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    secret
        .data
        .as_ref()
        .and_then(|data| data.get(PASSWORD_KEY))
        .and_then(|bytes| String::from_utf8(bytes.0.clone()).ok())
        .map(|text| text.trim_end_matches(['\r', '\n']).to_string())
        .filter(|password| !password.is_empty())
        .map(|password| (password, version))
        .ok_or_else(|| Error::NoPassword {
            secret: name.into(),
        })
}

fn generated(wanted: &Wanted, name: &str) -> Result<Secret, Error> {
    let password = random_password().map_err(|source| Error::Random { source })?;
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(wanted.key.namespace.clone()),
            labels: Some(resource_labels(&wanted.valid.name)),
            // Data that stay need the password that people know.
            owner_references: (wanted.valid.reclaim_policy == ReclaimPolicy::Delete)
                .then(|| vec![wanted.owner.clone()]),
            ..ObjectMeta::default()
        },
        data: Some([(PASSWORD_KEY.to_string(), ByteString(password.into_bytes()))].into()),
        ..Secret::default()
    })
}

/// Sets something on every running instance. Returns whether all have it.
async fn tell_all(
    runtime: &KubernetesRuntime,
    passwords: &[String],
    settings: &[(String, String)],
) -> bool {
    let addresses = runtime
        .instances()
        .into_values()
        .filter(|seen| matches!(seen.process, Process::Running { .. } | Process::Unknown))
        .map(|seen| seen.address)
        .filter(|address| !address.host.is_empty());
    let settings: BTreeMap<String, String> = settings.iter().cloned().collect();
    let tells = addresses.map(|address| {
        let settings = &settings;
        async move {
            InstanceClient::connect_with_any(&address, passwords, COMMAND_TIMEOUT)
                .await?
                .configure(settings)
                .await
        }
    });
    let mut is_told = true;
    for outcome in join_all(tells).await {
        if let Err(error) = outcome {
            tracing::warn!(error = %crate::error::chain(&error), "password not changed, trying again");
            is_told = false;
        }
    }
    is_told
}
