//! Full resyncs that a person asks for, and links that only call themselves streaming.

use tandem_plan::Step;
use tandem_plan::double_master::DoubleMasterPlan;

use crate::fixture::plan_of;

/// Two healthy slots with a replica each and a request; `a0` ... `b1` add to an instance.
fn asked(instance: &str, [a0, a1, b0, b1]: [&str; 4]) -> DoubleMasterPlan {
    plan_of(&format!(
        "
requests: [{{kind: resync, text: {instance}}}]
claims: {{a: {{epoch: 1, instance: dm-a-0}}, b: {{epoch: 1, instance: dm-b-0}}}}
services: {{dm-rw: [dm-a-0], dm-ro: [dm-a-1, dm-b-1], dm-a: [dm-a-0], dm-b: [dm-b-0]}}
instances:
  dm-a-0: {{role: double_master, epoch: 1, peer: dm-b-0, holds: {{1: 9, 2: 9}}{a0}}}
  dm-a-1: {{role: replica, epoch: 1, follows: dm-a-0{a1}}}
  dm-b-0: {{role: double_master, epoch: 1, peer: dm-a-0, holds: {{1: 9, 2: 9}}{b0}}}
  dm-b-1: {{role: replica, epoch: 1, follows: dm-b-0, holds: {{1: 9, 2: 9}}{b1}}}
"
    ))
}

fn steps(plan: &DoubleMasterPlan) -> Vec<String> {
    plan.steps().map(Step::to_string).collect()
}

/// The answer, `done` or `refused` before it; empty while there is none.
fn answer(plan: &DoubleMasterPlan) -> String {
    plan.replies.first().map_or_else(String::new, |reply| {
        let word = if reply.done { "done" } else { "refused" };
        format!("{word}: {}", reply.message)
    })
}

const WELL: &str = "";
const HOLDS: &str = ", holds: {1: 9, 2: 9}";

#[test]
fn a_replica_that_is_asked_to_takes_the_state_of_its_primary() {
    let plan = asked("dm-a-1", [WELL, HOLDS, WELL, WELL]);
    let step = "full resync dm-a-1 <- dm-a-0, replacing its own state";
    assert_eq!(steps(&plan), [step]);
    assert_eq!(answer(&plan), format!("done: begun: {step}"));
    let said: Vec<String> = plan.events.iter().map(ToString::to_string).collect();
    let event = "Warning ResyncRequested: dm-a-1 takes the state of dm-a-0: asked for";
    assert!(said.iter().any(|line| line == event), "{plan}");
    // One whose link is refused is what a person asks for; it holds nothing that would be lost.
    let refused = asked(
        "dm-a-1",
        [WELL, ", holds: {1: 8}, link: refused", WELL, WELL],
    );
    assert!(steps(&refused).contains(&step.to_string()), "{refused}");
}

#[test]
fn a_primary_that_is_asked_to_merges_the_state_of_its_peer() {
    let plan = asked("dm-a-0", [WELL, HOLDS, WELL, WELL]);
    assert_eq!(steps(&plan), ["full resync dm-a-0 <- dm-b-0"]);
    assert_eq!(answer(&plan), "done: begun: full resync dm-a-0 <- dm-b-0");
}

#[test]
fn a_resync_that_would_do_harm_or_nothing_is_refused_with_the_reason() {
    let cases = [
        (
            asked(
                "dm-a-0",
                [
                    WELL,
                    HOLDS,
                    ", exited: 9, quick_exits: 9",
                    ", not_eligible: holes",
                ],
            ),
            "refused: dm-a-0 is the primary of slot a, and there is no other writer",
        ),
        (
            asked(
                "dm-a-1",
                [WELL, ", holds: {1: 12}, link: refused", WELL, WELL],
            ),
            "refused: dm-a-1 holds 3 records that dm-a-0 was not seen to hold",
        ),
        (
            asked("dm-a-1", [WELL, ", exited: 9", WELL, WELL]),
            "refused: dm-a-1 does not answer",
        ),
        (
            asked("dm-a-1", [WELL, ", link: full_resync", WELL, WELL]),
            "done: a full resync dm-a-1 <- dm-a-0 runs already",
        ),
        (
            asked("dm-a-7", [WELL; 4]),
            "refused: there is no instance dm-a-7",
        ),
    ];
    for (plan, wanted) in cases {
        assert!(answer(&plan).starts_with(wanted), "{wanted}: {plan}");
        assert!(
            !steps(&plan).iter().any(|step| step.starts_with("full")),
            "{plan}"
        );
    }
    // Without a peer, SLAVEOF would make a follower of it.
    let unpaired = plan_of(
        "
requests: [{kind: resync, text: dm-a-0}]
claims: {a: {epoch: 1, instance: dm-a-0}, b: {epoch: 1, instance: dm-b-0}}
instances:
  dm-a-0: {role: primary, epoch: 1}
  dm-b-0: {role: primary, epoch: 1}
",
    );
    assert!(
        answer(&unpaired).contains("is not linked with dm-b-0 yet"),
        "{unpaired}"
    );
}

#[test]
fn a_request_is_answered_once_its_step_is_taken() {
    let busy = asked(
        "dm-a-1",
        [WELL, ", holds: {1: 9}, busy: follow", WELL, WELL],
    );
    assert_eq!(
        (answer(&busy), steps(&busy).len()),
        (String::new(), 0),
        "{busy}"
    );
    let elsewhere = asked("dm-a-1", [WELL, HOLDS, ", link: full_resync", WELL]);
    assert_eq!(answer(&elsewhere), "", "{elsewhere}");
    assert!(
        elsewhere.to_string().contains("another full resync runs"),
        "{elsewhere}"
    );
}

#[test]
fn a_link_that_has_heard_nothing_for_long_is_not_a_pair() {
    let paired = |contact: u64| {
        let plan = asked(
            "dm-a-7",
            [&format!(", contact: {contact}"), HOLDS, WELL, WELL],
        );
        let found = plan
            .status
            .conditions
            .iter()
            .find(|one| one.kind == "Paired");
        let found = found.expect("a condition").clone();
        (
            found.status.as_str().to_string(),
            plan.groups[0].paired,
            plan.to_string(),
        )
    };
    // An idle link is pinged once a second, and an answer may be as old as a probe.
    assert_eq!(paired(1500).0, "True");
    let (status, is_paired, text) = paired(20_000);
    assert_eq!((status.as_str(), is_paired), ("False", false));
    assert!(text.contains("has heard nothing for 20020 ms"), "{text}");
}
