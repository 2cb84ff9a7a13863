//! The door to an instance: one connection, each command with a deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
};
use serde::Deserialize;
use tandem_plan::Address;
use tandem_proto::status::InstanceStatus;

/// Deadline of a connection attempt.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Deadline of a short command.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// What an instance answered that was not an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or refused.
    #[error("{address}: {verb} failed")]
    Command {
        /// Where.
        address: Address,
        /// What was asked.
        verb: &'static str,
        /// Why.
        #[source]
        source: redis::RedisError,
    },
    /// Its answer has another shape.
    #[error("{address}: the answer to {verb} cannot be read")]
    Decode {
        /// Where.
        address: Address,
        /// What was asked.
        verb: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// Whether the instance has another password.
    pub fn is_wrong_password(&self) -> bool {
        match self {
            Self::Command { source, .. } => {
                source.kind() == redis::ErrorKind::AuthenticationFailed
                    || source.code() == Some("WRONGPASS")
            }
            Self::Decode { .. } => false,
        }
    }
}

/// The answer to a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Promotion {
    /// The epoch it writes under.
    pub epoch: u64,
    /// Its new incarnation.
    pub incarnation: String,
    /// Records it collected first.
    pub collected_records: u64,
    /// How long that took.
    pub elapsed_ms: u64,
}

/// A connection to one instance.
#[derive(Clone)]
pub struct InstanceClient {
    address: Address,
    connection: MultiplexedConnection,
}

impl InstanceClient {
    /// Connects; every later command ends within `response_timeout`.
    pub async fn connect(
        address: &Address,
        password: Option<&str>,
        response_timeout: Duration,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Command {
            address: address.clone(),
            verb: "connect",
            source,
        };
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let target = ConnectionAddr::Tcp(address.host.clone(), address.port)
            .into_connection_info()
            .map_err(failed)?
            .set_redis_settings(settings);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        let connection = Client::open(target)
            .map_err(failed)?
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(failed)?;
        Ok(Self {
            address: address.clone(),
            connection,
        })
    }

    /// Connects with the first of `passwords` that is taken; without any when none is.
    pub async fn connect_with_any(
        address: &Address,
        passwords: &[String],
        response_timeout: Duration,
    ) -> Result<Self, Error> {
        for password in passwords {
            match Self::connect(address, Some(password), response_timeout).await {
                Err(error) if error.is_wrong_password() => {}
                outcome => return outcome,
            }
        }
        Self::connect(address, None, response_timeout).await
    }

    /// `TANDEM STATUS`.
    pub async fn status(&mut self) -> Result<InstanceStatus, Error> {
        self.json("TANDEM STATUS", &["STATUS".into()]).await
    }

    /// `TANDEM PROMOTE`: collects from `from`, at most `collect`, and opens under `epoch`.
    pub async fn promote(
        &mut self,
        epoch: u64,
        from: &[Address],
        collect: Duration,
    ) -> Result<Promotion, Error> {
        let mut arguments = vec!["PROMOTE".to_string(), epoch.to_string()];
        for address in from {
            arguments.push("FROM".into());
            arguments.push(address.to_string());
        }
        arguments.push("TIMEOUT".into());
        arguments.push(collect.as_millis().to_string());
        self.json("TANDEM PROMOTE", &arguments).await
    }

    /// `TANDEM FOLLOW`.
    pub async fn follow(&mut self, epoch: u64, primary: &Address) -> Result<(), Error> {
        let arguments = [
            "FOLLOW".to_string(),
            epoch.to_string(),
            primary.host.clone(),
            primary.port.to_string(),
        ];
        self.tandem("TANDEM FOLLOW", &arguments).await
    }

    /// `TANDEM DEMOTE`: it writes no more, and takes no role under an epoch up to this one.
    pub async fn demote(&mut self, epoch: u64) -> Result<(), Error> {
        let arguments = ["DEMOTE".to_string(), epoch.to_string()];
        self.tandem("TANDEM DEMOTE", &arguments).await
    }

    /// `TANDEM PEER`.
    pub async fn peer(&mut self, peer: &Address, server_id: u32) -> Result<(), Error> {
        let arguments = [
            "PEER".to_string(),
            peer.host.clone(),
            peer.port.to_string(),
            server_id.to_string(),
        ];
        self.tandem("TANDEM PEER", &arguments).await
    }

    /// `TANDEM MEMBERS`.
    pub async fn members(&mut self, server_ids: &[u32]) -> Result<(), Error> {
        let mut arguments = vec!["MEMBERS".to_string()];
        arguments.extend(server_ids.iter().map(u32::to_string));
        self.tandem("TANDEM MEMBERS", &arguments).await
    }

    /// `SLAVEOF`: a full resync, by merge from the peer; with `force` it takes the source's state
    /// instead of its own, as a replica does.
    pub async fn full_resync(&mut self, source: &Address, force: bool) -> Result<(), Error> {
        let mut command = redis::cmd("SLAVEOF");
        command.arg(&source.host).arg(source.port);
        if force {
            command.arg("force");
        }
        self.query::<redis::Value>("SLAVEOF", &command)
            .await
            .map(drop)
    }

    /// `CONFIG SET` of all of `settings`, which take effect together or not at all.
    pub async fn configure(&mut self, settings: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET");
        for (key, value) in settings {
            command.arg(key).arg(value);
        }
        self.query::<redis::Value>("CONFIG SET", &command)
            .await
            .map(drop)
    }

    async fn tandem(&mut self, verb: &'static str, arguments: &[String]) -> Result<(), Error> {
        let mut command = redis::cmd("TANDEM");
        command.arg(arguments);
        self.query::<redis::Value>(verb, &command).await.map(drop)
    }

    async fn json<T: for<'de> Deserialize<'de>>(
        &mut self,
        verb: &'static str,
        arguments: &[String],
    ) -> Result<T, Error> {
        let mut command = redis::cmd("TANDEM");
        command.arg(arguments);
        let text: Vec<u8> = self.query(verb, &command).await?;
        serde_json::from_slice(&text).map_err(|source| Error::Decode {
            address: self.address.clone(),
            verb,
            source,
        })
    }

    async fn query<T: redis::FromRedisValue>(
        &mut self,
        verb: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, Error> {
        command
            .query_async(&mut self.connection)
            .await
            .map_err(|source| Error::Command {
                address: self.address.clone(),
                verb,
                source,
            })
    }
}
