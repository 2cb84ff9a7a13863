//! Two masters write: to one side, to both, to the same keys, with delay, with replicas.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Instance, Local, Story, full_size, scaled, wait_until_equal};

use crate::stage::{EQUAL_TIMEOUT, Pair, replica_of, wait_for_value};

const NO_REPLICAS: &str = "double-master-no-replicas.yaml";
const ONE_REPLICA: &str = "double-master.yaml";
/// Detection is not what these stories are about.
const PATIENCE: u64 = 10;
const CLIENTS: usize = 12;
const CLIENTS_MANY: usize = 64;
const DELAY: Duration = Duration::from_millis(25);

fn masters_of(local: &Local) -> Result<[Instance; 2]> {
    let report = local.report()?;
    let a = report.master("a")?.instance()?;
    Ok([a, report.master("b")?.instance()?])
}

/// Writes two loads at once, each to its own master, and gives the writes per second.
fn write_both(loads: [&Load; 2], masters: [Instance; 2], clients: usize) -> Result<f64> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| loads[0].write(masters[0], clients));
        let other = loads[1].write(masters[1], clients);
        one.join().map_err(|_| anyhow!("a load panicked"))??;
        other
    })?;
    let writes = loads[0].keys.len() + loads[1].keys.len();
    Ok(writes as f64 / begun.elapsed().as_secs_f64())
}

/// Both masters write `keys` each, own ones or the same; in the end all instances are equal, every
/// key is there, and its value is one that was written to it.
fn both_write(
    story: &Story,
    (masters, all): ([Instance; 2], &[Instance]),
    (run, keys, is_shared): (usize, usize, bool),
) -> Result<()> {
    let at = if is_shared { 0 } else { keys };
    let prefix = format!("run{run}");
    let one = Load::new(&prefix, 0..keys).tagged("one");
    let other = Load::new(&prefix, at..at + keys).tagged("other");
    let before = masters[0].keys()?;
    let rate = write_both([&one, &other], masters, CLIENTS)?;
    let lag = wait_until_equal(all, EQUAL_TIMEOUT)?;
    let others: &[&str] = if is_shared { &["other"] } else { &[] };
    for instance in all {
        one.check(*instance, others)?;
        let others: &[&str] = if is_shared { &["one"] } else { &[] };
        other.check(*instance, others)?;
    }
    let count = masters[1].keys()? - before;
    ensure!(count == (at + keys) as u64, "{count} keys of {}", at + keys);
    story.says(format_args!(
        "run {run}: {rate:.0} writes/s, {count} keys, equal {} ms later",
        lag.as_millis()
    ));
    Ok(())
}

#[test]
fn at_01_writes_to_one_master_are_all_on_both() -> Result<()> {
    let story = Story::begin("AT-01");
    let local = Local::start(NO_REPLICAS, PATIENCE)?;
    let [a, b] = masters_of(&local)?;
    for (run, clients) in [CLIENTS, CLIENTS_MANY].into_iter().enumerate() {
        let load = Load::new(&format!("run{run}"), 0..scaled(650_000));
        let took = load.write(a, clients)?;
        let lag = wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
        load.check(b, &[])?;
        let rate = load.keys.len() as f64 / took.as_secs_f64();
        story.says(format_args!(
            "{clients} clients, {rate:.0} writes/s, equal {} ms later",
            lag.as_millis()
        ));
    }
    ensure!(b.keys()? == 2 * scaled(650_000) as u64, "keys were lost");
    Ok(())
}

#[test]
fn at_02_writes_of_different_keys_on_both_masters_are_all_on_both() -> Result<()> {
    let story = Story::begin("AT-02");
    let local = Local::start(NO_REPLICAS, PATIENCE)?;
    let masters = masters_of(&local)?;
    for run in 0..3 {
        both_write(&story, (masters, &masters), (run, scaled(300_000), false))?;
    }
    Ok(())
}

