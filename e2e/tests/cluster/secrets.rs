//! A password that is changed under load: clients with either one are served, no link is refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use serde_json::json;
use tandem_e2e::cluster::pair::{HEAL_LIMIT, usual_spec};
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage, wait_until};
use tandem_e2e::story::Instance;
use tandem_proto::status::LinkState;

use super::support::{SOME, epochs, pass, replicas_of, wait_for_another_pod};

const SECRET: &str = "dm-password";
const OLD: &str = "the-first-password";
const NEW: &str = "the-second-password";
/// How long an operator is without the password that instances take.
const LOCKED_OUT: Duration = Duration::from_secs(40);

#[test]
fn a_password_is_changed_under_load_and_no_link_or_client_is_refused() {
    let Some(stage) = Stage::begin("password rotation").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let pair = with_the_old_password(&stage).unwrap();
    let refusal = refused(pair.service("rw").unwrap().with_password(None)).unwrap();
    stage.says(format_args!("without a password: {refusal}"));
    let doors = pair.instances().unwrap();
    let before = epochs(&pair.status().unwrap()).unwrap();
    let links = links_of(&doors, OLD).unwrap();

    let old = Clients::start(&pair, "old").unwrap();
    old.wait_for_more(SOME).unwrap();
    let changed = Instant::now();
    give(&stage, NEW).unwrap();
    wait_until("all take the new password", HEAL_LIMIT, || {
        links_hold(&doors, OLD, &links);
        doors.iter().try_for_each(|door| answers(*door, NEW))
    })
    .unwrap();
    let taken = changed.elapsed();
    for door in &doors {
        answers(*door, OLD).unwrap();
    }
    pair.use_password(NEW);
    let new = Clients::start(&pair, "new").unwrap();
    for clients in [&old, &new] {
        clients.wait_for_more(SOME).unwrap();
    }

    wait_until("nobody takes the old password", HEAL_LIMIT, || {
        links_hold(&doors, NEW, &links);
        for door in &doors {
            answers(*door, NEW).unwrap();
            refused(door.with_password(Some(OLD)))?;
        }
        Ok(())
    })
    .unwrap();
    let retired = changed.elapsed();
    // Who is in stays in.
    for clients in [&old, &new] {
        clients.wait_for_more(SOME).unwrap();
    }
    links_hold(&doors, NEW, &links);
    assert_eq!(epochs(&pair.status().unwrap()).unwrap(), before);
    let (old, new) = (old.finish().unwrap(), new.finish().unwrap());
    stage.says(format_args!(
        "all took the new password after {} ms, none the old one after {:.1} s; longest time without an \
         answer on -rw: {} ms with the old one, {} ms with the new one; {} links, none made anew",
        taken.as_millis(),
        retired.as_secs_f64(),
        old.rw_outage(changed).as_millis(),
        new.rw_outage(changed).as_millis(),
        links.values().map(BTreeMap::len).sum::<usize>(),
    ));
    let mut ledger = old.ledger();
    ledger.merge(new.ledger());
    assert_eq!(ledger.unanswered(), 0, "a client was thrown out");
    told_once(&stage).unwrap();
    pair.nothing_is_lost(&ledger).unwrap();
    a_new_pod_has_the_new_password(&stage, &pair);
    assert_eq!(epochs(&pair.status().unwrap()).unwrap(), before);
}

fn with_the_old_password(stage: &Stage) -> Result<Pair<'_>> {
    give(stage, OLD)?;
    let mut spec = usual_spec();
    spec["auth"] = json!({"secretName": SECRET});
    Pair::start_with(stage, &spec, Some(OLD))
}

fn give(stage: &Stage, password: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": {"password": password},
    });
    stage.apply(&secret.to_string())
}

fn answers(door: Instance, password: &'static str) -> Result<()> {
    let pong: String = door.with_password(Some(password)).ask(&["PING"])?;
    ensure!(pong == "PONG", "it answers {pong}");
    Ok(())
}

/// How a client is refused; one that is not is an error.
fn refused(door: Instance) -> Result<String> {
    let answer = door.ask::<String>(&["PING"]);
    let Err(error) = answer else {
        anyhow::bail!("{door} still takes it")
    };
    let told = format!("{error:#}");
    let is_about_it = ["WRONGPASS", "NOAUTH", "assword"];
    assert!(is_about_it.iter().any(|word| told.contains(word)), "{told}");
    Ok(told)
}

