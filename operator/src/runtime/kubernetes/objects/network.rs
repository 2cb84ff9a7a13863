//! Who may talk to the pods: clients to the client port, the resource's own pods to the link port.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::names::selector;
use super::super::wanted::Wanted;
use super::meta::meta;

fn ports(names: &[&str]) -> Vec<NetworkPolicyPort> {
    names
        .iter()
        .map(|name| NetworkPolicyPort {
            port: Some(IntOrString::String((*name).into())),
            protocol: Some("TCP".into()),
            ..NetworkPolicyPort::default()
        })
        .collect()
}

/// The policy of a resource's pods.
pub(super) fn policy(wanted: &Wanted) -> NetworkPolicy {
    let own = LabelSelector {
        match_labels: Some(selector(&wanted.valid.name)),
        ..LabelSelector::default()
    };
    NetworkPolicy {
        metadata: meta(wanted, wanted.valid.name.as_str()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(own.clone()),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule {
                    ports: Some(ports(&["redis", "metrics"])),
                    ..NetworkPolicyIngressRule::default()
                },
                NetworkPolicyIngressRule {
                    ports: Some(ports(&["link"])),
                    from: Some(vec![NetworkPolicyPeer {
                        pod_selector: Some(own),
                        ..NetworkPolicyPeer::default()
                    }]),
                },
            ]),
            ..NetworkPolicySpec::default()
        }),
    }
}
