//! `kubectl tandem status`: the table of `tandem status`, with who may write.

use std::fmt::Write as _;

use super::args::Output;
use super::cluster::Cluster;
use super::error::Error;
use super::picture::Picture;
use crate::view;

/// Prints it.
pub(super) async fn run(cluster: &Cluster, name: &str, output: Output) -> Result<(), Error> {
    let picture = Picture::take(cluster, name).await?;
    let text = match output {
        Output::Table => render(&picture),
        Output::Json => {
            let mut text = serde_json::to_string_pretty(&picture).map_err(Error::Json)?;
            text.push('\n');
            text
        }
        Output::Yaml => serde_yaml::to_string(&picture).map_err(Error::Yaml)?,
    };
    view::put(&text);
    Ok(())
}

/// The table, below a line on the whole and above one for each claim.
fn render(picture: &Picture) -> String {
    let mut text = format!("{} in namespace {}", picture.name, picture.namespace);
    if picture.status.observed_generation < picture.generation {
        let _ = write!(
            text,
            "; the operator has not seen generation {} yet, this is of {}",
            picture.generation, picture.status.observed_generation
        );
    }
    if picture.pause {
        text.push_str("; paused: nothing is started, promoted or repointed");
    }
    text.push('\n');
    text.push_str(&view::render(&picture.status));
    for claim in &picture.claims {
        let _ = writeln!(
            text,
            "slot {} belongs to {} under epoch {}",
            claim.slot, claim.instance, claim.epoch
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use tandem_api::double_master::{DoubleMasterStatus, MemberStatus};

    use super::*;
    use crate::plugin::picture::ClaimSeen;

    fn picture() -> Picture {
        Picture {
            name: "demo".into(),
            namespace: "prod".into(),
            generation: 3,
            pause: false,
            replicas_per_master: 1,
            status: DoubleMasterStatus {
                observed_generation: 3,
                members: vec![MemberStatus {
                    name: "demo-a-0".into(),
                    slot: "a".into(),
                    role: "double_master".into(),
                    server_id: 1,
                    epoch: 2,
                    ..MemberStatus::default()
                }],
                ..DoubleMasterStatus::default()
            },
            claims: vec![ClaimSeen {
                slot: "a".into(),
                instance: "demo-a-0".into(),
                epoch: 2,
            }],
            last_failover_report: None,
            events: Vec::new(),
        }
    }

    #[test]
    fn members_and_claims_stand_in_one_text() {
        let text = render(&picture());
        assert!(text.starts_with("demo in namespace prod\nMEMBER"), "{text}");
        assert!(text.contains("demo-a-0"), "{text}");
        assert!(
            text.ends_with("slot a belongs to demo-a-0 under epoch 2\n"),
            "{text}"
        );
    }

    #[test]
    fn a_stale_status_and_a_pause_are_said_first() {
        let mut picture = picture();
        picture.generation = 5;
        picture.pause = true;
        let text = render(&picture);
        let head = text.lines().next().unwrap_or_default();
        assert!(
            head.contains("has not seen generation 5 yet, this is of 3"),
            "{head}"
        );
        assert!(head.contains("paused"), "{head}");
    }
}
