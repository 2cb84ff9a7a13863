//! The services: four that follow the roles, one for identity.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tandem_plan::suffix::SUFFIX_RO;

use super::super::names::{PORT_LINK, PORT_METRICS, PORT_REDIS, selector, service_label};
use super::super::wanted::Wanted;
use super::children::meta;

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    }
}

/// The service with this suffix. It selects by a label that the operator moves, and takes the
/// operator's word over a probe that comes later, except for the readers, of whom one may be missing.
pub(super) fn pointed(wanted: &Wanted, suffix: &str) -> Service {
    let mut selected = selector(&wanted.valid.name);
    selected.insert(service_label(suffix), "true".into());
    let offered = wanted
        .spec
        .services
        .get(suffix)
        .cloned()
        .unwrap_or_default();
    let mut metadata = meta(wanted, wanted.valid.name.service(suffix).as_str());
    if !offered.annotations.is_empty() {
        metadata.annotations = Some(offered.annotations);
    }
    let labels = metadata.labels.get_or_insert_default();
    for (key, value) in offered.labels {
        labels.entry(key).or_insert(value);
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(selected),
            ports: Some(vec![port("redis", PORT_REDIS)]),
            publish_not_ready_addresses: Some(suffix != SUFFIX_RO),
            type_: Some(offered.kind.as_str().into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The service that gives each pod a name of its own.
pub(super) fn headless(wanted: &Wanted) -> Service {
    Service {
        metadata: meta(wanted, wanted.valid.name.as_str()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            selector: Some(selector(&wanted.valid.name)),
            ports: Some(vec![
                port("redis", PORT_REDIS),
                port("link", PORT_LINK),
                port("metrics", PORT_METRICS),
            ]),
            publish_not_ready_addresses: Some(true),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
