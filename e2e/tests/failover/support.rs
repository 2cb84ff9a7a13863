//! What the stories of failover share: a pair at the pace of this machine, and the end of each story.

use std::path::Path;
use std::time::Duration;

use tandem_e2e::client::wait_for;
use tandem_e2e::story::local::{Member, Report};
use tandem_e2e::story::{Ledger, Local, Story, wait_until_equal};

/// How long a group may take to be whole again.
pub(crate) const HEAL_TIMEOUT: Duration = Duration::from_mins(1);

/// Factor on the detection intervals: a process that a busy machine leaves waiting is not hung.
pub(crate) const PATIENCE: u64 = 3;

/// Set where machines are busy with other things; measurements, too, then take their time.
const CI_VARIABLE: &str = "TANDEM_CI";

/// The factor for measurements: none, but where nobody reads times.
pub(crate) fn measuring_patience() -> u64 {
    match std::env::var_os(CI_VARIABLE) {
        Some(_) => PATIENCE,
        None => 1,
    }
}

/// A pair with one replica behind each master, ready.
pub(crate) fn pair() -> Local {
    Local::start("double-master.yaml", PATIENCE).unwrap()
}

/// The member that `-rw` points at.
pub(crate) fn writer(local: &Local) -> Member {
    let name = target(local, "rw").expect("-rw has a target");
    local.report().unwrap().member(&name).unwrap().clone()
}

/// Where a service points, by `tandem status`.
pub(crate) fn target(local: &Local, suffix: &str) -> Option<String> {
    let status = status_json(local);
    let services = status["services"].as_array().unwrap();
    let service = services
        .iter()
        .find(|service| service["name"] == format!("dm-{suffix}"))
        .unwrap();
    Some(service["targets"][0].as_str()?.to_owned())
}

/// Everything that `tandem status -o json` says.
pub(crate) fn status_json(local: &Local) -> serde_json::Value {
    let output = tandem(&["status", "-o", "json", "--dir"], &local.data());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs the binary with a path as its last word.
pub(crate) fn tandem(words: &[&str], path: &Path) -> std::process::Output {
    std::process::Command::new(tandem_e2e::story::binary::path().unwrap())
        .args(words)
        .arg(path)
        .output()
        .unwrap()
}

/// The other slot.
fn other(slot: &str) -> &'static str {
    if slot == "a" { "b" } else { "a" }
}

/// Name of the other slot's master.
pub(crate) fn peer_of(local: &Local, member: &Member) -> String {
    let report = local.report().unwrap();
    report.master(other(&member.slot)).unwrap().name.clone()
}

/// Waits until the failover of a slot to an epoch above `epoch` is restored and all is ready.
pub(crate) fn wait_until_restored(local: &Local, slot: &str, epoch: u64) -> Report {
    let what = format!("a restored failover of slot {slot} beyond epoch {epoch}");
    let restored = |report: &Report| {
        report.last_failover_report.as_ref().is_some_and(|last| {
            last["group"] == slot && last["epoch"].as_u64() > Some(epoch) && last["closed"] == true
        })
    };
    local
        .wait_until(&what, HEAL_TIMEOUT, |report| restored(report))
        .unwrap();
    local.wait_until_ready().unwrap()
}

/// Waits until another instance of the slot is its master, by its own word and by its service.
pub(crate) fn new_master(local: &Local, old: &Member) -> Member {
    let what = format!("another master of slot {}", old.slot);
    let report = local
        .wait_until(&what, HEAL_TIMEOUT, |report| {
            report
                .master(&old.slot)
                .is_ok_and(|new| new.name != old.name)
        })
        .unwrap();
    let new = report.master(&old.slot).unwrap().clone();
    assert_eq!(new.epoch, old.epoch + 1);
    wait_for("the slot's service on the new master", HEAL_TIMEOUT, || {
        Ok((target(local, &old.slot).as_ref() == Some(&new.name)).then_some(()))
    })
    .unwrap();
    new
}

/// Nothing acknowledged is missing anywhere, and all instances hold the same.
pub(crate) fn nothing_is_lost(story: &Story, local: &Local, ledger: &Ledger) {
    local.wait_until_ready().unwrap();
    let instances = local.instances().unwrap();
    let took = wait_until_equal(&instances, HEAL_TIMEOUT).unwrap();
    let checked = ledger.check_all(&instances).unwrap();
    for instance in &instances {
        assert_eq!(
            instance.echoes().unwrap(),
            0,
            "records sent back to where they began"
        );
    }
    story.says(format_args!(
        "{} writes acknowledged, {} unanswered; {} values and {} counters on each of {} instances, \
         equal after {} ms",
        ledger.acknowledged(),
        ledger.unanswered(),
        checked.values,
        checked.counters,
        instances.len(),
        took.as_millis()
    ));
}
