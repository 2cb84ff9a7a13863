//! Whether a group's primary is dead: a vote of those who watch it.
//!
//! Observers are the operator, each replica of the group (its link to the suspect) and the writers of
//! other groups (their link to it). An observer whose own process is known to have ended does not
//! count; one that is merely silent counts, and has no vote to give; one that answers and never had a
//! link to the suspect does not watch it, and does not count. Dead means: the operator has lost
//! it, more than half of the observers have, and one of them is in the data plane when there is one.
//!
//! | replicas | observers                    | votes needed | then enough are                    |
//! |----------|------------------------------|--------------|------------------------------------|
//! | 0        | operator, peer               | 2 of 2       | operator + peer                    |
//! | 1        | operator, replica, peer      | 2 of 3       | operator + replica, operator + peer |
//! | 2        | operator, 2 replicas, peer   | 3 of 4       | operator + any two of the others   |
//! | 0, no peer alive | operator             | 1 of 1       | operator: only a restart can follow |
//!
//! The operator's vote is always among them: it is the one who acts, and as long as it hears the
//! suspect, clients can too; a broken replication link is mended by repointing, and what an isolated
//! master takes meanwhile is merged, not lost.
//!
//! Three things are facts and need no vote: the process has ended; the instance itself says that it
//! cannot make writes durable (failed or hung disk); a restarted process that never answered, which
//! cannot write because it boots without a role. A process that ran before the operator came is not
//! taken for a restarted one as long as somebody hears it, and the vote on it needs no more time than
//! twice the silence that counts.

use serde::{Deserialize, Serialize};
use tandem_api::InstanceName;
use tandem_proto::status::InstanceStatus;

use crate::observed::{Address, InstanceObservation, Observed, Process};
use crate::step::Step;
use crate::timing::{MISSED_PROBES_MIN, Timing};

/// Failed starts in a row after which an instance is taken for lost.
const FAILED_STARTS_MAX: u32 = 2;

/// What the votes amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It answers.
    Alive,
    /// Its process runs since a short time and has not answered yet.
    Booting,
    /// It is silent, but that is not established.
    Suspect {
        /// What is missing for a verdict.
        missing: String,
    },
    /// It does not serve.
    Dead(Cause),
}

/// Why an instance does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its process ended, or was never started.
    Exited {
        /// How it ended.
        how: String,
    },
    /// A failed fsync: it refuses writes until it is restarted.
    Poisoned,
    /// Writes wait for the disk.
    DiskHung {
        /// Age of the oldest of them.
        unsynced_ms: u64,
    },
    /// It runs and does not answer.
    Hung {
        /// Milliseconds since its last answer.
        silent_ms: u64,
    },
    /// It was restarted and has not come back.
    NotBack {
        /// Milliseconds since it was started.
        since_ms: u64,
    },
    /// It has the claim and did not open.
    NotOpened {
        /// The claimed instance.
        instance: InstanceName,
        /// Milliseconds since the claim.
        waited_ms: u64,
    },
    /// It lives, and a person asked for another one.
    Requested,
    /// It lives, and its place goes.
    Leaving {
        /// Why.
        why: String,
    },
    /// It lives, and has to be replaced by one that the present specification wants.
    Outdated {
        /// What differs.
        what: String,
    },
    /// It lives, and the wanted number of instances does not reach its ordinal.
    Surplus,
    /// It lives, and would be lost together with the other slot's primary.
    Together {
        /// The node of both.
        node: String,
    },
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { how } => write!(f, "process exited: {how}"),
            Self::Poisoned => f.write_str("failed fsync"),
            Self::DiskHung { unsynced_ms } => write!(f, "disk hung for {unsynced_ms} ms"),
            Self::Hung { silent_ms } => write!(f, "hung, silent for {silent_ms} ms"),
            Self::NotBack { since_ms } => write!(f, "not back {since_ms} ms after its start"),
            Self::NotOpened {
                instance,
                waited_ms,
            } => write!(f, "{instance} did not open within {waited_ms} ms"),
            Self::Requested => f.write_str("asked for"),
            Self::Leaving { why } => f.write_str(why),
            Self::Outdated { what } => write!(f, "outdated: {what}"),
            Self::Surplus => f.write_str("beyond the wanted number of replicas"),
            Self::Together { node } => write!(f, "both masters are on node {node}"),
        }
    }
}

impl Cause {
    /// Whether it rests on silence alone, so that hysteresis applies.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Hung { .. } | Self::NotBack { .. })
    }
}

/// What one observer says of the suspect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// `operator`, or the instance.
    pub observer: String,
    /// Its word.
    pub testimony: Testimony,
}

