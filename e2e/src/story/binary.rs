//! The `tandem` binary of the same build as the test, made once per program.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// Path of a binary to use as it is, instead of building one.
const BINARY_VARIABLE: &str = "TANDEM_BINARY";

/// Gives the path of the binary; the first call builds it, when cargo finds that it has to.
pub fn path() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PATH.get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

fn build() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(given.into());
    }
    // TARGET/PROFILE/deps/stories-HASH
    let own = std::env::current_exe().context("failed to find the test's own program")?;
    let mut above = own.ancestors().skip(2);
    let (Some(profile), Some(target)) = (above.next(), above.next()) else {
        return Err(anyhow!("`{}` lies in no target directory", own.display()));
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", "tandem", "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().context("failed to run cargo")?;
    ensure!(
        output.status.success(),
        "cargo did not build the binary: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = profile.join("tandem");
    ensure!(path.exists(), "cargo made no `{}`", path.display());
    Ok(path)
}
