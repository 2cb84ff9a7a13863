//! The `tandem` binary: the server, the local runtime, and what goes with them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tandem::local::Local;
use tandem::runtime::kubernetes::PASSWORD_VARIABLE;
use tandem::runtime::process::enter_own_session;
use tandem::status::Format;
use tandem::{crds, local, operator, plugin, status, telemetry, view};

/// Masters that merge, and an operator that fails over by itself.
#[derive(Debug, Parser)]
#[command(name = "tandem", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Small short-lived objects of many sizes, freed on other threads than made them: what mimalloc is for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a server: configuration keys as `--KEY VALUE`, or `--config FILE`
    #[command(disable_help_flag = true)]
    Server {
        /// Configuration keys and values
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Runs a pair of masters on this machine, with everything that fails over
    Local {
        /// Manifest of a `DoubleMaster`
        file: PathBuf,
        /// Where data, logs and reports lie [default: .tandem/NAME]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// First port: -rw, -ro, -a, -b, then the instances [default: 7000, or that of the last time]
        #[arg(long)]
        base_port: Option<u16>,
        /// Drop all data of that directory first
        #[arg(long)]
        reset: bool,
        /// Multiply all detection intervals, for a machine that is busy with other things
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
        patience: u64,
    },
    /// Says how a local runtime and its instances are
    Status {
        /// Directory of the runtime [default: the only one below .tandem]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Looks after the resources of a Kubernetes cluster
    Operator(operator::Options),
    /// Writes the definitions of the custom resources
    Crds {
        /// Directory to write to
        #[arg(default_value = "crds")]
        directory: PathBuf,
    },
    /// Looks after resources on Kubernetes; the same as `kubectl tandem`
    Kubectl(plugin::Arguments),
}

fn main() -> ExitCode {
    enter_own_session();
    if plugin::is_named_so(std::env::args_os().next().as_deref()) {
        return plugin::main();
    }
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "ended with an error");
            eprintln!("tandem: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Server { mut words } => {
            telemetry::to_stderr();
            // Never on a command line, where every user of the machine could read it.
            if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
                for key in ["--requirepass", "--masterauth"] {
                    words.extend([key.to_string(), password.clone()]);
                }
            }
            tandem_node::run(&words)?;
        }
        Command::Operator(options) => {
            telemetry::to_stderr();
            runtime()?.block_on(operator::run(options))?;
        }
        Command::Local {
            file,
            dir,
            base_port,
            reset,
            patience,
        } => {
            let local = Local {
                file,
                directory: dir,
                base_port,
                reset,
                patience,
            };
            runtime()?.block_on(local::run(local))?;
        }
        Command::Status { dir, output } => {
            telemetry::to_stderr();
            runtime()?.block_on(status::run(dir, output))?;
        }
        Command::Crds { directory } => {
            for file in crds::write(&directory)? {
                view::put(&format!("{}\n", directory.join(file).display()));
            }
        }
        Command::Kubectl(arguments) => return Ok(plugin::run(arguments)),
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
