//! Simulated instances: what each was told, and what it says of itself. No threads, no sockets.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use serde_json::json;
use tandem_proto::status::{
    DatabaseStatus, InstanceStatus, LinkKind, LinkState, LinkStatus, ReceiverStatus, Role, VvRow,
};

const PORT: u16 = 6379;
/// Records of each life of a writer, before clients write more.
const RECORDS: u64 = 1000;
/// Bytes of log that a record takes.
const RECORD_BYTES: u64 = 130;

/// An answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Ok,
    /// A text.
    Text(String),
    /// Refused.
    Error(String),
}

/// One instance.
#[derive(Debug, Clone)]
struct Instance {
    address: IpAddr,
    topology: String,
    id: String,
    server_id: u32,
    epoch: u64,
    role: Role,
    incarnation: Option<String>,
    source: Option<IpAddr>,
    peer: Option<(IpAddr, u32)>,
    members: Vec<u32>,
}

/// All instances of a run.
#[derive(Debug)]
pub struct Instances {
    begun: Instant,
    by_pod: BTreeMap<String, Instance>,
    by_address: HashMap<IpAddr, String>,
    topologies: HashMap<String, Topology>,
    lives: u64,
    is_written: bool,
}

/// What the instances of a resource share.
#[derive(Debug, Default)]
struct Topology {
    pods: Vec<String>,
    lives: Vec<VvRow>,
    written: u64,
}

impl Default for Instances {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            by_pod: BTreeMap::new(),
            by_address: HashMap::new(),
            topologies: HashMap::new(),
            lives: 0,
            is_written: false,
        }
    }
}

impl Instances {
    /// A pod has got an address; its instance boots, with what its volume holds.
    pub fn boot(&mut self, topology: &str, pod: &str, server_id: u32, address: IpAddr) {
        let number = self.by_pod.len() as u64 + 1;
        let instance = self.by_pod.entry(pod.into()).or_insert_with(|| Instance {
            address,
            topology: topology.into(),
            id: format!("{number:016x}"),
            server_id,
            epoch: 0,
            role: Role::Waiting,
            incarnation: None,
            source: None,
            peer: None,
            members: Vec::new(),
        });
        self.by_address.remove(&instance.address);
        instance.address = address;
        instance.role = Role::Waiting;
        instance.incarnation = None;
        self.by_address.insert(address, pod.into());
        let pods = &mut self.topologies.entry(topology.into()).or_default().pods;
        if !pods.iter().any(|known| known == pod) {
            pods.push(pod.into());
        }
    }

    /// Whether clients write: positions move from answer to answer.
    pub fn write(&mut self, is_written: bool) {
        self.is_written = is_written;
    }

    /// Answers a command that came to `address`.
    pub fn answer(&mut self, address: IpAddr, words: &[&str]) -> Answer {
        let Some(pod) = self.by_address.get(&address).cloned() else {
            return Answer::Error("ERR nobody lives here".into());
        };
        let upper: Vec<String> = words.iter().take(2).map(|w| w.to_uppercase()).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        let done = match upper.as_slice() {
            ["TANDEM", "STATUS"] => Some(self.status(&pod)),
            ["TANDEM", "PROMOTE"] => self.promote(&pod, &words[2..]),
            ["TANDEM", "FOLLOW"] => self.follow(&pod, &words[2..]),
            ["TANDEM", "PEER"] => self.peer(&pod, &words[2..]),
            ["TANDEM", "MEMBERS"] => {
                let members = words[2..].iter().filter_map(|word| word.parse().ok());
                self.with(&pod, |instance| instance.members = members.collect())
            }
            ["TANDEM", _] => None,
            _ => Some(Answer::Ok),
        };
        done.unwrap_or_else(|| Answer::Error(format!("ERR not understood: {words:?}")))
    }

    fn with(&mut self, pod: &str, change: impl FnOnce(&mut Instance)) -> Option<Answer> {
        change(self.by_pod.get_mut(pod)?);
        Some(Answer::Ok)
    }

