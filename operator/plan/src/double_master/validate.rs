//! From the raw object to values that nothing later has to check again.

use std::collections::BTreeMap;

use tandem_api::double_master::{DoubleMaster, LIVE_KEYS, ReclaimPolicy, live_key};
use tandem_api::{GroupName, InstanceName, ResourceName};

use super::bounds::{check_config, check_intervals, check_words};
use super::invalid::{InvalidSpec, REPLICAS_MAX, SERVER_ID_MAX};
use crate::claim::Claim;
use crate::timing::Timing;

/// The server's key for the durable acks.
const ACKS_KEY: &str = "min-replicas-to-write";

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
    /// The instances of a slot: `replicas` + 1, the lowest ordinals, and the holder of the claim, which
    /// stays until another one has taken its role.
    pub fn instances(&self, slot: &Slot, claim: Option<&Claim>) -> Vec<InstanceName> {
        let mut names: Vec<InstanceName> = (0..=self.replicas)
            .map(|ordinal| self.name.instance(&slot.name, ordinal))
            .collect();
        if let Some(claim) = claim
            && !names.contains(&claim.instance)
        {
            names.push(claim.instance.clone());
        }
        names
    }

    /// Settings that apply live and differ from what an instance has; one that is no longer stated
    /// goes back to the server's default.
    pub fn settings_to_apply(&self, have: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let first_spelling =
            |key: &str| live_key(key).map_or(key.to_string(), |key| key.name.into());
        let have: BTreeMap<String, &String> = have
            .iter()
            .map(|(key, value)| (first_spelling(key), value))
            .collect();
        let stated: BTreeMap<String, &String> = self
            .config
            .iter()
            .map(|(key, value)| (first_spelling(key), value))
            .collect();
        let defaults = LIVE_KEYS.iter().map(|key| (key.name, key.default));
        let acks = self.durable_acks.to_string();
        defaults
            .chain([(ACKS_KEY, acks.as_str())])
            .filter_map(|(key, default)| {
                let wanted = stated.get(key).map_or(default, |value| value.as_str());
                let is_due = match have.get(key) {
                    Some(value) => value.as_str() != wanted,
                    None => stated.contains_key(key) || (key == ACKS_KEY && wanted != "0"),
                };
                is_due.then(|| (key.to_string(), wanted.to_string()))
            })
            .collect()
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
    check_intervals(&timing)?;
    check_words(spec)?;
    let auth = spec.auth.as_ref();
    let secret_name = auth.map(|auth| auth.secret_of(name.as_str()));
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
        secret_name,
        durable_acks: acks,
        timing,
        reclaim_policy: spec.reclaim_policy,
        pause: spec.pause,
    })
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
                r#"{"failover": {"linkTimeoutMs": 0}}"#,
                "linkTimeoutMs is 0; give milliseconds from 100",
            ),
            (
                r#"{"failover": {"restartHungMs": 10}}"#,
                "restartHungMs is 10",
            ),
            (r#"{"storage": {"size": "10GB"}}"#, "such as 20Gi"),
            (r#"{"storage": {"size": "1.Gi"}}"#, "size is `1.Gi`"),
            (
                r#"{"auth": {"secretName": "../x"}}"#,
                "secretName is `../x`",
            ),
            (r#"{"auth": {"secretName": "a/b"}}"#, "secretName is `a/b`"),
            (
                r#"{"failover": {"hangTimeoutMs": 400}}"#,
                "hangTimeoutMs is 400",
            ),
            (r#"{"failover": {"openMs": 999}}"#, "openMs is 999; give"),
            (
                r#"{"failover": {"openMs": 3000, "collectMs": 2500}}"#,
                "openMs is 3000, and a promotion",
            ),
        ];
        for (spec, wanted) in cases {
            let error = validate(&object(spec)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{spec}: {error}");
        }
    }

    #[test]
    fn the_time_to_open_follows_from_the_other_intervals_unless_it_is_stated() {
        let open_ms = |spec: &str| validate(&object(spec)).unwrap().timing.open_ms;
        assert_eq!(open_ms("{}"), 5200);
        assert_eq!(open_ms(r#"{"failover": {"collectMs": 9000}}"#), 13_200);
        assert_eq!(
            open_ms(r#"{"failover": {"collectMs": 0, "assembleMs": 0}}"#),
            2000
        );
        assert_eq!(open_ms(r#"{"failover": {"openMs": 7000}}"#), 7000);
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
            from: None,
            passed: Vec::new(),
        };
        let lowest = valid.name.instance(&slot.name, 0);
        assert_eq!(
            valid.instances(slot, Some(&claim)),
            [lowest.clone(), holder]
        );
        assert_eq!(valid.instances(slot, None), [lowest]);
    }

    #[test]
    fn settings_that_differ_are_applied_and_removed_ones_return_to_their_default() {
        let spec = r#"{"config": {"maxmemory": "1gb", "slave-priority": "5", "databases": "4"},
            "sync": {"durableAcks": 1}}"#;
        let valid = validate(&object(spec)).unwrap();
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        };
        let all = map(&[
            ("maxmemory", "1gb"),
            ("min-replicas-to-write", "1"),
            ("replica-priority", "5"),
        ]);
        assert_eq!(valid.settings_to_apply(&BTreeMap::new()), all);
        assert_eq!(valid.settings_to_apply(&all), BTreeMap::new());
        let mut more = all;
        more.insert("hz".into(), "50".into());
        assert_eq!(valid.settings_to_apply(&more), map(&[("hz", "10")]));
    }
}
