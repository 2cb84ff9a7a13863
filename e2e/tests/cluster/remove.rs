//! What is deleted goes, in whatever order: the namespace with everything in it, or the operator first.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use tandem_e2e::cluster::operator::RELEASE;
use tandem_e2e::cluster::pair::{NAME, usual_spec};
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage, wait_until};
use tandem_e2e::story::Ledger;

use super::roll_volumes::{GONE_LIMIT, delete_and_wait};
use super::support::{SOME, pass};

/// How long nothing may come back.
const QUIET: Duration = Duration::from_secs(5);

#[test]
fn a_namespace_goes_with_its_pair_and_its_operator_while_clients_write() {
    for (name, policy) in [
        ("namespace goes, Retain", "Retain"),
        ("namespace goes, Delete", "Delete"),
    ] {
        let Some(stage) = Stage::begin(name).unwrap() else {
            return;
        };
        let _operator = Operator::install(&stage).unwrap();
        let mut spec = usual_spec();
        spec["reclaimPolicy"] = json!(policy);
        let pair = Pair::start(&stage, &spec).unwrap();
        let clients = Clients::start(&pair, "namespace").unwrap();
        clients.wait_for_more(SOME).unwrap();
        assert!(!volumes_of(&stage).is_empty());

        let begun = Instant::now();
        stage.remove_namespace().unwrap();
        let took = begun.elapsed();
        let told = clients.finish().unwrap().ledger();
        wait_until("its volumes are gone", GONE_LIMIT, || {
            let left = volumes_of(&stage);
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .unwrap();
        stage.says(format_args!(
            "{policy}: the namespace was gone after {:.1} s, its volumes after {:.1} s; {} writes until then",
            took.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
            told.acknowledged()
        ));
    }
}

/// Volumes of the cluster that belong to claims of the story's namespace.
fn volumes_of(stage: &Stage) -> Vec<String> {
    let volumes: Api<PersistentVolume> = Api::all(stage.cluster().client());
    let listed = stage.cluster().run(volumes.list(&ListParams::default()));
    let is_ours = |volume: &PersistentVolume| {
        let claim = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.claim_ref.as_ref());
        claim.and_then(|claim| claim.namespace.as_deref()) == Some(stage.namespace())
    };
    let listed = listed.unwrap().items.into_iter().filter(is_ours);
    listed.map(|volume| volume.name_any()).collect()
}

#[test]
fn a_resource_that_is_deleted_while_no_operator_runs_goes_as_its_policy_says() {
    let Some(stage) = Stage::begin("operator deleted first").unwrap() else {
        return;
    };
    let operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let clients = Clients::start(&pair, "first").unwrap();
    clients.wait_for_more(SOME).unwrap();
    let ledger = clients.finish().unwrap().ledger();
    pair.nothing_is_lost(&ledger).unwrap();

    let volumes = names::<PersistentVolumeClaim>(&stage).unwrap();
    let took = delete_both(&stage, &operator);
    stays_so(&stage, &operator, &volumes);
    stage.says(format_args!(
        "Retain: pods gone {:.1} s after the resource, {} claims stay, also with an operator again",
        took.as_secs_f64(),
        volumes.len()
    ));
    let mut spec = usual_spec();
    spec["reclaimPolicy"] = json!("Delete");
    pair.apply(&spec).unwrap();
    // The volumes were adopted, with all that clients were told.
    pair.nothing_is_lost(&Ledger::default()).unwrap();
    assert_eq!(names::<PersistentVolumeClaim>(&stage).unwrap(), volumes);

    let took = delete_both(&stage, &operator);
    stays_so(&stage, &operator, &BTreeSet::new());
    stage.says(format_args!(
        "Delete: pods gone {:.1} s after the resource, and nothing is left",
        took.as_secs_f64()
    ));
    // What the pair deletes at its end.
    pair.apply(&usual_spec()).unwrap();
    pair.wait_until_ready().unwrap();
}

/// Deletes the operator, then the resource; gives how long pods and object took to go.
fn delete_both(stage: &Stage, operator: &Operator) -> Duration {
    operator.remove().unwrap();
    wait_until("no operator runs", GONE_LIMIT, || {
        let pods = operator.pods()?;
        ensure!(pods.is_empty(), "{} pods", pods.len());
        ensure!(stage.get::<Deployment>(RELEASE).is_err(), "it is deployed");
        Ok(())
    })
    .unwrap();
    delete_and_wait(stage)
}

/// Installs the operator again: of the resource there are these claims, and nothing else comes or goes.
fn stays_so(stage: &Stage, operator: &Operator, claims: &BTreeSet<String>) {
    operator.upgrade(&[]).unwrap();
    operator.wait_until_led().unwrap();
    let look = || {
        let found = names::<PersistentVolumeClaim>(stage)?;
        ensure!(found == *claims, "claims: {found:?}");
        let mut others = names::<Pod>(stage)?;
        others.extend(names::<Service>(stage)?);
        others.extend(names::<PodDisruptionBudget>(stage)?);
        others.extend(names::<ServiceAccount>(stage)?);
        others.extend(names::<NetworkPolicy>(stage)?);
        if claims.is_empty() {
            others.extend(names::<Lease>(stage)?);
            others.extend(names::<ConfigMap>(stage)?);
            others.extend(names::<Secret>(stage)?);
        }
        ensure!(others.is_empty(), "left: {others:?}");
        Ok(())
    };
    wait_until("only what its policy keeps is left", GONE_LIMIT, look).unwrap();
    pass(QUIET);
    look().unwrap();
}

/// Names of the resource's objects of a kind, each with the kind and its identity.
fn names<K>(stage: &Stage) -> Result<BTreeSet<String>>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let found: Vec<K> = stage.list(&format!("tandem.dev/resource={NAME}"))?;
    let named = found.iter().map(|one| {
        let id = one.uid().unwrap_or_default();
        format!("{kind} {} {id}", one.name_any())
    });
    Ok(named.collect())
}
