//! The end of `tandem local` itself, asked for or not, and its next start.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tandem_e2e::client::wait_for;
use tandem_e2e::story::ledger::Pace;
use tandem_e2e::story::local::send;
use tandem_e2e::story::{Local, Story, Writers, binary};

use super::support::{HEAL_TIMEOUT, nothing_is_lost, pair, status_json, writer};

fn pids(local: &Local) -> Vec<u32> {
    let mut pids = local.server_processes();
    pids.sort_unstable();
    pids
}

#[test]
fn a_killed_runtime_finds_its_instances_again() {
    let story = Story::begin("kill -9 of the runtime");
    let mut local = pair();
    let before = local.report().unwrap();
    let masters = ["a", "b"].map(|slot| before.master(slot).unwrap().instance().unwrap());
    let writers = Writers::start("f", &masters, 1, Pace::default());
    let running = pids(&local);
    assert_eq!(running.len(), 4);

    local.kill_runtime();
    writers.wait_for_more(500).unwrap();
    assert!(!local.report().unwrap().running);
    local.start_runtime(false).unwrap();
    let after = local.wait_until_ready().unwrap();
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();

    assert_eq!(ledger.unanswered(), 0, "the data path noticed nothing");
    assert_eq!(pids(&local), running, "the same four processes");
    assert_eq!(
        local
            .output()
            .matches("was running and is taken over")
            .count(),
        4
    );
    for slot in ["a", "b"] {
        let (old, new) = (before.master(slot).unwrap(), after.master(slot).unwrap());
        assert_eq!((&old.name, old.epoch), (&new.name, new.epoch));
    }
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn what_died_or_hung_while_the_runtime_was_away_is_replaced() {
    let story = Story::begin("losses without a runtime");
    let mut local = pair();
    let writers = Writers::start("d", &[local.service("rw").unwrap()], 1, Pace::default());
    writers.wait_for_more(300).unwrap();
    let ledger = writers.finish().unwrap();
    let before = local.report().unwrap();
    let (killed, hung) = (before.master("a").unwrap(), before.master("b").unwrap());
    local.kill_runtime();
    send(killed.pid.unwrap(), Signal::KILL).unwrap();
    send(hung.pid.unwrap(), Signal::STOP).unwrap();
    local.start_runtime(false).unwrap();
    let after = local.wait_until_ready().unwrap();
    for old in [killed, hung] {
        assert_ne!(after.member(&old.name).unwrap().pid, old.pid);
        assert!(after.master(&old.slot).unwrap().epoch > old.epoch);
    }
    assert_eq!(pids(&local).len(), 4, "one process a directory");
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn a_second_runtime_on_a_directory_ends_with_the_reason() {
    let _story = Story::begin("a second runtime");
    let local = pair();
    let pid = local.report().unwrap().runtime_pid.unwrap();
    let running = pids(&local);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/double-master.yaml");
    let output = Command::new(binary::path().unwrap())
        .args(["local", manifest, "--reset", "--dir"])
        .arg(local.data())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("is in use by another `tandem local`"),
        "{error}"
    );
    assert!(
        error.contains(&pid.to_string()) && error.contains("--dir"),
        "{error}"
    );
    assert_eq!(pids(&local), running, "nothing was touched");
    local.wait_until_ready().unwrap();
}

#[test]
fn signals_end_everything_and_the_next_start_continues() {
    let story = Story::begin("stop and start");
    let mut local = pair();
    let writers = Writers::start("s", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();
    // The roles are no longer those of the beginning: they have to be kept, not made anew.
    let moved = writer(&local);
    send(moved.pid.unwrap(), Signal::KILL).unwrap();
    super::support::wait_until_restored(&local, &moved.slot, moved.epoch);

    for signal in [Signal::INT, Signal::TERM] {
        let before = local.report().unwrap();
        let sessions = own_sessions(&local);
        assert_eq!(
            sessions.len(),
            5,
            "the runtime and each instance: {sessions:?}"
        );
        let status = local.stop_by(signal).unwrap();
        assert!(status.success(), "{signal:?}: {status}");
        assert_eq!(
            pids(&local),
            Vec::<u32>::new(),
            "{signal:?} left processes behind"
        );
        let stopped = status_json(&local);
        assert_eq!(stopped["running"], false);
        assert!(
            local
                .output()
                .contains("starting again continues from the data")
        );

        local.start_runtime(false).unwrap();
        let after = local.wait_until_ready().unwrap();
        for slot in ["a", "b"] {
            let (old, new) = (before.master(slot).unwrap(), after.master(slot).unwrap());
            assert_eq!(old.name, new.name, "roles are kept");
            assert!(new.epoch >= old.epoch, "epochs never fall: {old:?} {new:?}");
        }
        for member in &after.members {
            let log = local
                .data()
                .join("instances")
                .join(&member.name)
                .join("server.log");
            assert!(
                std::fs::metadata(&log).is_ok_and(|file| file.len() > 0),
                "{}",
                log.display()
            );
        }
    }
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn a_hung_instance_does_not_hold_up_the_end() {
    let _story = Story::begin("stop with a hung instance");
    let mut local = pair();
    let hung = writer(&local);
    send(hung.pid.unwrap(), Signal::STOP).unwrap();
    local.stop_by(Signal::INT).unwrap();
    wait_for(
        "the end of all instances",
        HEAL_TIMEOUT.min(Duration::from_secs(5)),
        || Ok(pids(&local).is_empty().then_some(())),
    )
    .unwrap();
}

/// Sessions of the runtime and its instances, as the kernel numbers them: 0 stands for a session that
/// was begun outside the process id namespace of this test.
fn own_sessions(local: &Local) -> std::collections::BTreeSet<u32> {
    let runtime = local.report().unwrap().runtime_pid.unwrap();
    let mut all = pids(local);
    all.push(runtime);
    all.into_iter().map(session).collect()
}

/// Field 6 of `/proc/PID/stat`; the name before it may contain anything, so it is cut off at its end.
fn session(pid: u32) -> u32 {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = line.rsplit_once(')').unwrap();
    after_name
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap()
}
