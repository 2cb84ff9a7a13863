//! The Kubernetes runtime without a cluster: what is built from a specification, and how claims are
//! compared and swapped.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod claims;
mod objects;

use tandem::runtime::kubernetes::Wanted;
use tandem_api::DoubleMaster;

/// What is wanted of a resource `dm` in namespace `ns` with this specification.
fn wanted(spec: &serde_json::Value) -> Wanted {
    let mut object = DoubleMaster::new("dm", serde_json::from_value(spec.clone()).unwrap());
    object.metadata.namespace = Some("ns".into());
    object.metadata.uid = Some("00000000-0000-0000-0000-000000000001".into());
    Wanted::read(&object, "tandem:operator").unwrap()
}
