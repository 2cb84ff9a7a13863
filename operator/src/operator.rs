//! `tandem operator`: looks after the resources of a cluster, or of some of its namespaces.
//!
//! ```text
//! watches ─▶ caches ─▶ one controller per resource ─▶ pods, claims, labels, status, events
//!                            ▲ only while this process leads
//! ```

mod announce;
mod dispatch;
mod http;
mod leader;
mod metrics;
mod publish;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kube::client::ClientBuilder;
use kube::{Client, Config};

use crate::error::Error;
use crate::runtime::kubernetes::{Scope, World};
use crate::signals::end_signal;

pub use metrics::Metrics;

/// What the command line says.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Namespace to look after; may be given several times [default: all of them]
    #[arg(
        long = "namespace",
        value_name = "NAMESPACE",
        env = "TANDEM_NAMESPACES",
        value_delimiter = ','
    )]
    pub namespaces: Vec<String>,
    /// Image of the servers of resources that name none
    #[arg(long, env = "TANDEM_SERVER_IMAGE", default_value = DEFAULT_IMAGE)]
    pub image: String,
    /// Where metrics and probes are served
    #[arg(long, env = "TANDEM_METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    pub metrics_address: SocketAddr,
    /// Whether one of several operators leads while the others wait
    #[arg(long, env = "TANDEM_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// Namespace of the Lease by which they agree [default: that of the kubeconfig or service account]
    #[arg(long, env = "POD_NAMESPACE")]
    pub leader_namespace: Option<String>,
    /// Name of that Lease
    #[arg(long, env = "TANDEM_LEADER_LEASE", default_value = "tandem-operator")]
    pub leader_lease: String,
    /// Name of this operator in that Lease [default: a random one]
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Address at which other operators reach this one's probes: they replace it sooner when it leads and
    /// is lost [default: none, they wait until its Lease runs out]
    #[arg(long, env = "POD_IP")]
    pub advertise_ip: Option<IpAddr>,
}

const DEFAULT_IMAGE: &str = concat!("tandem:", env!("CARGO_PKG_VERSION"));

/// Runs until it is asked to end, or another one leads.
pub async fn run(options: Options) -> Result<(), Error> {
    // Fails only when a provider is there already, which is as good.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider is installed already");
    }
    let metrics = Arc::new(Metrics::new());
    let (client, namespace) = connect(&metrics).await?;
    let health = http::Health::default();
    let serving = http::serve(
        options.metrics_address,
        Arc::clone(&metrics),
        health.clone(),
    )
    .await?;
    let scope = Scope {
        namespaces: options.namespaces.clone(),
    };
    let world = World::new(client);
    let mut watching = world.watch(&scope);
    tokio::select! {
        () = watching.listed() => {}
        name = end_signal() => {
            tracing::info!("{name} before everything was listed");
            return Ok(());
        }
    }
    health.set_ready();
    tracing::info!(namespaces = ?scope.namespaces, image = options.image, "the cluster is seen");

    // A connection of its own: the renewal does not wait behind other calls.
    let (leading, _) = connect(&metrics).await?;
    let candidate = leader::Candidate::new(
        leading,
        options.leader_namespace.as_deref().unwrap_or(&namespace),
        options.leader_lease.clone(),
        options.identity.clone(),
        options
            .advertise_ip
            .map(|ip| SocketAddr::new(ip, options.metrics_address.port())),
    );
    let end = end_signal();
    tokio::pin!(end);
    if options.leader_elect {
        tokio::select! {
            () = candidate.acquire() => {}
            name = &mut end => {
                tracing::info!("{name} while another operator leads");
                return Ok(());
            }
        }
    }
    metrics.set_leader(true);
    let mut dispatcher = dispatch::Dispatcher::new(
        Arc::clone(&world),
        options.image.clone(),
        Arc::clone(&metrics),
    );
    let outcome = tokio::select! {
        () = dispatcher.run(&scope) => Ok(()),
        error = candidate.keep(), if options.leader_elect => Err(error),
        name = &mut end => {
            tracing::info!("{name}: the instances go on without an operator");
            Ok(())
        }
    };
    drop(dispatcher);
    if outcome.is_ok() && options.leader_elect {
        candidate.release().await;
    }
    watching.stop();
    serving.abort();
    outcome
}

async fn connect(metrics: &Arc<Metrics>) -> Result<(Client, String), Error> {
    let config = Config::infer().await.map_err(|source| Error::Connect {
        source: Box::new(source),
    })?;
    let namespace = config.default_namespace.clone();
    let builder = ClientBuilder::try_from(config).map_err(|source| Error::Connect {
        source: Box::new(source),
    })?;
    let metrics = Arc::clone(metrics);
    let counted = tower::util::MapRequestLayer::new(move |request: hyper::Request<_>| {
        metrics.api_request(request.method().as_str(), request.uri());
        request
    });
    Ok((builder.with_layer(&counted).build(), namespace))
}
