//! Which crate may use which, and what pure crates may depend on. Crate borders are the only ones
//! that Cargo keeps acyclic, so they carry the design; this keeps them where it drew them.
//!
//! ```text
//! proto ◀─ merge ◀─ store ◀─ node        merge ◀─ execute ◀─ node        all of the server ◀─ sim
//!                                        merge ◀─ replicate ◀─ node
//! api ◀─ plan ◀─ tandem (the binary, which also starts node)             proto, api ◀─ e2e
//! ```

use super::calls::PURE;
use super::source::Finding;
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// For each crate of the workspace, the others it may depend on.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tandem-proto", &[]),
    ("tandem-merge", &["tandem-proto"]),
    ("tandem-execute", &["tandem-proto", "tandem-merge"]),
    ("tandem-replicate", &["tandem-proto", "tandem-merge"]),
    ("tandem-store", &["tandem-proto", "tandem-merge"]),
    (
        "tandem-node",
        &[
            "tandem-proto",
            "tandem-merge",
            "tandem-execute",
            "tandem-replicate",
            "tandem-store",
        ],
    ),
    (
        "tandem-sim",
        &[
            "tandem-proto",
            "tandem-merge",
            "tandem-execute",
            "tandem-replicate",
            "tandem-store",
        ],
    ),
    ("tandem-api", &[]),
    ("tandem-plan", &["tandem-api", "tandem-proto"]),
    (
        "tandem",
        &["tandem-api", "tandem-plan", "tandem-proto", "tandem-node"],
    ),
    ("tandem-e2e", &["tandem-proto", "tandem-api"]),
];

/// What pure crates may depend on: nothing that knows a clock, a socket, a file or a random source.
const PURE_MAY_USE: &[&str] = &[
    "crc32c",
    "hashbrown",
    "itoa",
    "serde",
    "serde_json",
    "siphasher",
    "smallvec",
    "thiserror",
    "tandem-api",
    "tandem-merge",
    "tandem-proto",
];

/// A crate as Cargo describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Its `Cargo.toml`.
    pub manifest_path: String,
    /// All it names, for tests and builds too.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a crate.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// Name of the package.
    pub name: String,
    /// `None` for code, `dev` for tests, `build` for build scripts.
    pub kind: Option<String>,
    /// Features asked for.
    pub features: Vec<String>,
    /// Whether the default ones come too.
    pub uses_default_features: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// Asks Cargo for the workspace's crates.
pub fn packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice::<Metadata>(&output.stdout)?.packages)
}

/// Every crate of the workspace uses only the others that it may; every crate has a row.
pub fn between_crates(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_ours = |name: &str| packages.iter().any(|package| package.name == name);
    for package in packages {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            let text = "a new crate: say in `MAY_USE` what it may use";
            findings.push(Finding::of(&package.name, text));
            continue;
        };
        for used in package
            .dependencies
            .iter()
            .filter(|used| used.kind.is_none())
        {
            if is_ours(&used.name) && !allowed.contains(&used.name.as_str()) {
                let text = format!("must not use `{}`", used.name);
                findings.push(Finding::of(&package.name, text));
            }
        }
    }
    findings
}

/// Pure crates depend on nothing but what is on the list.
pub fn of_pure_crates(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| is_pure(package)) {
        for used in package
            .dependencies
            .iter()
            .filter(|used| used.kind.as_deref() != Some("dev"))
        {
            if !PURE_MAY_USE.contains(&used.name.as_str()) {
                let text = format!("a pure crate must not use `{}`", used.name);
                findings.push(Finding::of(&package.name, text));
            }
        }
    }
    findings
}

fn is_pure(package: &Package) -> bool {
    let directory = package.manifest_path.trim_end_matches("/Cargo.toml");
    PURE.iter().any(|pure| directory.ends_with(pure))
}

/// The resource types, which the planner uses, bring in kube's derive and no client.
pub fn no_client_in_types(packages: &[Package]) -> Vec<Finding> {
    let types = packages
        .iter()
        .filter(|package| package.name == "tandem-api");
    types
        .flat_map(|package| &package.dependencies)
        .filter(|used| used.name == "kube")
        .filter(|used| used.uses_default_features || used.features.iter().any(|f| f != "derive"))
        .map(|_| {
            Finding::of(
                "tandem-api",
                "`kube` with more than `derive`: the client is the shell's",
            )
        })
        .collect()
}

/// Every crate takes the workspace's lints; every pure one bans the clock in a `clippy.toml` of its
/// own (the nearest file wins and is not merged).
pub fn lint_tables(packages: &[Package]) -> std::io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true") {
            findings.push(Finding::of(
                &package.name,
                "must take the workspace's lints",
            ));
        }
        if is_pure(package) {
            let directory = Path::new(&package.manifest_path).with_file_name("clippy.toml");
            let bans = std::fs::read_to_string(directory).unwrap_or_default();
            findings.extend(clock_bans(&package.name, &bans));
        }
    }
    Ok(findings)
}

fn clock_bans(name: &str, bans: &str) -> Vec<Finding> {
    ["std::time::SystemTime::now", "std::time::Instant::now"]
        .iter()
        .filter(|call| !bans.contains(**call))
        .map(|call| Finding::of(name, format!("its `clippy.toml` must ban `{call}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, directory: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            features: vec!["derive".to_owned()],
            uses_default_features: false,
        };
        Package {
            name: name.to_owned(),
            manifest_path: format!("/w/{directory}/Cargo.toml"),
            dependencies: uses.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn an_edge_that_is_not_drawn_is_found() {
        let packages = [
            package("tandem-proto", "server/proto", &[]),
            package(
                "tandem-merge",
                "server/merge",
                &[("tandem-store", None), ("tandem-proto", None)],
            ),
            package(
                "tandem-store",
                "server/store",
                &[("tandem-merge", None), ("libc", None)],
            ),
        ];
        let findings = between_crates(&packages);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("tandem-store"));
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(
            between_crates(&[package("tandem-new", "new", &[])]).len(),
            1
        );
    }

    #[test]
    fn a_pure_crate_with_a_runtime_is_found_but_its_tests_may_have_one() {
        let uses = [
            ("thiserror", None),
            ("tokio", None),
            ("proptest", Some("dev")),
        ];
        let findings = of_pure_crates(&[package("tandem-plan", "operator/plan", &uses)]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("tokio"));
        assert!(of_pure_crates(&[package("tandem-node", "server/node", &uses)]).is_empty());
    }

    #[test]
    fn a_client_among_the_types_is_found() {
        let mut types = package("tandem-api", "operator/api", &[("kube", None)]);
        assert!(no_client_in_types(&[types.clone()]).is_empty());
        types.dependencies[0].features.push("client".to_owned());
        assert_eq!(no_client_in_types(&[types]).len(), 1);
    }

    #[test]
    fn a_missing_ban_is_found() {
        assert_eq!(
            clock_bans("x", "path = \"std::time::Instant::now\"").len(),
            1
        );
    }
}
