//! A world in a few lines of YAML, turned into what a plan is made from.
//!
//! ```yaml
//! spec: {replicasPerMaster: 1}
//! claims: {a: {epoch: 1, instance: dm-a-0}}
//! services: {dm-rw: [dm-a-0]}
//! instances:
//!   dm-a-0: {exited: 5, role: double_master, epoch: 1, holds: {1: 100, 2: 40}}
//!   dm-a-1: {role: replica, epoch: 1, follows: dm-a-0, holds: {1: 99, 2: 40}}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tandem_api::{DoubleMaster, DoubleMasterSpec, GroupName, InstanceName, ServiceName};
use tandem_plan::claim::Passed;
use tandem_plan::double_master::{DoubleMasterPlan, plan, validate};
use tandem_plan::observed::is_writer;
use tandem_plan::{
    Address, Answer, Attempt, Claim, InstanceObservation, Observed, Placement, Process, Request,
    Retained,
};
use tandem_proto::status::{
    DatabaseStatus, InstanceStatus, LinkKind, LinkState, LinkStatus, Role, VvRow,
};

const NOW_MS: u64 = 1_000_000_000;
const RUNNING_MS: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(default)]
    spec: Option<DoubleMasterSpec>,
    #[serde(default)]
    claims: BTreeMap<GroupName, ClaimFixture>,
    #[serde(default)]
    services: BTreeMap<ServiceName, Vec<InstanceName>>,
    #[serde(default)]
    attempts: BTreeMap<String, Attempt>,
    #[serde(default)]
    instances: BTreeMap<InstanceName, InstanceFixture>,
    #[serde(default)]
    requests: Vec<Request>,
    #[serde(default)]
    retained: BTreeMap<InstanceName, Retained>,
    #[serde(default)]
    sent_to: BTreeSet<InstanceName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimFixture {
    epoch: u64,
    instance: InstanceName,
    #[serde(default = "minute")]
    age: u64,
    #[serde(default)]
    by_silence: bool,
    from: Option<InstanceName>,
    #[serde(default)]
    passed: Vec<Passed>,
}

fn minute() -> u64 {
    RUNNING_MS
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one word of a fixture"
)]
struct InstanceFixture {
    /// Milliseconds since its process ended.
    exited: Option<u64>,
    quick_exits: u32,
    absent: bool,
    /// Milliseconds since its process started.
    running: u64,
    /// Never answered.
    mute: bool,
    /// Milliseconds since its last answer.
    age: u64,
    missed: u32,
    /// It ran before the operator came.
    ran_before: bool,
    busy: Option<String>,
    placement: Placement,
    settings: Option<BTreeMap<String, String>>,
    /// Its process cannot be seen.
    unknown: bool,
    role: Role,
    epoch: u64,
    holds: BTreeMap<u32, u64>,
    follows: Option<InstanceName>,
    peer: Option<InstanceName>,
    /// State of its link.
    link: LinkState,
    /// Milliseconds since its last contact over that link.
    contact: u64,
    not_eligible: Option<String>,
    priority: u32,
    read_only: bool,
    poisoned: bool,
    volume_full: bool,
    unsynced: u64,
    members: Vec<u32>,
}

impl Default for InstanceFixture {
    fn default() -> Self {
        Self {
            exited: None,
            quick_exits: 0,
            absent: false,
            running: RUNNING_MS,
            mute: false,
            age: 20,
            missed: 0,
            ran_before: false,
            busy: None,
            placement: Placement::default(),
            settings: None,
            unknown: false,
            role: Role::Waiting,
            epoch: 0,
            holds: BTreeMap::new(),
            follows: None,
            peer: None,
            link: LinkState::Streaming,
            contact: 30,
            not_eligible: None,
            priority: 100,
            read_only: false,
            poisoned: false,
            volume_full: false,
            unsynced: 0,
            members: vec![1, 2],
        }
    }
}

