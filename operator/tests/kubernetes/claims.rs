//! Compare-and-swap of claims against an API server that answers as it does.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tandem::runtime::Claimed;
use tandem::runtime::kubernetes::World;
use tandem::runtime::kubernetes::claims::Claims;
use tandem_api::{GroupName, InstanceName};
use tandem_plan::Claim;
use tandem_plan::outcome::ClaimStep;

use super::wanted;

/// One Lease, versions and conflicts included.
#[derive(Debug, Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    /// Happens between a read and the write that follows it.
    interferes: bool,
}

impl Server {
    fn answer(&mut self, method: &str, body: &[u8]) -> (u16, Value) {
        match (method, &self.lease) {
            ("GET", Some(lease)) => {
                let lease = lease.clone();
                if self.interferes {
                    self.version += 1;
                    self.store(lease.clone());
                }
                (200, lease)
            }
            ("GET", None) => (404, status(404, "NotFound")),
            ("POST", Some(_)) => (409, status(409, "AlreadyExists")),
            ("POST", None) => {
                self.version += 1;
                self.store(serde_json::from_slice(body).unwrap());
                (201, self.lease.clone().unwrap())
            }
            ("PUT", Some(old)) => {
                let new: Value = serde_json::from_slice(body).unwrap();
                if new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
                    return (409, status(409, "Conflict"));
                }
                self.version += 1;
                self.store(new);
                (200, self.lease.clone().unwrap())
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn store(&mut self, mut lease: Value) {
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease);
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": reason, "code": code})
}

fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request: hyper::Request<Body>| {
        let server = Arc::clone(&server);
        async move {
            let method = request.method().to_string();
            let body = request.into_body().collect_bytes().await?;
            let (code, answer) = server.lock().unwrap().answer(&method, &body);
            let response = hyper::Response::builder()
                .status(code)
                .body(Body::from(serde_json::to_vec(&answer)?))?;
            Ok::<_, tower::BoxError>(response)
        }
    });
    Client::new(service, "ns")
}

fn claim(epoch: u64, instance: &str) -> Claim {
    Claim {
        epoch,
        instance: InstanceName::parse(instance).unwrap(),
        at_ms: epoch,
        by_silence: false,
        from: None,
        passed: Vec::new(),
    }
}

async fn swap(server: &Arc<Mutex<Server>>, expected: Option<Claim>, claim: Claim) -> Claimed {
    let world = World::new(client(server));
    let wanted = wanted(&json!({}));
    let claims = Claims {
        world: &world,
        wanted: &wanted,
    };
    let group = GroupName::a();
    let step = ClaimStep {
        group,
        expected,
        claim,
    };
    claims.compare_and_swap(&step).await.unwrap()
}

#[tokio::test]
async fn of_two_claims_on_the_same_record_one_is_refused() {
    let server = Arc::new(Mutex::new(Server::default()));
    assert_eq!(swap(&server, None, claim(1, "dm-a-0")).await, Claimed::Yes);
    assert_eq!(
        swap(&server, None, claim(1, "dm-a-1")).await,
        Claimed::Conflict
    );
    let expected = Some(claim(1, "dm-a-0"));
    assert_eq!(
        swap(&server, expected.clone(), claim(2, "dm-a-1")).await,
        Claimed::Yes
    );
    assert_eq!(
        swap(&server, expected, claim(2, "dm-a-0")).await,
        Claimed::Conflict
    );
    let lease: Lease =
        serde_json::from_value(server.lock().unwrap().lease.clone().unwrap()).unwrap();
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("dm-a-1"));
    assert_eq!(spec.lease_transitions, Some(2));
}

#[tokio::test]
async fn what_changes_between_read_and_write_refuses_the_claim() {
    let server = Arc::new(Mutex::new(Server::default()));
    assert_eq!(swap(&server, None, claim(1, "dm-a-0")).await, Claimed::Yes);
    server.lock().unwrap().interferes = true;
    let expected = Some(claim(1, "dm-a-0"));
    assert_eq!(
        swap(&server, expected, claim(2, "dm-a-1")).await,
        Claimed::Conflict
    );
}

#[tokio::test]
async fn a_claim_that_is_gone_is_not_the_expected_one() {
    let server = Arc::new(Mutex::new(Server::default()));
    let expected = Some(claim(1, "dm-a-0"));
    assert_eq!(
        swap(&server, expected, claim(2, "dm-a-1")).await,
        Claimed::Conflict
    );
}
