//! `kubectl tandem logs`: the lines of one instance, or of all with their names in front.

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::args::Logs;
use super::cluster::Cluster;
use super::error::Error;
use super::picture::Picture;
use crate::view;

/// Container of the server in each pod.
const CONTAINER: &str = "tandem";
/// Lines on their way to the terminal.
const LINES_MAX: usize = 256;

/// Prints them.
pub(super) async fn run(cluster: &Cluster, wanted: &Logs) -> Result<(), Error> {
    let picture = Picture::take(cluster, &wanted.name).await?;
    let members: Vec<String> = picture
        .status
        .members
        .iter()
        .map(|member| member.name.clone())
        .collect();
    let chosen = match &wanted.instance {
        None => members,
        Some(instance) if members.contains(instance) => vec![instance.clone()],
        Some(instance) => {
            return Err(Error::Unaskable {
                problem: format!("there is no instance `{instance}`"),
                remedy: format!("there are {}", members.join(", ")),
            });
        }
    };
    let has_prefix = chosen.len() > 1;
    let (sender, mut lines) = mpsc::channel(LINES_MAX);
    let mut readers = JoinSet::new();
    for instance in chosen {
        let parameters = LogParams {
            container: Some(CONTAINER.into()),
            follow: wanted.follow,
            tail_lines: wanted.tail,
            previous: wanted.previous,
            ..LogParams::default()
        };
        let prefix = if has_prefix {
            format!("{instance}  ")
        } else {
            String::new()
        };
        readers.spawn(read(
            cluster.pods(),
            instance,
            parameters,
            prefix,
            sender.clone(),
        ));
    }
    drop(sender);
    while let Some(line) = lines.recv().await {
        view::put(&line);
    }
    let mut failed = None;
    for ended in readers.join_all().await {
        if let Err(error) = ended {
            eprintln!("kubectl tandem: {}", crate::error::chain(&error));
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn read(
    pods: Api<Pod>,
    instance: String,
    parameters: LogParams,
    prefix: String,
    sender: mpsc::Sender<String>,
) -> Result<(), Error> {
    let stream = pods
        .log_stream(&instance, &parameters)
        .await
        .map_err(Error::api(format!("get pods/{instance}/log")))?;
    let mut lines = stream.lines();
    loop {
        let next = lines.try_next().await.map_err(|source| Error::Ask {
            instance: instance.clone(),
            source: source.into(),
        })?;
        let Some(line) = next else { return Ok(()) };
        if sender.send(format!("{prefix}{line}\n")).await.is_err() {
            return Ok(());
        }
    }
}