    fn promote(&mut self, pod: &str, words: &[&str]) -> Option<Answer> {
        let epoch: u64 = words.first()?.parse().ok()?;
        self.lives += 1;
        let incarnation = format!("{:016x}", self.lives);
        let instance = self.by_pod.get_mut(pod)?;
        if epoch < instance.epoch {
            return Some(Answer::Error("ERR a higher epoch is known".into()));
        }
        instance.epoch = epoch;
        instance.incarnation = Some(incarnation.clone());
        instance.source = None;
        instance.role = if instance.peer.is_some() {
            Role::DoubleMaster
        } else {
            Role::Primary
        };
        let life = VvRow {
            server_id: instance.server_id,
            epoch,
            incarnation: incarnation.clone(),
            high: RECORDS,
            holes: Vec::new(),
        };
        let topology = self.topologies.get_mut(&instance.topology)?;
        topology.lives.push(life);
        let answer = json!({"epoch": epoch, "incarnation": incarnation, "collected_records": 0, "elapsed_ms": 1});
        Some(Answer::Text(answer.to_string()))
    }

    fn follow(&mut self, pod: &str, words: &[&str]) -> Option<Answer> {
        let epoch = words.first()?.parse().ok()?;
        let source = words.get(1)?.parse().ok()?;
        self.with(pod, |instance| {
            instance.epoch = epoch;
            instance.role = Role::Replica;
            instance.incarnation = None;
            instance.source = Some(source);
        })
    }

    fn peer(&mut self, pod: &str, words: &[&str]) -> Option<Answer> {
        let peer = (words.first()?.parse().ok()?, words.get(2)?.parse().ok()?);
        self.with(pod, |instance| {
            instance.peer = Some(peer);
            if instance.role == Role::Primary {
                instance.role = Role::DoubleMaster;
            }
        })
    }

    /// Whom an instance pulls from.
    fn sources(instance: &Instance) -> Vec<(LinkKind, IpAddr)> {
        match (instance.role, instance.source, instance.peer) {
            (Role::Replica, Some(source), _) => vec![(LinkKind::Replica, source)],
            (Role::DoubleMaster, _, Some((peer, _))) => vec![(LinkKind::Peer, peer)],
            _ => Vec::new(),
        }
    }

    fn status(&mut self, pod: &str) -> Answer {
        let Some(found) = self.status_of(pod) else {
            return Answer::Error("ERR nobody lives here".into());
        };
        match serde_json::to_string(&found) {
            Ok(text) => Answer::Text(text),
            Err(error) => Answer::Error(format!("ERR {error}")),
        }
    }

    fn status_of(&mut self, pod: &str) -> Option<InstanceStatus> {
        let name = self.by_pod.get(pod)?.topology.clone();
        let topology = self.topologies.get_mut(&name)?;
        if self.is_written {
            topology.written += 1;
        }
        let topology = self.topologies.get(&name)?;
        let instance = self.by_pod.get(pod)?;
        let is_writer = matches!(instance.role, Role::Primary | Role::DoubleMaster);
        let now_ms = self.begun.elapsed().as_millis() as u64;
        Some(InstanceStatus {
            format: 1,
            instance_id: instance.id.clone(),
            cluster_id: format!("{:0>40}", instance.topology.len()),
            server_id: instance.server_id,
            epoch: instance.epoch,
            incarnation: instance.incarnation.clone(),
            role: instance.role,
            writable: is_writer,
            not_writable_reason: (!is_writer).then(|| "not a writer".into()),
            eligible: true,
            not_eligible_reason: None,
            priority: 100,
            now_ms,
            uptime_ms: now_ms,
            pid: 1,
            databases: databases(topology),
            links: self.links(instance),
            receivers: self.receivers(instance, topology),
            members: instance.members.clone(),
            last_sync_age_ms: 10,
            poisoned: false,
            volume_full: false,
            clock_skew_ms: 0,
        })
    }

