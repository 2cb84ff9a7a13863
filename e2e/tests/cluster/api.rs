//! The API server itself refuses what cannot be meant: each rule of the definition, with its message,
//! and the defaults. Nothing runs here; all but one object are dry runs.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tandem_api::DoubleMaster;
use tandem_e2e::cluster::Stage;

const NAME: &str = "dm";
const OWNER: &str = "tandem-e2e";

struct Door<'a> {
    stage: &'a Stage,
    api: Api<DynamicObject>,
}

fn object(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "DoubleMaster",
        "metadata": {"name": name}, "spec": spec,
    })
}

impl<'a> Door<'a> {
    fn new(stage: &'a Stage) -> Self {
        let kind = ApiResource::erase::<DoubleMaster>(&());
        let client = stage.cluster().client();
        let api = Api::namespaced_with(client, stage.namespace(), &kind);
        Self { stage, api }
    }

    /// Creates an object, for trial. Gives it as the API server would keep it, or what it says.
    fn create(&self, name: &str, spec: &Value) -> Result<Value, String> {
        let object: DynamicObject = serde_json::from_value(object(name, spec)).unwrap();
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let created = self
            .stage
            .cluster()
            .run(self.api.create(&parameters, &object));
        created.map(|made| made.data).map_err(said)
    }

    /// Replaces the specification of the one that is there, for trial.
    fn update(&self, spec: &Value) -> Result<Value, String> {
        let mut now = self.stage.cluster().run(self.api.get(NAME)).unwrap();
        now.data["spec"] = spec.clone();
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let replaced = self
            .stage
            .cluster()
            .run(self.api.replace(NAME, &parameters, &now));
        replaced.map(|made| made.data).map_err(said)
    }
}

fn said(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("{other}"),
    }
}

/// The messages of all rules below a schema.
fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                found.insert(rule["message"].as_str().unwrap().to_owned());
            }
            fields.values().for_each(|value| messages(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| messages(value, found)),
        _ => {}
    }
}

/// Specifications that no rule lets in.
fn wrong() -> Vec<Value> {
    let own = json!({"tandem.dev/mine": "1"});
    vec![
        json!({"serverIds": {"a": 3, "b": 3}}),
        json!({"config": {"port": "7000"}}),
        json!({"config": {"requirepass": "x"}}),
        json!({"failover": {"probeIntervalMs": 400, "hangTimeoutMs": 700}}),
        json!({"replicasPerMaster": 1, "sync": {"durableAcks": 2}}),
        json!({"scheduling": {"podLabels": own}}),
        json!({"scheduling": {"podLabels": {"app.kubernetes.io/name": "x"}}}),
        json!({"scheduling": {"podAnnotations": own}}),
        json!({"services": {"rw": {"labels": own}}}),
        json!({"services": {"ro": {"labels": own}}}),
    ]
}

/// Specifications that the schema does not let in, with what has to be in the answer.
fn out_of_bounds() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"replicasPerMaster": 6}), "replicasPerMaster"),
        (json!({"replicasPerMaster": -1}), "replicasPerMaster"),
        (json!({"serverIds": {"a": 0, "b": 2}}), "serverIds.a"),
        (json!({"serverIds": {"a": 1, "b": 128}}), "serverIds.b"),
        (json!({"storage": {"size": "ten"}}), "storage.size"),
        (json!({"storage": {"size": "-1Gi"}}), "storage.size"),
        (json!({"config": {"maxmemory": "1\n2"}}), "config"),
        (json!({"config": {"maxmemory": 5}}), "config"),
        (
            json!({"auth": {"secretName": "Not_A_Name"}}),
            "auth.secretName",
        ),
        (
            json!({"failover": {"probeIntervalMs": 1}}),
            "probeIntervalMs",
        ),
        (
            json!({"resources": {"limits": {"memory": "much"}}}),
            "resources.limits",
        ),
        (
            json!({"terminationGracePeriodSeconds": 1}),
            "terminationGracePeriodSeconds",
        ),
        (json!({"reclaimPolicy": "Burn"}), "reclaimPolicy"),
        (json!({"imagePullPolicy": "Sometimes"}), "imagePullPolicy"),
        (
            json!({"services": {"rw": {"type": "ExternalName"}}}),
            "services.rw.type",
        ),
        (json!({"image": ""}), "image"),
    ]
}

