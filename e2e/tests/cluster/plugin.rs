//! `kubectl tandem` on a running pair: each verb says what is so, does what it is asked for, and refuses
//! what cannot be done with the reason.

use std::time::Duration;

use serde_json::Value;
use tandem_e2e::cluster::pair::{NAME, other, usual_spec};
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage};

use super::support::{SOME, replicas_of, survive};

/// How long a line of a log may take to come.
const LINE_LIMIT: Duration = Duration::from_mins(1);

#[test]
fn plugin_each_verb_does_what_it_says() {
    let Some(stage) = Stage::begin("kubectl tandem").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();

    it_shows_the_pair(&stage, &pair);
    it_hands_over(&stage, &pair);
    it_resyncs(&stage, &pair);
    it_compares(&stage, &pair);
    it_prints_logs(&stage, &pair);
    it_refuses(&stage, &pair);
}

fn it_shows_the_pair(stage: &Stage, pair: &Pair) {
    let members = pair.status().unwrap().members;
    let table = stage.kubectl_tandem_says(&["status", NAME]).unwrap();
    for member in &members {
        assert!(table.contains(&member.name), "{table}");
    }
    let json = stage
        .kubectl_tandem_says(&["status", NAME, "-o", "json"])
        .unwrap();
    let read: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        read.pointer("/status/members")
            .or_else(|| read.get("members"))
            .and_then(Value::as_array)
            .map(Vec::len),
        Some(members.len()),
        "{json}"
    );
    let explained = stage.kubectl_tandem_says(&["explain", NAME]).unwrap();
    assert!(explained.contains("slot a"), "{explained}");
    stage.says(explained);
}

fn it_hands_over(stage: &Stage, pair: &Pair) {
    for verb in ["switchover", "failover"] {
        let before = pair.writer().unwrap();
        let to = replicas_of(pair, &before.slot).unwrap().remove(0).name;
        let ask = || {
            let words = [verb, NAME, before.slot.as_str(), "--to", &to];
            stage.says(stage.kubectl_tandem_says(&words)?.trim_end());
            Ok(())
        };
        survive(pair, verb, &before, ask, || Ok(())).unwrap();
        assert_eq!(pair.master(&before.slot).unwrap().name, to);
    }
    let explained = stage.kubectl_tandem_says(&["explain", NAME]).unwrap();
    assert!(
        explained.contains("took over") || explained.contains("failover"),
        "{explained}"
    );
}

fn it_resyncs(stage: &Stage, pair: &Pair) {
    let slot = pair.writer().unwrap().slot;
    let replica = replicas_of(pair, &slot).unwrap().remove(0).name;
    let master = pair.master(other(&slot)).unwrap().name;
    for instance in [replica, master] {
        let clients = Clients::start(pair, &format!("resync-{instance}")).unwrap();
        clients.wait_for_more(SOME).unwrap();
        let full = |what: &str| {
            let (all, _) = pair.instance(&instance).unwrap().resyncs().unwrap();
            stage.says(format_args!("{instance} {what}: {all} full resyncs"));
            all
        };
        let before = full("before");
        let words = ["resync", NAME, instance.as_str()];
        stage.says(stage.kubectl_tandem_says(&words).unwrap().trim_end());
        assert!(full("after") > before, "no full resync");
        clients.wait_for_more(SOME).unwrap();
        let told = clients.finish().unwrap();
        pair.nothing_is_lost(&told.ledger()).unwrap();
    }
}

fn it_compares(stage: &Stage, pair: &Pair) {
    pair.wait_until_ready().unwrap();
    let told = stage.kubectl_tandem_says(&["digest", NAME]).unwrap();
    assert!(told.ends_with("equal\n"), "{told}");
    stage.says(told.trim_end());
}

fn it_prints_logs(stage: &Stage, pair: &Pair) {
    let member = pair.writer().unwrap().name;
    let one = stage
        .kubectl_tandem_says(&["logs", NAME, &member, "--tail", "5"])
        .unwrap();
    assert!((1..=5).contains(&one.lines().count()), "{one}");
    let all = stage.kubectl_tandem_says(&["logs", NAME]).unwrap();
    for member in pair.status().unwrap().members {
        assert!(all.contains(&member.name), "{all}");
    }
    // Lines that were not there: what comes now is followed.
    let slot = pair.writer().unwrap().slot;
    let replica = replicas_of(pair, &slot).unwrap().remove(0).name;
    let follow = ["logs", NAME, replica.as_str(), "-f", "--tail", "0"];
    stage
        .kubectl_tandem_until(&follow, "full resync begins", LINE_LIMIT, || {
            let resync = ["resync", NAME, replica.as_str()];
            stage.kubectl_tandem_says(&resync).map(drop)
        })
        .unwrap();
}

fn it_refuses(stage: &Stage, pair: &Pair) {
    let writer = pair.writer().unwrap();
    let foreign = pair.master(other(&writer.slot)).unwrap().name;
    let wrong: [(&[&str], &str); 4] = [
        (&["status", "nobody"], "nobody"),
        (
            &["switchover", NAME, &writer.slot, "--to", &foreign],
            &foreign,
        ),
        (
            &["switchover", NAME, &writer.slot, "--to", &writer.name],
            "already",
        ),
        (&["resync", NAME, "dm-c-0"], "dm-c-0"),
    ];
    for (words, part) in wrong {
        let output = stage.kubectl_tandem(words).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words:?} was done");
        assert!(error.contains(part), "{words:?}: {error}");
    }
}