/// One observer's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Testimony {
    /// Lost contact that long ago.
    Dead {
        /// Milliseconds since its last contact.
        silent_ms: u64,
    },
    /// Has contact.
    Alive {
        /// Milliseconds since its last contact.
        silent_ms: u64,
    },
    /// Has no link to it and never had: it does not watch, and is not counted.
    NoLink,
    /// Has nothing to say.
    Unknown {
        /// Why.
        why: String,
    },
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.testimony {
            Testimony::Dead { silent_ms } => {
                write!(f, "{}: no contact for {silent_ms} ms", self.observer)
            }
            Testimony::Alive { silent_ms } => {
                write!(f, "{}: contact {silent_ms} ms ago", self.observer)
            }
            Testimony::NoLink => write!(f, "{}: has no link to it", self.observer),
            Testimony::Unknown { why } => write!(f, "{}: {why}", self.observer),
        }
    }
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Everyone asked; only the operator when a fact decided.
    pub witnesses: Vec<Witness>,
}

/// Judges `suspect` by the data-plane `observers` (its replicas and the peers' writers) and the
/// operator's own probes.
pub fn judge(
    suspect: &InstanceName,
    observers: &[&InstanceName],
    observed: &Observed,
    timing: &Timing,
) -> Judgement {
    let seen = observed.instances.get(suspect);
    let Some(seen) = seen.filter(|seen| seen.process != Process::Absent) else {
        return not_started(suspect, observed);
    };
    let own = by_own_word(seen, timing);
    match own {
        Some(own) if seen.ran_before && !seen.has_answered() => {
            let vote = by_vote(suspect, seen, observers, observed, timing);
            at_first_sight(own, vote, seen.silent_ms, timing)
        }
        Some(own) => own,
        None => by_vote(suspect, seen, observers, observed, timing),
    }
}

/// The verdict on an instance that ran before the operator came and has not answered it: those who
/// watched it all the time need not be waited for, and are believed when they hear it. Their words go
/// with any verdict.
fn at_first_sight(own: Judgement, vote: Judgement, silent_ms: u64, timing: &Timing) -> Judgement {
    let is_heard = vote
        .witnesses
        .iter()
        .skip(1)
        .any(|witness| matches!(witness.testimony, Testimony::Alive { .. }));
    match (&own.verdict, &vote.verdict) {
        (_, Verdict::Dead(_)) if silent_ms >= 2 * timing.hang_ms => vote,
        (Verdict::Dead(_), _) if is_heard => vote,
        (Verdict::Booting, _) => Judgement {
            witnesses: vote.witnesses,
            ..own
        },
        _ => own,
    }
}

/// Whether an instance is about to answer for the first time in this life of its process.
pub fn is_booting(name: &InstanceName, observed: &Observed, timing: &Timing) -> bool {
    let seen = observed.instances.get(name);
    let judgement = match seen.filter(|seen| seen.process != Process::Absent) {
        None => Some(not_started(name, observed)),
        Some(seen) => by_own_word(seen, timing),
    };
    judgement.is_some_and(|judgement| judgement.verdict == Verdict::Booting)
}

/// One that is about to be started boots; one that could not be started again and again is lost.
fn not_started(name: &InstanceName, observed: &Observed) -> Judgement {
    let key = Step::Start {
        instance: name.clone(),
    }
    .key();
    match observed.attempts.get(&key) {
        Some(attempt) if attempt.failures >= FAILED_STARTS_MAX && !attempt.error.is_empty() => {
            let how = format!("cannot be started: {}", attempt.error);
            by_fact(Cause::Exited { how }, 0)
        }
        _ => Judgement {
            verdict: Verdict::Booting,
            witnesses: Vec::new(),
        },
    }
}

fn by_fact(cause: Cause, silent_ms: u64) -> Judgement {
    let witness = Witness {
        observer: "operator".into(),
        testimony: Testimony::Dead { silent_ms },
    };
    Judgement {
        verdict: Verdict::Dead(cause),
        witnesses: vec![witness],
    }
}

/// What the process and the suspect itself say, when that settles it.
fn by_own_word(seen: &InstanceObservation, timing: &Timing) -> Option<Judgement> {
    if let Process::Exited { how, age_ms, .. } = &seen.process {
        return Some(by_fact(Cause::Exited { how: how.clone() }, *age_ms));
    }
    if let Some(status) = seen.heard(timing) {
        let age_ms = seen.answer.as_ref().map_or(0, |answer| answer.age_ms);
        if status.poisoned {
            return Some(by_fact(Cause::Poisoned, age_ms));
        }
        if seen.unsynced_ms >= timing.disk_ms {
            return Some(by_fact(
                Cause::DiskHung {
                    unsynced_ms: seen.unsynced_ms,
                },
                age_ms,
            ));
        }
        return Some(Judgement {
            verdict: Verdict::Alive,
            witnesses: Vec::new(),
        });
    }
    if seen.has_answered() {
        return None;
    }
    let since_ms = seen.running_ms()?;
    if since_ms < timing.assemble_ms {
        Some(Judgement {
            verdict: Verdict::Booting,
            witnesses: Vec::new(),
        })
    } else {
        Some(by_fact(Cause::NotBack { since_ms }, since_ms))
    }
}