fn right() -> Vec<Value> {
    vec![
        json!({}),
        json!({"replicasPerMaster": 0}),
        json!({"replicasPerMaster": 5, "sync": {"durableAcks": 5}}),
        json!({"serverIds": {"a": 127, "b": 1}}),
        json!({"storage": {"size": "1.5Ti", "className": "fast", "expand": false}}),
        json!({"config": {"maxmemory": "512mb", "appendfsync": "always"}}),
        json!({"auth": {}}),
        json!({"auth": {"secretName": "a.secret-1"}}),
        json!({"failover": {"probeIntervalMs": 20, "hangTimeoutMs": 100}}),
        json!({"resources": {"requests": {"cpu": 1, "memory": "64Mi"}, "limits": {"cpu": "500m"}}}),
        json!({"scheduling": {"podLabels": {"team": "x"}, "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "k", "operator": "Exists"}], "topologySpread": []}}),
        json!({"services": {"rw": {"type": "LoadBalancer", "annotations": {"a": "b"}, "labels": {"c": "d"}}}}),
        json!({"pdb": {"enabled": false}, "networkPolicy": {"enabled": false}, "pause": true}),
        json!({"reclaimPolicy": "Delete", "image": "registry.example/tandem@sha256:0", "imagePullPolicy": "Always"}),
    ]
}

/// What is there when changes are tried.
fn present() -> Value {
    json!({
        "serverIds": {"a": 1, "b": 2}, "auth": {},
        "storage": {"size": "1Gi", "className": "fast"}, "pause": true,
    })
}

fn changed(path: &[&str], value: Value) -> Value {
    let mut spec = present();
    let mut at = &mut spec;
    for name in path {
        at = &mut at[*name];
    }
    *at = value;
    spec
}

#[test]
fn api_each_rule_refuses_what_it_is_for_and_nothing_else() {
    let Some(stage) = Stage::begin("api rules").unwrap() else {
        return;
    };
    stage
        .apply(include_str!("../../../crds/doublemasters.yaml"))
        .unwrap();
    let door = Door::new(&stage);
    tandem_e2e::cluster::wait_until("it is served", std::time::Duration::from_secs(30), || {
        door.create(NAME, &json!({})).map_err(anyhow::Error::msg)
    })
    .unwrap();

    let mut refusals = Vec::new();
    for spec in wrong() {
        refusals.push(door.create(NAME, &spec).expect_err(&spec.to_string()));
    }
    for name in ["1dm", &"d".repeat(41), "d.m"] {
        refusals.push(door.create(name, &json!({})).expect_err(name));
    }
    for (spec, field) in out_of_bounds() {
        let refusal = door.create(NAME, &spec).expect_err(&spec.to_string());
        assert!(refusal.contains(field), "{spec}: {refusal}");
    }
    for spec in right() {
        door.create(NAME, &spec)
            .unwrap_or_else(|refusal| panic!("{spec}: {refusal}"));
    }
    door.create(&"d".repeat(40), &json!({})).unwrap();
    refusals.extend(transitions(&stage, &door));
    a_misspelt_field_is_named(&stage, &door);
    defaults_are_stated(&door);

    let rules = rules(&stage);
    let silent: Vec<&String> = rules
        .iter()
        .filter(|rule| !refusals.iter().any(|refusal| refusal.contains(*rule)))
        .collect();
    assert!(
        silent.is_empty(),
        "rules that refused nothing: {silent:#?}\n{refusals:#?}"
    );
    stage.says(format_args!(
        "{} rules each refused what it is for, {} values out of bounds, {} good specifications",
        rules.len(),
        out_of_bounds().len(),
        right().len()
    ));
}

/// Changes of what is there: refused ones are given.
fn transitions(stage: &Stage, door: &Door) -> Vec<String> {
    let first: DynamicObject = serde_json::from_value(object(NAME, &present())).unwrap();
    let made = stage
        .cluster()
        .run(door.api.create(&PostParams::default(), &first));
    made.unwrap();
    for spec in [
        changed(&["storage", "size"], json!("2Gi")),
        changed(&["storage", "size"], json!("1024Mi")),
        changed(&["storage", "expand"], json!(false)),
        changed(&["auth"], json!({"secretName": "other"})),
        changed(&["replicasPerMaster"], json!(0)),
        changed(&["pause"], json!(false)),
    ] {
        door.update(&spec)
            .unwrap_or_else(|refusal| panic!("{spec}: {refusal}"));
    }
    let mut no_auth = present();
    no_auth.as_object_mut().unwrap().remove("auth");
    let no_class = changed(&["storage"], json!({"size": "1Gi"}));
    [
        changed(&["serverIds"], json!({"a": 2, "b": 1})),
        changed(&["serverIds", "b"], json!(9)),
        changed(&["storage", "size"], json!("500Mi")),
        changed(&["storage", "className"], json!("slow")),
        no_class,
        no_auth,
    ]
    .iter()
    .map(|spec| door.update(spec).expect_err(&spec.to_string()))
    .collect()
}

fn a_misspelt_field_is_named(stage: &Stage, door: &Door) {
    let parameters = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(OWNER)
    };
    let misspelt = object("other", &json!({"replicasPerMaste": 2}));
    let answer = stage.cluster().run(door.api.patch(
        "other",
        &parameters,
        &Patch::Apply(&misspelt),
    ));
    let refusal = said(answer.expect_err("it has no such field"));
    assert!(refusal.contains("replicasPerMaste"), "{refusal}");
}

fn defaults_are_stated(door: &Door) {
    let spec = door
        .create(NAME, &json!({}))
        .map(|made| made["spec"].clone());
    let spec = match spec {
        Ok(spec) => spec,
        // The name is taken by now.
        Err(_) => door.create("fresh", &json!({})).unwrap()["spec"].clone(),
    };
    let stated = [
        ("/replicasPerMaster", json!(1)),
        ("/serverIds", json!({"a": 1, "b": 2})),
        ("/storage/size", json!("10Gi")),
        ("/storage/expand", json!(true)),
        ("/sync/durableAcks", json!(0)),
        ("/failover/hangTimeoutMs", json!(600)),
        ("/failover/probeIntervalMs", json!(250)),
        ("/pdb/enabled", json!(true)),
        ("/networkPolicy/enabled", json!(true)),
        ("/services/rw/type", json!("ClusterIP")),
        ("/terminationGracePeriodSeconds", json!(60)),
        ("/reclaimPolicy", json!("Retain")),
    ];
    for (place, value) in stated {
        assert_eq!(spec.pointer(place), Some(&value), "{place} of {spec}");
    }
    for absent in ["auth", "image", "pause", "resources"] {
        assert!(spec.get(absent).is_none(), "{absent} in {spec}");
    }
}

fn rules(stage: &Stage) -> BTreeSet<String> {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.cluster().client());
    let definition = stage
        .cluster()
        .run(definitions.get("doublemasters.tandem.dev"))
        .unwrap();
    let mut found = BTreeSet::new();
    messages(
        &serde_json::to_value(definition.spec.versions).unwrap(),
        &mut found,
    );
    assert!(found.len() >= 5, "{found:?}");
    found
}