#[test]
fn at_03_writes_of_the_same_keys_on_both_masters_end_equal() -> Result<()> {
    let story = Story::begin("AT-03");
    let local = Local::start(NO_REPLICAS, PATIENCE)?;
    let masters = masters_of(&local)?;
    for run in 0..2 {
        both_write(&story, (masters, &masters), (run, scaled(200_000), true))?;
    }
    Ok(())
}

#[test]
fn at_04_delayed_writes_of_different_keys_are_all_on_both() -> Result<()> {
    let story = Story::begin("AT-04");
    let pair = Pair::start(&[])?;
    pair.delay(DELAY);
    let masters = pair.instances();
    for run in 0..3 {
        both_write(&story, (masters, &masters), (run, scaled(300_000), false))?;
    }
    Ok(())
}

#[test]
fn at_05_delayed_writes_of_the_same_keys_end_equal_and_the_later_one_wins() -> Result<()> {
    let story = Story::begin("AT-05");
    let pair = Pair::start(&[])?;
    pair.delay(DELAY);
    let masters = pair.instances();
    for run in 0..2 {
        both_write(&story, (masters, &masters), (run, scaled(200_000), true))?;
    }
    // Neither has seen the other's write when it writes: the larger stamp wins, so the later one.
    pair.delay(Duration::from_millis(400));
    for index in 0..20 {
        let key = format!("late:{index}");
        let (first, second) = (masters[index % 2], masters[1 - index % 2]);
        first.ask::<String>(&["SET", &key, "earlier"])?;
        std::thread::sleep(Duration::from_millis(5));
        let unseen: Option<String> = second.ask(&["GET", &key])?;
        ensure!(unseen.is_none(), "the delay is too short to tell");
        second.ask::<String>(&["SET", &key, "later"])?;
    }
    wait_until_equal(&masters, EQUAL_TIMEOUT)?;
    for index in 0..20 {
        wait_for_value(masters[0], &format!("late:{index}"), "later")?;
    }
    story.says("20 concurrent pairs of writes: the later one won each time, on both");
    Ok(())
}

#[test]
fn at_06_writes_of_the_same_keys_on_both_masters_are_equal_on_all_four() -> Result<()> {
    let story = Story::begin("AT-06");
    let local = Local::start(ONE_REPLICA, PATIENCE)?;
    let masters = masters_of(&local)?;
    let all = local.instances()?;
    ensure!(all.len() == 4, "two masters and two replicas");
    both_write(&story, (masters, &all), (0, scaled(100_000), true))
}

#[test]
fn at_13_each_write_travels_once_and_nothing_when_idle() -> Result<()> {
    let story = Story::begin("AT-13");
    let pair = Pair::start(&[])?;
    let [a, b] = pair.instances();
    let chained = replica_of(a.port, &[])?;
    let all = [a, b, chained.instance()];
    let load = Load::new("once", 0..scaled(100_000)).with_value_bytes(200);
    let before = [pair.proxies[0].bytes(), pair.proxies[1].bytes()];
    load.write(a, CLIENTS)?;
    wait_until_equal(&all, EQUAL_TIMEOUT)?;
    let there = pair.proxies[0].bytes() - before[0];
    let back = pair.proxies[1].bytes() - before[1];
    let data = (load.keys.len() * load.value_bytes) as u64;
    story.says(format_args!(
        "{data} bytes of values: {there} bytes to the peer, {back} bytes on the way back"
    ));
    ensure!(there >= data, "the values did not pass the proxy");
    ensure!(there < 2 * data, "records travelled more than once");
    ensure!(back < data / 4, "records came back");

    let idle = Duration::from_secs(if full_size() { 600 } else { 5 });
    let before = pair.proxies[0].bytes() + pair.proxies[1].bytes();
    std::thread::sleep(idle);
    let rate = (pair.proxies[0].bytes() + pair.proxies[1].bytes() - before) / idle.as_secs();
    story.says(format_args!("idle: {rate} bytes/s over both peer links"));
    ensure!(rate < 4096, "{rate} bytes a second are no keepalive");
    for instance in all {
        ensure!(instance.echoes()? == 0, "records were sent back");
    }
    Ok(())
}