fn by_vote(
    suspect: &InstanceName,
    seen: &InstanceObservation,
    observers: &[&InstanceName],
    observed: &Observed,
    timing: &Timing,
) -> Judgement {
    let own = operator_testimony(seen, timing);
    let operator_lost_it = matches!(own, Testimony::Dead { .. });
    let mut witnesses = vec![Witness {
        observer: "operator".into(),
        testimony: own,
    }];
    let watching = observers.iter().filter(|name| {
        **name != suspect
            && observed
                .instances
                .get(**name)
                .is_some_and(|observer| !observer.is_gone())
    });
    let suspect_id = seen
        .last_status()
        .map_or("", |status| status.instance_id.as_str());
    for name in watching {
        let testimony = observed.instances.get(*name).map_or_else(
            || Testimony::Unknown {
                why: "not seen".into(),
            },
            |observer| data_plane_testimony(observer, &seen.address, suspect_id, timing),
        );
        witnesses.push(Witness {
            observer: name.to_string(),
            testimony,
        });
    }
    let dead = |witness: &&Witness| matches!(witness.testimony, Testimony::Dead { .. });
    let votes = witnesses.iter().filter(dead).count();
    let watches = |witness: &&Witness| witness.testimony != Testimony::NoLink;
    let watching = witnesses.iter().filter(watches).count();
    let needed = watching / 2 + 1;
    let in_data_plane = witnesses.len() > 1;
    let data_plane_votes = witnesses.iter().skip(1).filter(dead).count();
    let established =
        operator_lost_it && votes >= needed && (!in_data_plane || data_plane_votes > 0);
    let verdict = if established {
        Verdict::Dead(Cause::Hung {
            silent_ms: seen.silent_ms,
        })
    } else {
        let missing = if operator_lost_it {
            format!("{votes} of {watching} observers have lost it, {needed} needed")
        } else {
            format!(
                "{} probes missed, {MISSED_PROBES_MIN} needed",
                seen.missed_probes
            )
        };
        Verdict::Suspect { missing }
    };
    Judgement { verdict, witnesses }
}

fn operator_testimony(seen: &InstanceObservation, timing: &Timing) -> Testimony {
    let silent_ms = seen.silent_ms;
    if silent_ms >= timing.hang_ms && seen.missed_probes >= MISSED_PROBES_MIN {
        Testimony::Dead { silent_ms }
    } else if seen.has_answered() {
        Testimony::Alive { silent_ms }
    } else {
        let why = format!("has asked it for {silent_ms} ms");
        Testimony::Unknown { why }
    }
}

/// The word of an instance: its freshest contact with the suspect, by the link it dials and by the
/// acks of the link that the suspect dials. Only an instance that is heard has a word.
fn data_plane_testimony(
    observer: &InstanceObservation,
    suspect: &Address,
    suspect_id: &str,
    timing: &Timing,
) -> Testimony {
    let Some(status) = observer.heard(timing) else {
        return Testimony::Unknown {
            why: "does not answer".into(),
        };
    };
    let answer_age_ms = observer.answer.as_ref().map_or(0, |answer| answer.age_ms);
    match freshest_contact_ms(status, suspect, suspect_id) {
        None => Testimony::NoLink,
        Some(contact_ms) => {
            let silent_ms = contact_ms + answer_age_ms;
            if silent_ms >= timing.link_ms {
                Testimony::Dead { silent_ms }
            } else {
                Testimony::Alive { silent_ms }
            }
        }
    }
}

fn freshest_contact_ms(
    status: &InstanceStatus,
    suspect: &Address,
    suspect_id: &str,
) -> Option<u64> {
    let is_suspect = |host: &str, port: u16, id: &str| {
        (port == suspect.port && host == suspect.host) || (!id.is_empty() && id == suspect_id)
    };
    let dialled = status
        .links
        .iter()
        .filter(|link| is_suspect(&link.host, link.port, &link.instance_id))
        .filter_map(|link| link.last_contact_ms);
    let serving = status
        .receivers
        .iter()
        .filter(|receiver| is_suspect(&receiver.host, receiver.port, &receiver.instance_id))
        .map(|receiver| receiver.last_ack_ms);
    dialled.chain(serving).min()
}
