//! `kubectl tandem`: what a person asks of a resource, and asks the operator to do.
//!
//! ```text
//! args ─▶ cluster (API server) ─▶ picture ─▶ status, explain      reads
//!                              ├▶ request ─▶ annotation, waits    failover, switchover, resync
//!                              ├▶ door ─▶ digest                  through a forwarded port
//!                              └▶ logs
//! ```
//!
//! Nothing here decides anything: what may be done is for the operator, which answers by events and status.

mod args;
mod cluster;
mod digest;
mod door;
mod error;
mod explain;
mod logs;
mod picture;
mod request;
mod status;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

pub use args::Arguments;
use args::{Plugin, Verb};
use cluster::Cluster;
use error::Error;
use request::Ask;

/// Whether a program of this name is the plugin: kubectl looks for `kubectl-tandem` on the PATH.
pub fn is_named_so(program: Option<&OsStr>) -> bool {
    program
        .map(Path::new)
        .and_then(Path::file_stem)
        .is_some_and(|stem| stem == "kubectl-tandem" || stem == "kubectl_tandem")
}

/// The whole program under the plugin's own name.
pub fn main() -> ExitCode {
    run(Plugin::parse().arguments)
}

/// Carries out one invocation; says what went wrong and what to do about it.
pub fn run(arguments: Arguments) -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        crate::telemetry::to_stderr();
    }
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)
        .and_then(|runtime| runtime.block_on(carry_out(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubectl tandem: {}", crate::error::chain(&error));
            if let Some(remedy) = error.remedy() {
                eprintln!("  {remedy}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn carry_out(arguments: Arguments) -> Result<(), Error> {
    let cluster = Cluster::connect(&arguments.target).await?;
    match arguments.verb {
        Verb::Status { name, output } => status::run(&cluster, &name, output).await,
        Verb::Explain { name } => explain::run(&cluster, &name).await,
        Verb::Switchover(asked) => {
            let ask = Ask::Switchover(asked.slot, asked.to);
            request::run(&cluster, &asked.name, &ask, asked.timeout).await
        }
        Verb::Failover(asked) => {
            let ask = Ask::Failover(asked.slot, asked.to);
            request::run(&cluster, &asked.name, &ask, asked.timeout).await
        }
        Verb::Resync {
            name,
            instance,
            timeout,
        } => request::run(&cluster, &name, &Ask::Resync(instance), timeout).await,
        Verb::Digest { name, timeout } => digest::run(&cluster, &name, timeout).await,
        Verb::Logs(wanted) => logs::run(&cluster, &wanted).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_known_by_its_name() {
        let named = |name: &str| is_named_so(Some(OsStr::new(name)));
        assert!(named("kubectl-tandem"));
        assert!(named("/usr/local/bin/kubectl-tandem"));
        assert!(named("kubectl_tandem"));
        assert!(!named("/usr/local/bin/tandem"));
        assert!(!is_named_so(None));
    }
}
