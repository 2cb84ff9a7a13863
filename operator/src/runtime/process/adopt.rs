//! What to do with processes that an earlier runtime left running: take them over, or end them. Never
//! two on one directory.

use std::time::Duration;

use tandem_api::InstanceName;
use tandem_plan::Address;

use super::child::terminate;
use super::layout::Layout;
use super::proc_table::{ProcessId, arguments, runs_this_program, servers_on};
use super::state::PublishedStatus;
use crate::error::Error;
use crate::instance_client::InstanceClient;

/// A hung one is not worth adopting: it is replaced.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What is expected of an instance's process.
pub(super) struct Expected<'a> {
    pub(super) name: &'a InstanceName,
    pub(super) arguments: &'a [String],
    pub(super) address: &'a Address,
    pub(super) password: Option<&'a str>,
    /// The process on record.
    pub(super) recorded: Option<ProcessId>,
}

/// The process of an instance to take over. Every other one on its directory is ended first.
pub(super) async fn find(
    layout: &Layout,
    published: Option<&PublishedStatus>,
    expected: &Expected<'_>,
) -> Result<Option<ProcessId>, Error> {
    let mut found = servers_on(&layout.data(expected.name));
    if let Some(recorded) = expected.recorded.filter(|id| id.is_alive())
        && runs_this_program(recorded.pid)
        && !found.contains(&recorded)
    {
        found.push(recorded);
    }
    let mut kept = None;
    for id in found {
        if kept.is_none() && is_as_expected(id, published, expected).await {
            kept = Some(id);
            continue;
        }
        tracing::info!(instance = %expected.name, pid = id.pid, "old process is replaced");
        if !terminate(id, END_TIMEOUT).await? {
            let instance = expected.name.to_string();
            return Err(Error::WillNotEnd {
                instance,
                pid: id.pid,
            });
        }
    }
    Ok(kept)
}

/// The same program with the same arguments, which answers as the instance it was.
async fn is_as_expected(
    id: ProcessId,
    published: Option<&PublishedStatus>,
    expected: &Expected<'_>,
) -> bool {
    if !runs_this_program(id.pid) || arguments(id.pid) != expected.arguments {
        return false;
    }
    let ask = async {
        InstanceClient::connect(expected.address, expected.password, ANSWER_TIMEOUT)
            .await?
            .status()
            .await
    };
    let Ok(Ok(status)) = tokio::time::timeout(ANSWER_TIMEOUT, ask).await else {
        return false;
    };
    let known_id = published
        .and_then(|published| {
            let members = &published.status.members;
            members
                .iter()
                .find(|member| member.name == expected.name.as_str())
        })
        .and_then(|member| member.instance_id.as_ref());
    status.pid == id.pid && known_id.is_none_or(|known| *known == status.instance_id)
}
