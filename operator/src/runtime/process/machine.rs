//! The runtime itself: opens a directory, takes over what runs there, and carries out what a plan says.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_api::{GroupName, InstanceName, ServiceName};
use tandem_plan::double_master::Validated;
use tandem_plan::outcome::{ClaimStep, DesiredInstance};
use tandem_plan::{Address, Claim, Placement};
use tokio::sync::Notify;

use super::adopt::{self, Expected};
use super::args::{arguments, write_config};
use super::child::Child;
use super::claims::ClaimFiles;
use super::directory::{check_ours, end_all, lock, reset};
use super::front::{Front, Target};
use super::layout::Layout;
use super::listen::{check_ports, listen};
use super::ports::{BASE_DEFAULT, Ports};
use super::proc_table::ProcessId;
use super::secret;
use super::state::{PublishedStatus, State};
use crate::error::Error;
use crate::runtime::{Claimed, Runtime, Seen};

/// How long a server gets to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How a runtime is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// First port; that of the last time, or 7000.
    pub base_port: Option<u16>,
    /// Drop all data first.
    pub reset: bool,
}

/// What was found when a runtime was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Instances whose running processes were taken over.
    pub adopted: Vec<InstanceName>,
}

/// Instances as processes of this host.
#[derive(Debug)]
pub struct ProcessRuntime {
    layout: Layout,
    valid: Validated,
    ports: Ports,
    password: Option<String>,
    claims: ClaimFiles,
    children: BTreeMap<InstanceName, Arc<Child>>,
    fronts: BTreeMap<ServiceName, Front>,
    state: Mutex<State>,
    changed: Arc<Notify>,
    /// Held for as long as the runtime lives.
    _lock: File,
}

impl ProcessRuntime {
    /// Opens a directory for a resource: locks it, reads what is there, takes over what runs, listens.
    pub async fn open(
        root: &Path,
        valid: Validated,
        manifest: serde_json::Value,
        options: &Options,
    ) -> Result<(Self, Opened), Error> {
        std::fs::create_dir_all(root).map_err(|source| Error::Directory {
            path: root.into(),
            source,
        })?;
        let layout = Layout::new(root);
        check_ours(&layout)?;
        let root = root.canonicalize().map_err(Error::read(root))?;
        let layout = Layout::new(if layout.root() == root {
            layout.root()
        } else {
            &root
        });
        let lock = lock(&layout)?;
        let before = State::read(&layout)?;
        if options.reset {
            end_all(&layout, before.as_ref()).await?;
            reset(&layout)?;
        }
        let before = before.filter(|_| !options.reset);
        if let Some(state) = &before
            && state.resource != valid.name.as_str()
        {
            return Err(Error::ForeignDirectory {
                path: layout.root().into(),
                found: state.resource.clone(),
                wanted: valid.name.to_string(),
            });
        }
        let base = options
            .base_port
            .or(before.as_ref().map(|state| state.base_port));
        let ports = Ports::new(base.unwrap_or(BASE_DEFAULT))?;
        let password = match &valid.secret_name {
            Some(name) => Some(secret::read_or_create(&layout, name)?),
            None => None,
        };
        let fronts = listen(&valid, ports).await?;
        let state = State::new(
            valid.name.as_str(),
            ports.base(),
            ProcessId::own(),
            manifest,
        );
        let mut runtime = Self {
            claims: ClaimFiles::new(layout.clone()),
            layout,
            valid,
            ports,
            password,
            children: BTreeMap::new(),
            fronts,
            state: Mutex::new(state),
            changed: Arc::new(Notify::new()),
            _lock: lock,
        };
        let opened = runtime.take_over(before.as_ref()).await?;
        // What the last runtime published must not be taken for the word of this one.
        PublishedStatus::forget(&runtime.layout)?;
        runtime.record()?;
        Ok((runtime, opened))
    }

    /// Fills the table of children: every instance that can exist, with its process when one runs.
    async fn take_over(&mut self, before: Option<&State>) -> Result<Opened, Error> {
        let published = PublishedStatus::read(&self.layout).unwrap_or_default();
        let mut opened = Opened::default();
        for instance in self.possible_instances() {
            let address = self.ports.instance(&instance.name);
            let arguments = arguments(&self.valid, &self.layout, &instance, &address);
            let expected = Expected {
                name: &instance.name,
                arguments: &arguments,
                address: &address,
                password: self.password.as_deref(),
                recorded: before
                    .and_then(|state| state.processes.get(&instance.name))
                    .copied(),
            };
            let child = Arc::new(Child::new(instance.name.clone(), Arc::clone(&self.changed)));
            if let Some(id) = adopt::find(&self.layout, published.as_ref(), &expected).await? {
                child.adopt(id)?;
                opened.adopted.push(instance.name.clone());
            } else if instance.name.ordinal() <= self.valid.replicas {
                check_ports(&instance.name, &address).await?;
            }
            self.children.insert(instance.name, child);
        }
        Ok(opened)
    }

