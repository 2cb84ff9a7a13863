//! The words of `kubectl tandem`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Looks after a `DoubleMaster`: what it does, why, and what a person wants it to do.
#[derive(Debug, Parser)]
#[command(name = "kubectl tandem", bin_name = "kubectl tandem", version)]
pub(super) struct Plugin {
    /// All of it.
    #[command(flatten)]
    pub(super) arguments: Arguments,
}

/// What to do, and where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// Which cluster and namespace.
#[derive(Debug, Clone, Default, Args)]
pub struct Target {
    /// Namespace of the resource [default: the context's]
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Says how a resource and its instances are
    Status {
        /// Name of the resource
        name: String,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Says why it failed over, why it did not, and what would happen now
    Explain {
        /// Name of the resource
        name: String,
    },
    /// Hands a slot over to a replica, without a lost write
    Switchover(Handover),
    /// Promotes a replica without waiting for the old primary
    Failover(Handover),
    /// Has an instance take over or merge the whole state of its source again
    Resync {
        /// Name of the resource
        name: String,
        /// The instance
        instance: String,
        /// How long to wait for the end
        #[arg(long, default_value = "300s", value_parser = seconds)]
        timeout: Duration,
    },
    /// Compares the data of all instances
    Digest {
        /// Name of the resource
        name: String,
        /// How long to wait until all instances hold the same writes
        #[arg(long, default_value = "15s", value_parser = seconds)]
        timeout: Duration,
    },
    /// Prints the logs of one or all instances
    Logs(Logs),
}

/// A change of primary.
#[derive(Debug, Clone, Args)]
pub struct Handover {
    /// Name of the resource
    pub name: String,
    /// The slot
    #[arg(value_enum)]
    pub slot: Slot,
    /// The instance that shall write [default: the best replica]
    #[arg(long, value_name = "INSTANCE")]
    pub to: Option<String>,
    /// How long to wait for the end
    #[arg(long, default_value = "60s", value_parser = seconds)]
    pub timeout: Duration,
}

/// What to print of which logs.
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// Name of the resource
    pub name: String,
    /// One instance [default: all]
    pub instance: Option<String>,
    /// Go on as lines come
    #[arg(short, long)]
    pub follow: bool,
    /// Only so many of the last lines of each instance
    #[arg(long)]
    pub tail: Option<i64>,
    /// The life of the container before the present one
    #[arg(short, long, conflicts_with = "follow")]
    pub previous: bool,
}

/// A slot of a `DoubleMaster`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The word in names and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// `90`, `90s`, `5m`, at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "give seconds or minutes, such as 90s or 5m".to_string())?;
    match number.saturating_mul(factor) {
        0 => Err("give at least one second".into()),
        seconds if seconds <= 86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err("give at most a day".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Arguments, String> {
        let words = std::iter::once("kubectl-tandem").chain(words.split_whitespace());
        Plugin::try_parse_from(words)
            .map(|plugin| plugin.arguments)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_switchover_names_slot_target_and_deadline() {
        let arguments = parse("switchover demo b --to demo-b-2 --timeout 2m -n prod").unwrap();
        let Verb::Switchover(asked) = arguments.verb else {
            panic!("another verb");
        };
        assert_eq!(
            (asked.name.as_str(), asked.slot, asked.to.as_deref()),
            ("demo", Slot::B, Some("demo-b-2"))
        );
        assert_eq!(asked.timeout, Duration::from_mins(2));
        assert_eq!(arguments.target.namespace.as_deref(), Some("prod"));
    }

    #[test]
    fn the_target_may_stand_before_the_verb() {
        let arguments = parse("--context east --namespace prod status demo -o yaml").unwrap();
        assert_eq!(arguments.target.context.as_deref(), Some("east"));
        assert!(matches!(
            arguments.verb,
            Verb::Status {
                output: Output::Yaml,
                ..
            }
        ));
    }

    #[test]
    fn what_is_no_slot_or_deadline_is_refused_with_what_is() {
        let error = parse("failover demo c").unwrap_err();
        assert!(error.contains("possible values: a, b"), "{error}");
        let error = parse("digest demo --timeout soon").unwrap_err();
        assert!(error.contains("such as 90s or 5m"), "{error}");
        assert!(parse("digest demo --timeout 0").is_err());
        assert!(parse("logs demo -f --previous").is_err());
    }

    #[test]
    fn logs_take_one_instance_or_all() {
        let Verb::Logs(all) = parse("logs demo").unwrap().verb else {
            panic!("another verb");
        };
        assert_eq!((all.instance, all.follow), (None, false));
        let Verb::Logs(one) = parse("logs demo demo-a-0 -f --tail 5").unwrap().verb else {
            panic!("another verb");
        };
        assert_eq!(
            (one.instance.as_deref(), one.follow, one.tail),
            (Some("demo-a-0"), true, Some(5))
        );
    }
}
