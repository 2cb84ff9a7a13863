//! The services: four that follow the roles, one for identity.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tandem_plan::suffix::SUFFIX_RO;

use super::super::names::{PORT_LINK, PORT_METRICS, PORT_REDIS, READER, selector};
use super::super::wanted::Wanted;
use super::meta::meta;

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    }
}

/// The service with this suffix. That of the readers selects by a label that the operator moves. The
/// others point at one pod: whom they select is written when they are pointed, and is no part of
/// what is applied. They take the operator's word over a probe that comes later; of the readers one
/// may be missing.
pub(super) fn pointed(wanted: &Wanted, suffix: &str) -> Service {
    let selected = (suffix == SUFFIX_RO).then(|| {
        let mut selected = selector(&wanted.valid.name);
        selected.insert(READER.into(), "true".into());
        selected
    });
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
            selector: selected,
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
