//! The operator and what it makes live with the least: restricted pods, a read-only root, roles of one
//! namespace; and a budget that holds an eviction until the role has moved.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::api::{EvictParams, ListParams};
use kube::{Api, ResourceExt as _};
use tandem_e2e::cluster::pair::usual_spec;
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage, wait_until};

const EVICT_LIMIT: Duration = Duration::from_mins(2);

#[test]
fn security_restricted_pods_and_roles_of_one_namespace_are_enough() {
    let Some(stage) = Stage::begin("security").unwrap() else {
        return;
    };
    let _operator = Operator::install_with(&stage, &["nodes.enabled=false"]).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();

    let namespaces: Api<Namespace> = Api::all(stage.cluster().client());
    let own = stage
        .cluster()
        .run(namespaces.get(stage.namespace()))
        .unwrap();
    assert_eq!(
        own.labels()["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    let pods: Vec<Pod> = stage.list("").unwrap();
    assert!(
        pods.len() >= 6,
        "four instances and two operators: {}",
        pods.len()
    );
    pods.iter().for_each(is_restricted);
    only_roles_of_this_namespace(&stage);

    let clients = Clients::start(&pair, "security").unwrap();
    clients.wait_for_more(100).unwrap();
    let before = pair.master("a").unwrap();
    stage.kill(&before.name).unwrap();
    clients.wait_for_more(100).unwrap();
    pair.wait_until_healed(&before).unwrap();
    let told = clients.finish().unwrap();
    pair.nothing_is_lost(&told.ledger()).unwrap();
    stage.says(format_args!(
        "{} pods, all restricted; a failover with the rights of one namespace",
        pods.len()
    ));
}

fn is_restricted(pod: &Pod) {
    let (name, spec) = (pod.name_any(), pod.spec.as_ref().unwrap());
    let of_pod = spec.security_context.clone().unwrap_or_default();
    for container in &spec.containers {
        let own = container.security_context.clone().unwrap_or_default();
        assert_eq!(
            own.read_only_root_filesystem,
            Some(true),
            "{name}: its root can be written"
        );
        assert_eq!(own.allow_privilege_escalation, Some(false), "{name}");
        let dropped = own
            .capabilities
            .and_then(|all| all.drop)
            .unwrap_or_default();
        assert_eq!(dropped, ["ALL"], "{name}");
        assert_eq!(
            own.run_as_non_root.or(of_pod.run_as_non_root),
            Some(true),
            "{name}: may be root"
        );
        let profile = own
            .seccomp_profile
            .or_else(|| of_pod.seccomp_profile.clone());
        assert_eq!(
            profile.map(|profile| profile.type_),
            Some("RuntimeDefault".into()),
            "{name}"
        );
    }
}

fn only_roles_of_this_namespace(stage: &Stage) {
    let roles: Vec<Role> = stage.list("app.kubernetes.io/instance=tandem").unwrap();
    assert!(!roles.is_empty(), "the operator has a role");
    let verbs_or_kinds = roles.iter().flat_map(|role| role.rules.iter().flatten());
    for rule in verbs_or_kinds {
        let all = rule.verbs.iter().chain(rule.resources.iter().flatten());
        assert!(
            all.clone().all(|word| word != "*"),
            "a role for everything: {rule:?}"
        );
    }
    // Nodes belong to no namespace: to see that one is cordoned or gone takes a right of the cluster.
    let client = stage.cluster().client();
    let of_cluster = stage.cluster().run(async {
        let roles: Api<ClusterRole> = Api::all(client);
        let mut listed = roles.list(&ListParams::default()).await.unwrap().items;
        listed.retain(|role| role.name_any().contains(stage.namespace()));
        listed
    });
    for rule in of_cluster
        .iter()
        .flat_map(|role| role.rules.iter().flatten())
    {
        let reads = |verb: &String| ["get", "list", "watch"].contains(&verb.as_str());
        assert!(
            rule.resources.as_deref() == Some(&["nodes".to_owned()])
                && rule.verbs.iter().all(reads),
            "a right of the whole cluster: {rule:?}"
        );
    }
}

fn budgets(stage: &Stage) -> BTreeMap<String, PodDisruptionBudget> {
    let found: Vec<PodDisruptionBudget> = stage.list("tandem.dev/resource=dm").unwrap();
    found.into_iter().map(|one| (one.name_any(), one)).collect()
}

#[test]
fn security_a_budget_holds_an_eviction_until_the_role_has_moved() {
    let Some(stage) = Stage::begin("security budget").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let budgets = wait_until("budgets are counted", EVICT_LIMIT, || {
        let found = budgets(&stage);
        ensure!(!found.is_empty(), "there are none");
        for (name, budget) in &found {
            let status = budget.status.clone().context("not counted")?;
            ensure!(
                status.current_healthy == status.expected_pods,
                "{name}: {status:?}"
            );
        }
        Ok(found)
    })
    .unwrap();
    for (name, budget) in &budgets {
        let status = budget.status.as_ref().unwrap();
        stage.says(format_args!(
            "{name}: {:?} of {} have to be there, {} may go",
            budget.spec.as_ref().unwrap().min_available,
            status.expected_pods,
            status.disruptions_allowed
        ));
    }

    let clients = Clients::start(&pair, "budget").unwrap();
    clients.wait_for_more(100).unwrap();
    let master = pair.master("a").unwrap();
    let before = pair.pod_id(&master.name).unwrap();
    let pods: Api<Pod> = stage.api();
    let begun = Instant::now();
    let mut refused = 0;
    wait_until("the eviction is admitted", EVICT_LIMIT, || {
        let asked = stage
            .cluster()
            .run(pods.evict(&master.name, &EvictParams::default()));
        match asked {
            Ok(_) => Ok(()),
            Err(error) => {
                refused += 1;
                // Whoever drains a node cordons it first, which is what moves the role.
                if refused == 1 {
                    ensure!(
                        pair.pod_id(&master.name)? == before,
                        "it went in spite of the budget"
                    );
                    pair.request("switchover", "a")?;
                }
                Err(error.into())
            }
        }
    })
    .unwrap();
    let admitted = begun.elapsed();
    assert!(refused > 0, "the master of a slot was evicted at once");
    wait_until("another pod has its place", EVICT_LIMIT, || {
        ensure!(pair.pod_id(&master.name)? != before, "it is the same");
        Ok(())
    })
    .unwrap();
    pair.wait_until_ready().unwrap();
    let now = pair.master("a").unwrap();
    assert_ne!(now.name, master.name);
    let told = clients.finish().unwrap();
    stage.says(format_args!(
        "eviction of {} refused {refused} times, admitted after {} ms; -rw stood still for {} ms at most",
        master.name,
        admitted.as_millis(),
        told.rw_outage(begun).as_millis()
    ));
    pair.nothing_is_lost(&told.ledger()).unwrap();
    let service: Service = stage.get("dm-a").unwrap();
    assert!(service.spec.unwrap().cluster_ip.is_some());
}
