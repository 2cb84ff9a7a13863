//! From the raw object to values that nothing later has to check again.

use std::collections::BTreeMap;

use tandem_api::double_master::{DoubleMaster, ReclaimPolicy};
use tandem_api::{GroupName, InstanceName, NameError, ResourceName};

use crate::claim::Claim;
use crate::timing::Timing;

/// Configuration keys that the operator sets itself.
pub const OPERATOR_KEYS: [&str; 15] = [
    "port",
    "bind",
    "dir",
    "server-id",
    "requirepass",
    "masterauth",
    "slaveof",
    "replicaof",
    "boot-role",
    "config",
    "double-master-ip",
    "double-master-port",
    "double-master-server-id",
    "min-replicas-to-write",
    "min-slaves-to-write",
];

const REPLICAS_MAX: u8 = 5;
const SERVER_ID_MAX: u32 = 127;

/// A specification that cannot be planned for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// metadata.name is absent or unusable.
    #[error("metadata.name cannot be used")]
    Name(#[source] NameError),
    /// replicasPerMaster is out of range.
    #[error("spec.replicasPerMaster is {found}, at most {REPLICAS_MAX} are possible")]
    Replicas {
        /// The refused number.
        found: u8,
    },
    /// A server id is out of range.
    #[error("spec.serverIds.{slot} is {found}; a server id is 1..{SERVER_ID_MAX}")]
    ServerId {
        /// The slot.
        slot: &'static str,
        /// The refused id.
        found: u32,
    },
    /// Both slots have one id.
    #[error("spec.serverIds: both slots have {found}; give them different ids")]
    EqualServerIds {
        /// The id.
        found: u32,
    },
    /// A configuration key that the operator sets.
    #[error("spec.config has `{key}`, which belongs to the operator; remove it")]
    OperatorKey {
        /// The key.
        key: String,
    },
    /// A configuration key or value that cannot stand on one line.
    #[error("spec.config has `{key}`, which is no configuration key with a one-line value")]
    MalformedKey {
        /// The key.
        key: String,
    },
    /// More acks asked for than there are replicas.
    #[error(
        "spec.sync.durableAcks is {acks}, but there are {replicas} replicas: no write would ever \
         be taken"
    )]
    TooManyAcks {
        /// Acks.
        acks: u8,
        /// Replicas.
        replicas: u8,
    },
    /// The hang timeout does not span two probes.
    #[error(
        "spec.failover.hangTimeoutMs is {hang_ms}, at least two probes of {probe_ms} ms have to \
         fit into it"
    )]
    HangTimeout {
        /// Hang timeout.
        hang_ms: u64,
        /// Probe interval.
        probe_ms: u64,
    },
}

/// One of the two slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `a` or `b`.
    pub name: GroupName,
    /// Its server id.
    pub server_id: u32,
}

/// A specification that can be planned for.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    /// The resource's name.
    pub name: ResourceName,
    /// Generation of the object.
    pub generation: i64,
    /// The slots, `a` first.
    pub slots: [Slot; 2],
    /// Replicas behind each master.
    pub replicas: u8,
    /// Configuration of each instance, beyond what the operator sets.
    pub config: BTreeMap<String, String>,
    /// Secret that holds the password.
    pub secret_name: Option<String>,
    /// Replicas that must be in durable contact for a write.
    pub durable_acks: u8,
    /// Intervals.
    pub timing: Timing,
    /// Whether the data goes with the resource.
    pub reclaim_policy: ReclaimPolicy,
    /// Observe only.
    pub pause: bool,
}

impl Validated {
    /// The instances of a slot: `replicas` + 1, the lowest ordinals, but always with the holder of
    /// the claim, so that scaling down never takes the primary.
    pub fn instances(&self, slot: &Slot, claim: Option<&Claim>) -> Vec<InstanceName> {
        let mut names: Vec<InstanceName> = (0..=self.replicas)
            .map(|ordinal| self.name.instance(&slot.name, ordinal))
            .collect();
        if let Some(claim) = claim
            && !names.contains(&claim.instance)
        {
            names.pop();
            names.push(claim.instance.clone());
        }
        names
    }

    /// Server ids of both slots, in order.
    pub fn server_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.slots.iter().map(|slot| slot.server_id).collect();
        ids.sort_unstable();
        ids
    }
}