/// Of each instance, how often each link it dials was made.
type Links = BTreeMap<String, BTreeMap<String, u64>>;

fn links_of(doors: &[Instance], password: &'static str) -> Result<Links> {
    let mut links = Links::new();
    for door in doors {
        let status = door.with_password(Some(password)).status()?;
        let own = status.links.iter().map(|link| {
            let wrong = matches!(link.state, LinkState::Refused | LinkState::LostPlace);
            assert!(!wrong, "a link of {door}: {link:?}");
            let name = format!("{} {}", link.kind.as_str(), link.host);
            (name, link.partial_resyncs + link.full_resyncs)
        });
        links.insert(door.to_string(), own.collect());
    }
    Ok(links)
}

/// No link was refused, and none was made anew.
fn links_hold(doors: &[Instance], password: &'static str, before: &Links) {
    assert_eq!(&links_of(doors, password).unwrap(), before);
}

fn told_once(stage: &Stage) -> Result<()> {
    for reason in ["PasswordChanging", "PasswordChanged"] {
        wait_until(
            &format!("an event {reason}"),
            Duration::from_secs(20),
            || {
                let events: Vec<Event> = stage.list("")?;
                let told = events.iter();
                let told = told.filter(|event| event.reason.as_deref() == Some(reason));
                let count = told.count();
                ensure!(count == 1, "{count} events");
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn a_new_pod_has_the_new_password(stage: &Stage, pair: &Pair) {
    let secret: Secret = stage.get(SECRET).unwrap();
    assert_eq!(secret.data.unwrap()["password"].0, NEW.as_bytes());
    let replica = replicas_of(pair, "a").unwrap().remove(0);
    let pod = pair.pod_id(&replica.name).unwrap();
    stage.delete::<Pod>(&replica.name, None).unwrap();
    wait_for_another_pod(pair, &replica.name, &pod).unwrap();
    pair.wait_until_ready().unwrap();
    let door = pair.instance(&replica.name).unwrap();
    refused(door.with_password(Some(OLD))).unwrap();
}

/// The next operator knows only a password that no instance takes, and leaves them alone; the old one
/// brought back ends that.
#[test]
fn a_password_that_was_changed_while_no_operator_ran_disturbs_no_client() {
    let Some(stage) = Stage::begin("password changed, no operator").unwrap() else {
        return;
    };
    let operator = Operator::install(&stage).unwrap();
    let pair = with_the_old_password(&stage).unwrap();
    let before = pair.status().unwrap().epochs;
    let doors = pair.instances().unwrap();
    let links = links_of(&doors, OLD).unwrap();
    let clients = Clients::start(&pair, "between").unwrap();
    clients.wait_for_more(SOME).unwrap();

    operator.scale(0).unwrap();
    give(&stage, NEW).unwrap();
    operator.scale(2).unwrap();
    operator.wait_until_led().unwrap();
    let since = Instant::now();
    while since.elapsed() < LOCKED_OUT {
        links_hold(&doors, OLD, &links);
        clients.wait_for_more(SOME).unwrap();
        // Who comes now is led to the same place.
        for suffix in ["rw", "ro", "a", "b"] {
            answers(pair.service(suffix).unwrap(), OLD).unwrap();
        }
        pass(Duration::from_secs(1));
    }
    give(&stage, OLD).unwrap();
    pair.wait_until_ready().unwrap();
    give(&stage, NEW).unwrap();
    wait_until("all take the new password", HEAL_LIMIT, || {
        doors.iter().try_for_each(|door| answers(*door, NEW))
    })
    .unwrap();
    pair.use_password(NEW);
    let status = pair.wait_until_ready().unwrap();
    let told = clients.finish().unwrap();
    stage.says(format_args!(
        "nobody was disturbed in {} s: longest time without an answer -rw {} ms, -a {} ms, -b {} ms",
        LOCKED_OUT.as_secs(),
        told.rw_outage(since).as_millis(),
        told.slot_outage("a", since).as_millis(),
        told.slot_outage("b", since).as_millis(),
    ));
    assert_eq!(status.epochs, before, "no failover");
    let ledger = told.ledger();
    assert_eq!(ledger.unanswered(), 0, "a client was thrown out");
    pair.nothing_is_lost(&ledger).unwrap();
}