/// The plan of a fixture.
pub(crate) fn plan_of(yaml: &str) -> DoubleMasterPlan {
    let fixture: Fixture = serde_yaml::from_str(yaml).expect("a fixture");
    let spec = fixture
        .spec
        .unwrap_or_else(|| serde_json::from_str("{}").expect("defaults"));
    let valid = validate(&DoubleMaster::new("dm", spec)).expect("a valid specification");
    let observed = Observed {
        instances: fixture
            .instances
            .into_iter()
            .map(|(name, fixture)| {
                let seen = observation(&name, fixture);
                (name, seen)
            })
            .collect(),
        claims: fixture
            .claims
            .into_iter()
            .map(|(group, claim)| {
                let at_ms = NOW_MS - claim.age;
                (
                    group,
                    Claim {
                        epoch: claim.epoch,
                        instance: claim.instance,
                        at_ms,
                        by_silence: claim.by_silence,
                        from: claim.from,
                        passed: claim.passed,
                    },
                )
            })
            .collect(),
        services: fixture.services,
        attempts: fixture.attempts,
        requests: fixture.requests,
        retained: fixture.retained,
        sent_to: fixture.sent_to,
    };
    plan(&valid, &observed, &[], NOW_MS)
}

/// The same as text, less the last line when it says nothing of interest.
pub(crate) fn text_of(yaml: &str) -> String {
    plan_of(yaml).to_string()
}

fn address(name: &InstanceName) -> Address {
    let slot = if name.as_str().contains("-b-") {
        21
    } else {
        11
    };
    Address {
        host: "h".into(),
        port: 7000 + slot + u16::from(name.ordinal()),
    }
}

fn observation(name: &InstanceName, fixture: InstanceFixture) -> InstanceObservation {
    let process = match fixture.exited {
        _ if fixture.absent => Process::Absent,
        _ if fixture.unknown => Process::Unknown,
        Some(age_ms) => Process::Exited {
            age_ms,
            quick_exits: fixture.quick_exits,
            how: "killed (signal 9)".into(),
        },
        None => Process::Running {
            age_ms: fixture.running,
        },
    };
    let has_answer = !fixture.mute && !fixture.absent;
    let age_ms = fixture.exited.unwrap_or(0) + fixture.age;
    InstanceObservation {
        process,
        address: address(name),
        silent_ms: if fixture.mute {
            fixture.running
        } else {
            age_ms
        },
        missed_probes: fixture.missed,
        unsynced_ms: fixture.unsynced,
        ran_before: fixture.ran_before,
        busy: fixture.busy.clone(),
        placement: fixture.placement.clone(),
        settings: fixture.settings.clone(),
        answer: has_answer.then(|| Answer {
            status: status(name, fixture),
            age_ms,
        }),
    }
}

fn status(name: &InstanceName, fixture: InstanceFixture) -> InstanceStatus {
    let server_id = if name.as_str().contains("-b-") { 2 } else { 1 };
    let link = |kind, source: &InstanceName| LinkStatus {
        kind,
        host: address(source).host,
        port: address(source).port,
        server_id: 0,
        instance_id: source.to_string(),
        state: fixture.link,
        reason: String::new(),
        last_contact_ms: Some(fixture.contact),
        lag_records: 0,
        full_resyncs: 0,
        partial_resyncs: 0,
    };
    let links = fixture
        .follows
        .iter()
        .map(|source| link(LinkKind::Replica, source))
        .chain(
            fixture
                .peer
                .iter()
                .map(|source| link(LinkKind::Peer, source)),
        )
        .collect();
    let version_vector = fixture
        .holds
        .iter()
        .map(|(server_id, high)| VvRow {
            server_id: *server_id,
            epoch: 1,
            incarnation: "0000000000000001".into(),
            high: *high,
            holes: Vec::new(),
        })
        .collect();
    InstanceStatus {
        format: 1,
        instance_id: name.to_string(),
        cluster_id: "c".into(),
        server_id,
        epoch: fixture.epoch,
        incarnation: None,
        role: fixture.role,
        writable: is_writer(fixture.role)
            && !fixture.read_only
            && !fixture.poisoned
            && !fixture.volume_full,
        not_writable_reason: fixture
            .volume_full
            .then(|| "no space left for the log".into()),
        eligible: fixture.not_eligible.is_none(),
        not_eligible_reason: fixture.not_eligible,
        priority: fixture.priority,
        now_ms: NOW_MS,
        uptime_ms: fixture.running,
        pid: 1,
        databases: vec![DatabaseStatus {
            database: 0,
            version_vector,
            segment: 0,
            offset: 0,
            keys: 0,
        }],
        links,
        receivers: Vec::new(),
        members: fixture.members,
        last_sync_age_ms: 0,
        poisoned: fixture.poisoned,
        volume_full: fixture.volume_full,
        clock_skew_ms: 0,
    }
}