/// Checks an object.
pub fn validate(object: &DoubleMaster) -> Result<Validated, InvalidSpec> {
    let spec = &object.spec;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let name = ResourceName::parse(name).map_err(InvalidSpec::Name)?;
    if spec.replicas_per_master > REPLICAS_MAX {
        return Err(InvalidSpec::Replicas {
            found: spec.replicas_per_master,
        });
    }
    let ids = spec.server_ids;
    for (slot, found) in [("a", ids.a), ("b", ids.b)] {
        if found == 0 || found > SERVER_ID_MAX {
            return Err(InvalidSpec::ServerId { slot, found });
        }
    }
    if ids.a == ids.b {
        return Err(InvalidSpec::EqualServerIds { found: ids.a });
    }
    check_config(&spec.config)?;
    let acks = spec.sync.durable_acks;
    if acks > spec.replicas_per_master {
        return Err(InvalidSpec::TooManyAcks {
            acks,
            replicas: spec.replicas_per_master,
        });
    }
    let timing = Timing::from(&spec.failover);
    if timing.probe_interval_ms == 0 || timing.hang_ms < 2 * timing.probe_interval_ms {
        return Err(InvalidSpec::HangTimeout {
            hang_ms: timing.hang_ms,
            probe_ms: timing.probe_interval_ms,
        });
    }
    Ok(Validated {
        name,
        generation: object.metadata.generation.unwrap_or(1),
        slots: [
            Slot {
                name: GroupName::a(),
                server_id: ids.a,
            },
            Slot {
                name: GroupName::b(),
                server_id: ids.b,
            },
        ],
        replicas: spec.replicas_per_master,
        config: spec.config.clone(),
        secret_name: spec.auth.as_ref().map(|auth| auth.secret_name.clone()),
        durable_acks: acks,
        timing,
        reclaim_policy: spec.reclaim_policy,
        pause: spec.pause,
    })
}

fn check_config(config: &BTreeMap<String, String>) -> Result<(), InvalidSpec> {
    for (key, value) in config {
        if OPERATOR_KEYS.contains(&key.as_str()) {
            return Err(InvalidSpec::OperatorKey { key: key.clone() });
        }
        let is_word = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_word || key.starts_with('-') || value.chars().any(char::is_control) {
            return Err(InvalidSpec::MalformedKey { key: key.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tandem_api::DoubleMasterSpec;

    use super::*;

    fn object(spec: &str) -> DoubleMaster {
        let spec: DoubleMasterSpec = serde_json::from_str(spec).unwrap();
        DoubleMaster::new("dm", spec)
    }

    #[test]
    fn what_cannot_be_planned_for_is_refused_with_the_field() {
        let cases = [
            (r#"{"replicasPerMaster": 6}"#, "spec.replicasPerMaster is 6"),
            (r#"{"serverIds": {"a": 3, "b": 3}}"#, "both slots have 3"),
            (
                r#"{"serverIds": {"a": 0, "b": 3}}"#,
                "spec.serverIds.a is 0",
            ),
            (
                r#"{"serverIds": {"a": 1, "b": 128}}"#,
                "spec.serverIds.b is 128",
            ),
            (
                r#"{"config": {"port": "1"}}"#,
                "`port`, which belongs to the operator",
            ),
            (r#"{"config": {"Bad Key": "1"}}"#, "`Bad Key`"),
            (r#"{"config": {"maxmemory": "1\nport 2"}}"#, "`maxmemory`"),
            (r#"{"sync": {"durableAcks": 2}}"#, "no write would ever"),
            (
                r#"{"failover": {"hangTimeoutMs": 400}}"#,
                "hangTimeoutMs is 400",
            ),
        ];
        for (spec, wanted) in cases {
            let error = validate(&object(spec)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{spec}: {error}");
        }
    }

    #[test]
    fn scaling_down_keeps_the_primary() {
        let valid = validate(&object(r#"{"replicasPerMaster": 0}"#)).unwrap();
        let slot = &valid.slots[0];
        let holder = valid.name.instance(&slot.name, 2);
        let claim = Claim {
            epoch: 4,
            instance: holder.clone(),
            at_ms: 0,
            by_silence: false,
        };
        assert_eq!(valid.instances(slot, Some(&claim)), [holder]);
        assert_eq!(
            valid.instances(slot, None),
            [valid.name.instance(&slot.name, 0)]
        );
    }
}
