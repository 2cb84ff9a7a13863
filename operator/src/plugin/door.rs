//! A door to an instance from outside the cluster: its client port, forwarded by the API server.

use std::error::Error as StdError;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tandem_proto::status::InstanceStatus;

use super::error::Error;

/// Client port of every instance on Kubernetes.
const PORT: u16 = 6379;
/// A digest reads all data.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How long opening may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// An open door. Closing the process closes the forwarding.
pub(super) struct Door {
    instance: String,
    connection: MultiplexedConnection,
}

impl Door {
    /// Opens it.
    pub(super) async fn open(
        pods: &Api<Pod>,
        instance: &str,
        password: Option<&str>,
    ) -> Result<Self, Error> {
        let opening = Self::connect(pods, instance, password);
        match tokio::time::timeout(OPEN_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(late) => Err(failed(instance)(late)),
        }
    }

    async fn connect(
        pods: &Api<Pod>,
        instance: &str,
        password: Option<&str>,
    ) -> Result<Self, Error> {
        let mut forwarder = pods
            .portforward(instance, &[PORT])
            .await
            .map_err(Error::api(format!("create pods/{instance}/portforward")))?;
        let stream = forwarder
            .take_stream(PORT)
            .ok_or_else(|| failed(instance)("the API server forwards no port"))?;
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_TIMEOUT));
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&settings, stream, config)
                .await
                .map_err(failed(instance))?;
        tokio::spawn(async move {
            driver.await;
            drop(forwarder);
        });
        Ok(Self {
            instance: instance.into(),
            connection,
        })
    }

    /// `TANDEM STATUS`.
    pub(super) async fn status(&mut self) -> Result<InstanceStatus, Error> {
        let text: Vec<u8> = self.ask(&["STATUS".into()]).await?;
        serde_json::from_slice(&text).map_err(failed(&self.instance))
    }

    /// `TANDEM DIGEST`: a hash of everything visible in a database.
    pub(super) async fn digest(&mut self, database: u32) -> Result<String, Error> {
        self.ask(&["DIGEST".into(), database.to_string()]).await
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, words: &[String]) -> Result<T, Error> {
        let mut command = redis::cmd("TANDEM");
        command.arg(words);
        command
            .query_async(&mut self.connection)
            .await
            .map_err(failed(&self.instance))
    }
}

fn failed<E: Into<Box<dyn StdError + Send + Sync>>>(instance: &str) -> impl FnOnce(E) -> Error {
    let instance = instance.to_string();
    move |source| Error::Ask {
        instance,
        source: source.into(),
    }
}
