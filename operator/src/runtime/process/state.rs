//! The files that outlive the runtime: what it started where, and what it last said.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_api::{DoubleMasterStatus, InstanceName, ServiceName};

use super::atomic::{Durable, write_atomically};
use super::layout::Layout;
use super::proc_table::ProcessId;
use crate::error::Error;

/// Version of both layouts.
const FORMAT: u32 = 1;

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this layout.
    pub format: u32,
    /// Name of the resource the directory belongs to.
    pub resource: String,
    /// First port.
    pub base_port: u16,
    /// The runtime that wrote this.
    pub runtime: ProcessId,
    /// Processes that run, or ran when this was written.
    pub processes: BTreeMap<InstanceName, ProcessId>,
    /// The manifest, so that `tandem status` knows what is wanted.
    pub manifest: serde_json::Value,
}

impl State {
    /// The state of a runtime that has started nothing yet.
    pub fn new(
        resource: &str,
        base_port: u16,
        runtime: ProcessId,
        manifest: serde_json::Value,
    ) -> Self {
        let processes = BTreeMap::new();
        Self {
            format: FORMAT,
            resource: resource.into(),
            base_port,
            runtime,
            processes,
            manifest,
        }
    }

    /// Reads it; `None` when the directory has none.
    pub fn read(layout: &Layout) -> Result<Option<Self>, Error> {
        read_json(&layout.state())
    }

    /// Writes it.
    pub fn write(&self, layout: &Layout) -> Result<(), Error> {
        write_json(&layout.state(), self, "the state")
    }
}

/// `status.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedStatus {
    /// Unix milliseconds of this.
    pub updated_at_ms: u64,
    /// Where the services point.
    pub services: BTreeMap<ServiceName, Vec<InstanceName>>,
    /// The status.
    pub status: DoubleMasterStatus,
}

impl PublishedStatus {
    /// Reads it; `None` when the directory has none.
    pub fn read(layout: &Layout) -> Result<Option<Self>, Error> {
        read_json(&layout.status())
    }

    /// Writes it.
    pub fn write(&self, layout: &Layout) -> Result<(), Error> {
        write_json(&layout.status(), self, "the status")
    }

    /// Removes it.
    pub fn forget(layout: &Layout) -> Result<(), Error> {
        let path = layout.status();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::write(&path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Decode {
            path: path.into(),
            source,
        })
}

fn write_json<T: Serialize>(path: &Path, value: &T, what: &'static str) -> Result<(), Error> {
    let bytes =
        serde_json::to_vec_pretty(value).map_err(|source| Error::Encode { what, source })?;
    write_atomically(path, &bytes, Durable::No)
}