    fn links(&self, instance: &Instance) -> Vec<LinkStatus> {
        let link = |(kind, address): (LinkKind, IpAddr)| {
            let source = self.at(address);
            let is_up = source.is_some_and(|source| source.incarnation.is_some());
            LinkStatus {
                kind,
                host: address.to_string(),
                port: PORT,
                server_id: source.map_or(0, |source| source.server_id),
                instance_id: source.map_or_else(String::new, |source| source.id.clone()),
                state: if is_up {
                    LinkState::Streaming
                } else {
                    LinkState::Connecting
                },
                reason: String::new(),
                last_contact_ms: is_up.then_some(5),
                lag_records: 0,
                full_resyncs: 0,
                partial_resyncs: 1,
            }
        };
        Self::sources(instance).into_iter().map(link).collect()
    }

    fn receivers(&self, instance: &Instance, topology: &Topology) -> Vec<ReceiverStatus> {
        if instance.incarnation.is_none() {
            return Vec::new();
        }
        let others = topology.pods.iter().filter_map(|pod| self.by_pod.get(pod));
        others
            .flat_map(|other| {
                let sources = Self::sources(other).into_iter();
                sources
                    .filter(|(_, source)| *source == instance.address)
                    .map(|(kind, _)| ReceiverStatus {
                        kind,
                        host: other.address.to_string(),
                        port: PORT,
                        server_id: other.server_id,
                        instance_id: other.id.clone(),
                        state: LinkState::Streaming,
                        lag_bytes: 0,
                        lag_records: 0,
                        last_ack_ms: 5,
                        last_durable_ms: 5,
                        echoes: 0,
                    })
            })
            .collect()
    }

    fn at(&self, address: IpAddr) -> Option<&Instance> {
        self.by_pod.get(self.by_address.get(&address)?)
    }
}

/// One database, which every instance of the resource holds whole.
fn databases(topology: &Topology) -> Vec<DatabaseStatus> {
    let mut rows = topology.lives.clone();
    let Some(newest) = rows.last_mut() else {
        return Vec::new();
    };
    newest.high += topology.written;
    let records: u64 = rows.iter().map(|row| row.high).sum();
    vec![DatabaseStatus {
        database: 0,
        version_vector: rows,
        segment: 1,
        offset: records * RECORD_BYTES,
        keys: records,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(all: &mut Instances, address: IpAddr) -> InstanceStatus {
        match all.answer(address, &["TANDEM", "STATUS"]) {
            Answer::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pair_forms_as_it_is_told_to() {
        let mut all = Instances::default();
        let at: Vec<IpAddr> = (1..=3)
            .map(|n| format!("10.9.0.{n}").parse().unwrap())
            .collect();
        all.boot("dm", "dm-a-0", 1, at[0]);
        all.boot("dm", "dm-a-1", 1, at[1]);
        all.boot("dm", "dm-b-0", 2, at[2]);
        assert_eq!(status(&mut all, at[0]).role, Role::Waiting);

        let promoted = all.answer(at[0], &["TANDEM", "PROMOTE", "1", "TIMEOUT", "100"]);
        assert!(matches!(promoted, Answer::Text(_)), "{promoted:?}");
        all.answer(at[2], &["TANDEM", "PROMOTE", "1"]);
        all.answer(at[0], &["TANDEM", "PEER", "10.9.0.3", "6379", "2"]);
        all.answer(at[1], &["TANDEM", "FOLLOW", "1", "10.9.0.1", "6379"]);

        let writer = status(&mut all, at[0]);
        assert_eq!(writer.role, Role::DoubleMaster);
        assert_eq!(writer.links[0].state, LinkState::Streaming);
        assert_eq!(writer.receivers.len(), 1, "its replica");
        let replica = status(&mut all, at[1]);
        assert_eq!(replica.links[0].kind, LinkKind::Replica);
        assert_eq!(replica.databases, writer.databases);
    }

    #[test]
    fn positions_move_only_while_clients_write() {
        let mut all = Instances::default();
        let address: IpAddr = "10.9.0.1".parse().unwrap();
        all.boot("dm", "dm-a-0", 1, address);
        all.answer(address, &["TANDEM", "PROMOTE", "1"]);
        let offset = |all: &mut Instances| status(all, address).databases[0].offset;
        assert_eq!(offset(&mut all), offset(&mut all));
        all.write(true);
        assert!(offset(&mut all) < offset(&mut all));
    }
}