    /// Every instance that the specification may want, and every one that has a directory.
    fn possible_instances(&self) -> Vec<DesiredInstance> {
        let mut instances = Vec::new();
        for slot in &self.valid.slots {
            for ordinal in 0..=self.valid.replicas.max(5) {
                let name = self.valid.name.instance(&slot.name, ordinal);
                if ordinal <= self.valid.replicas || self.layout.instance(&name).exists() {
                    let (group, server_id) = (slot.name.clone(), slot.server_id);
                    instances.push(DesiredInstance {
                        name,
                        group,
                        server_id,
                    });
                }
            }
        }
        instances
    }

    /// Layout of the directory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where clients connect.
    pub fn service_addresses(&self) -> BTreeMap<ServiceName, Address> {
        self.ports.services(&self.valid.name)
    }

    /// Ends every process: asks all at once, and kills what does not end.
    pub async fn shut_down(&self) {
        for front in self.fronts.values() {
            front.switch(Vec::new());
        }
        let stops: Vec<_> = self
            .children
            .values()
            .map(|child| {
                let child = Arc::clone(child);
                tokio::spawn(async move { child.stop(STOP_PATIENCE).await })
            })
            .collect();
        for stop in stops {
            if let Ok(Err(error)) = stop.await {
                tracing::error!(error = %crate::error::chain(&error), "not stopped");
            }
        }
        if let Err(error) = self.record() {
            tracing::warn!(error = %crate::error::chain(&error), "state not written");
        }
    }

    fn child(&self, name: &InstanceName) -> Result<&Arc<Child>, Error> {
        self.children
            .get(name)
            .ok_or_else(|| Error::UnknownInstance(name.to_string()))
    }

    fn spawn(&self, instance: &DesiredInstance) -> Result<(), Error> {
        let child = self.child(&instance.name)?;
        let data = self.layout.data(&instance.name);
        std::fs::create_dir_all(&data).map_err(Error::write(&data))?;
        write_config(&self.layout, instance, self.password.as_deref())?;
        let address = self.ports.instance(&instance.name);
        let arguments = arguments(&self.valid, &self.layout, instance, &address);
        child.start(&arguments, &self.layout.instance_log(&instance.name))?;
        self.record()
    }

    /// Writes down which processes run.
    fn record(&self) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.processes = self
            .children
            .iter()
            .filter_map(|(name, child)| Some((name.clone(), child.running()?)))
            .collect();
        state.write(&self.layout)
    }
}

impl Runtime for ProcessRuntime {
    fn instances(&self) -> BTreeMap<InstanceName, Seen> {
        self.children
            .iter()
            .map(|(name, child)| {
                let (process, life) = child.process();
                (
                    name.clone(),
                    Seen {
                        ran_before: false,
                        process,
                        life,
                        address: self.ports.instance(name),
                        placement: Placement::default(),
                        settings: None,
                    },
                )
            })
            .collect()
    }

    async fn claims(&self) -> Result<BTreeMap<GroupName, Claim>, Error> {
        self.claims.read_all()
    }

    async fn claim(&self, step: &ClaimStep) -> Result<Claimed, Error> {
        self.claims.compare_and_swap(step)
    }

    fn services(&self) -> BTreeMap<ServiceName, Vec<InstanceName>> {
        self.fronts
            .iter()
            .map(|(name, front)| (name.clone(), front.targets()))
            .collect()
    }

    async fn switch(
        &self,
        services: &BTreeMap<ServiceName, Vec<InstanceName>>,
    ) -> Result<(), Error> {
        for (name, front) in &self.fronts {
            let targets = services.get(name).map_or(&[][..], Vec::as_slice);
            let targets = targets
                .iter()
                .map(|instance| Target {
                    instance: instance.clone(),
                    address: self.ports.instance(instance),
                })
                .collect();
            front.switch(targets);
        }
        Ok(())
    }

    async fn start(&self, instance: &DesiredInstance) -> Result<(), Error> {
        self.spawn(instance)
    }

    async fn restart(&self, instance: &DesiredInstance) -> Result<(), Error> {
        self.child(&instance.name)?.stop(Duration::ZERO).await?;
        self.spawn(instance)
    }

    async fn replace(&self, instance: &DesiredInstance) -> Result<(), Error> {
        self.child(&instance.name)?.stop(STOP_PATIENCE).await?;
        self.spawn(instance)
    }

    async fn stop(&self, instance: &InstanceName) -> Result<(), Error> {
        self.child(instance)?.stop(STOP_PATIENCE).await?;
        self.record()
    }

    fn passwords(&self) -> Vec<String> {
        self.password.clone().into_iter().collect()
    }

    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
