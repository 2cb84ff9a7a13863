//! The Dockerfile and the archive that is made without Docker say the same of the image.

use std::path::Path;

use serde_json::Value;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// The arguments of each line of the last stage that begins with a word.
fn last_stage<'a>(dockerfile: &'a str, word: &str) -> Vec<&'a str> {
    let stage = dockerfile.rsplit_once("\nFROM ").unwrap().1;
    stage
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .collect()
}

#[test]
fn both_ways_to_the_image_agree() {
    let dockerfile = read("Dockerfile");
    let config: Value = serde_json::from_str(&read("e2e/cluster/manifests/image.json")).unwrap();

    let entrypoint: Value = serde_json::from_str(last_stage(&dockerfile, "ENTRYPOINT")[0]).unwrap();
    assert_eq!(config["Entrypoint"], entrypoint);
    assert_eq!(
        last_stage(&dockerfile, "USER"),
        [config["User"].as_str().unwrap()]
    );
    assert_eq!(
        last_stage(&dockerfile, "WORKDIR"),
        [config["WorkingDir"].as_str().unwrap()]
    );

    let ports: Vec<String> = last_stage(&dockerfile, "EXPOSE")[0]
        .split(' ')
        .map(|port| format!("{port}/tcp"))
        .collect();
    let said: Vec<&String> = config["ExposedPorts"].as_object().unwrap().keys().collect();
    assert_eq!(said, ports.iter().collect::<Vec<_>>());

    let labels: Vec<String> = config["Labels"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut written = last_stage(&dockerfile, "LABEL");
    written.sort_unstable();
    let mut labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    labels.sort_unstable();
    assert_eq!(written, labels);
}

#[test]
fn the_image_is_one_program_that_is_not_run_by_root() {
    let dockerfile = read("Dockerfile");
    let stage = dockerfile.rsplit_once("\nFROM ").unwrap().1;
    assert!(stage.starts_with("scratch\n"), "{stage}");
    assert_eq!(last_stage(&dockerfile, "USER"), ["65532:65532"]);
    assert!(dockerfile.contains("target-feature=+crt-static"));
}
