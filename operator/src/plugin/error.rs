//! What ends an invocation, with the remedy and the exit code.
//!
//! | code | meaning                                                        |
//! |------|----------------------------------------------------------------|
//! | 0    | done; equal; shown                                             |
//! | 1    | failed, or refused by the operator                             |
//! | 2    | wrong words (clap)                                             |
//! | 3    | `digest`: the instances hold different data                    |
//! | 4    | not finished at the deadline; the operator goes on             |

use std::time::Duration;

/// Why an invocation ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No event loop.
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    /// No usable kubeconfig.
    #[error("failed to read the kubeconfig")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// A client could not be made.
    #[error("failed to connect to the API server")]
    Connect(#[source] kube::Error),
    /// No such resource.
    #[error("there is no DoubleMaster `{name}` in namespace `{namespace}`")]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// The definitions are not installed.
    #[error("the API server does not know the kind DoubleMaster")]
    NotInstalled,
    /// The user may not.
    #[error("you may not {what}")]
    Forbidden {
        /// What was tried.
        what: String,
        /// What the API server says.
        #[source]
        source: kube::Error,
    },
    /// Another failure of the API server.
    #[error("failed to {what}")]
    Api {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The operator has said nothing of it yet.
    #[error("the operator has not said anything of `{0}` yet")]
    NoStatus(String),
    /// It cannot be asked like this.
    #[error("{problem}")]
    Unaskable {
        /// Why.
        problem: String,
        /// What to do instead.
        remedy: String,
    },
    /// The operator refused.
    #[error("the operator refused: {0}")]
    Refused(String),
    /// It took too long.
    #[error("not finished after {} s: {state}", waited.as_secs())]
    Deadline {
        /// How long was waited.
        waited: Duration,
        /// What was reached.
        state: String,
    },
    /// An instance could not be asked.
    #[error("failed to ask {instance}")]
    Ask {
        /// Which.
        instance: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The password could not be found.
    #[error("Secret `{secret}` has no key `password`")]
    NoPassword {
        /// Which.
        secret: String,
    },
    /// Data differ.
    #[error("the instances hold different data: {0}")]
    Different(String),
    /// The answer could not be written down.
    #[error("failed to encode the answer")]
    Json(#[source] serde_json::Error),
    /// The answer could not be written down.
    #[error("failed to encode the answer")]
    Yaml(#[source] serde_yaml::Error),
}

impl Error {
    /// A failed call, told apart by what the API server says.
    pub(super) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| match &source {
            kube::Error::Api(status) if status.is_forbidden() => Self::Forbidden { what, source },
            _ => Self::Api { what, source },
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Kubeconfig(_) => {
                "give --kubeconfig or --context, or set KUBECONFIG; `kubectl config get-contexts` lists contexts"
            }
            Self::Connect(_) | Self::Api { .. } => {
                "check that `kubectl get doublemasters` works with the same options"
            }
            Self::Missing { .. } => {
                "give its namespace with -n; `kubectl get doublemasters -A` lists them"
            }
            Self::NotInstalled => "install the chart tandem-crds, then the chart tandem",
            Self::Forbidden { .. } => {
                "docs/kubernetes/security.md lists what each command of the plugin needs"
            }
            Self::NoStatus(_) => {
                "check that the operator runs and serves this namespace: its log names what it waits for"
            }
            Self::Unaskable { remedy, .. } => remedy,
            Self::Deadline { .. } => {
                "the operator goes on by itself; `kubectl tandem explain` says what it waits for"
            }
            Self::Ask { .. } => "`kubectl tandem status` says how the instance is",
            Self::NoPassword { .. } => "add the key; the server takes its password from there",
            Self::Different(_) => {
                "keep the output and the logs of these instances; then `kubectl tandem resync` makes one \
                 of them take the state of its source"
            }
            Self::Refused(_) => "`kubectl tandem explain` shows the state it judged by",
            Self::Runtime(_) | Self::Json(_) | Self::Yaml(_) => return None,
        };
        Some(text.into())
    }

    /// The exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Different(_) => 3,
            Self::Deadline { .. } => 4,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_can_tell_different_data_from_a_deadline_and_from_a_failure() {
        let deadline = Error::Deadline {
            waited: Duration::from_mins(1),
            state: "claimed".into(),
        };
        assert_eq!(Error::Different(String::new()).exit_code(), 3);
        assert_eq!(deadline.exit_code(), 4);
        assert_eq!(Error::Refused(String::new()).exit_code(), 1);
        assert_eq!(deadline.to_string(), "not finished after 60 s: claimed");
    }

    #[test]
    fn what_a_person_can_mend_comes_with_the_remedy() {
        let missing = Error::Missing {
            name: "demo".into(),
            namespace: "prod".into(),
        };
        assert_eq!(
            missing.to_string(),
            "there is no DoubleMaster `demo` in namespace `prod`"
        );
        assert!(missing.remedy().unwrap().contains("-n"));
        assert!(
            Error::NotInstalled
                .remedy()
                .unwrap()
                .contains("tandem-crds")
        );
    }
}
