//! Claims as Leases: one per group, replaced by compare-and-swap on the resource version.
//!
//! ```text
//! holderIdentity = instance   leaseTransitions = epoch   renewTime = when   the rest: annotations
//! ```

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tandem_api::labels;
use tandem_api::{GroupName, InstanceName};
use tandem_plan::Claim;
use tandem_plan::outcome::ClaimStep;

use super::names::{
    self, BY_SILENCE, CLAIMED_AT, CLAIMED_FROM, FIELD_OWNER, PASSED_OVER, slot_labels,
};
use super::wanted::Wanted;
use super::world::World;
use crate::error::Error;
use crate::runtime::Claimed;

/// The claim in a Lease; `None` when it holds none that can be read.
pub fn read(lease: &Lease) -> Option<Claim> {
    let spec = lease.spec.as_ref()?;
    let annotations = lease.metadata.annotations.as_ref();
    let annotation = |key: &str| annotations.and_then(|all| all.get(key));
    let instance = InstanceName::parse(spec.holder_identity.as_deref()?).ok()?;
    let epoch = annotation(labels::EPOCH)
        .and_then(|text| text.parse().ok())
        .or_else(|| spec.lease_transitions.map(|epoch| epoch as u64))?;
    Some(Claim {
        epoch,
        instance,
        at_ms: annotation(CLAIMED_AT)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        by_silence: annotation(BY_SILENCE).is_some_and(|text| text == "true"),
        from: annotation(CLAIMED_FROM).and_then(|text| InstanceName::parse(text).ok()),
        passed: annotation(PASSED_OVER)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default(),
    })
}

/// The group of a Lease.
pub fn group(lease: &Lease) -> Option<GroupName> {
    GroupName::parse(lease.metadata.labels.as_ref()?.get(labels::SLOT)?).ok()
}

/// Writes a claim over what is in `lease`; whatever else is there stays.
fn write(wanted: &Wanted, mut lease: Lease, step: &ClaimStep) -> Lease {
    let claim = &step.claim;
    lease.metadata.name = Some(names::claim(&wanted.valid.name, &step.group));
    lease.metadata.namespace = Some(wanted.key.namespace.clone());
    lease.metadata.managed_fields = None;
    lease.metadata.owner_references = Some(vec![wanted.owner.clone()]);
    let all_labels = lease.metadata.labels.get_or_insert_default();
    all_labels.extend(slot_labels(&wanted.valid.name, &step.group));
    let annotations = lease.metadata.annotations.get_or_insert_default();
    annotations.insert(labels::EPOCH.into(), claim.epoch.to_string());
    annotations.insert(CLAIMED_AT.into(), claim.at_ms.to_string());
    annotations.insert(BY_SILENCE.into(), claim.by_silence.to_string());
    let passed = serde_json::to_string(&claim.passed).ok();
    let rest = [
        (CLAIMED_FROM, claim.from.as_ref().map(ToString::to_string)),
        (PASSED_OVER, passed.filter(|_| !claim.passed.is_empty())),
    ];
    for (key, value) in rest {
        match value {
            Some(value) => annotations.insert(key.into(), value),
            None => annotations.remove(key),
        };
    }
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    spec.holder_identity = Some(claim.instance.to_string());
    spec.lease_transitions = Some(i32::try_from(claim.epoch).unwrap_or(i32::MAX));
    let at = Timestamp::from_millisecond(claim.at_ms as i64).unwrap_or_default();
    spec.renew_time = Some(MicroTime(at));
    lease
}

/// The claims of one resource.
#[derive(Debug)]
pub struct Claims<'a> {
    /// What is watched.
    pub world: &'a World,
    /// Whose.
    pub wanted: &'a Wanted,
}

impl Claims<'_> {
    fn api(&self) -> Api<Lease> {
        self.world.api(Some(&self.wanted.key.namespace))
    }

    /// As the watch has brought them.
    pub fn seen(&self) -> BTreeMap<GroupName, Claim> {
        let leases = self.world.leases.of(&self.wanted.key);
        leases
            .values()
            .filter_map(|lease| Some((group(lease)?, read(lease)?)))
            .collect()
    }

    /// Read from the API server now.
    pub async fn fresh(&self) -> Result<BTreeMap<GroupName, Claim>, Error> {
        let mut claims = BTreeMap::new();
        for slot in &self.wanted.valid.slots {
            let name = names::claim(&self.wanted.valid.name, &slot.name);
            let lease = self
                .api()
                .get_opt(&name)
                .await
                .map_err(Error::api("get", &name))?;
            if let Some(claim) = lease.as_ref().and_then(read) {
                claims.insert(slot.name.clone(), claim);
            }
        }
        Ok(claims)
    }

    /// Replaces a claim if it is what the step expects.
    pub async fn compare_and_swap(&self, step: &ClaimStep) -> Result<Claimed, Error> {
        let name = names::claim(&self.wanted.valid.name, &step.group);
        let params = PostParams {
            field_manager: Some(FIELD_OWNER.into()),
            ..PostParams::default()
        };
        let found = self
            .api()
            .get_opt(&name)
            .await
            .map_err(Error::api("get", &name))?;
        let written = match found {
            Some(lease) => {
                self.keep(&lease);
                if read(&lease) != step.expected {
                    return Ok(Claimed::Conflict);
                }
                let lease = write(self.wanted, lease, step);
                self.api().replace(&name, &params, &lease).await
            }
            None if step.expected.is_some() => return Ok(Claimed::Conflict),
            None => {
                let lease = write(self.wanted, Lease::default(), step);
                self.api().create(&params, &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.keep(&lease);
                Ok(Claimed::Yes)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Claimed::Conflict)
            }
            Err(error) => Err(Error::api("write", &name)(error)),
        }
    }

    fn keep(&self, lease: &Lease) {
        self.world.leases.put(&self.wanted.key, lease.clone());
    }
}

#[cfg(test)]
mod tests {
    use tandem_api::DoubleMaster;
    use tandem_plan::claim::Passed;

    use super::*;

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let mut object = DoubleMaster::new("dm", serde_json::from_str("{}").unwrap());
        object.metadata.namespace = Some("ns".into());
        object.metadata.uid = Some("u".into());
        let wanted = Wanted::read(&object, "image").unwrap();
        let claim = Claim {
            epoch: 1 << 40,
            instance: InstanceName::parse("dm-a-1").unwrap(),
            at_ms: 1_795_261_439_123,
            by_silence: true,
            from: Some(InstanceName::parse("dm-a-0").unwrap()),
            passed: vec![Passed {
                instance: InstanceName::parse("dm-a-2").unwrap(),
                epoch: 7,
                at_ms: 1_795_261_439_000,
                times: 2,
            }],
        };
        let step = ClaimStep {
            group: GroupName::a(),
            expected: None,
            claim: claim.clone(),
        };
        let lease = write(&wanted, Lease::default(), &step);
        assert_eq!(read(&lease), Some(claim.clone()));
        assert_eq!(group(&lease), Some(GroupName::a()));
        assert_eq!(lease.metadata.name.as_deref(), Some("dm-a"));
        let plain = Claim {
            from: None,
            passed: Vec::new(),
            ..claim
        };
        let step = ClaimStep {
            claim: plain.clone(),
            ..step
        };
        assert_eq!(read(&write(&wanted, lease, &step)), Some(plain));
    }

    #[test]
    fn a_lease_without_holder_is_no_claim() {
        assert_eq!(read(&Lease::default()), None);
    }
}
