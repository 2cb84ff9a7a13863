//! The cases of `docs/conflicts.md`, run on two sites.

use tandem_execute::{Env, execute};
use tandem_merge::site::Site;
use tandem_merge::stamp::stamp_of_ms;
use tandem_proto::value::{Value, decode};
use tandem_proto::{Protocol, Reply, command, words};

/// The wall clock of the start; everything else follows in the next milliseconds.
const START_MS: u64 = 1_700_000_000_000;

struct World {
    sites: [Site; 2],
    wall_ms: u64,
    drawn: u64,
}

impl World {
    fn new() -> Self {
        let site = |id| Site::new(id, &[1, 2], stamp_of_ms(10_000));
        Self {
            sites: [site(1), site(2)],
            wall_ms: START_MS,
            drawn: 0,
        }
    }

    /// Runs one line at one site and gives the words of its reply.
    fn run(&mut self, at: usize, line: &str) -> String {
        let mut args = Vec::new();
        words::split(line.as_bytes(), |word| args.push(word.to_vec())).expect("quotes that close");
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let spec = command::lookup(args[0]).expect(line);
        self.wall_ms += 1;
        let wall_ms = self.wall_ms;
        self.drawn += 1;
        let life = self.drawn;
        let mut out = Vec::new();
        let mut commands = |draft: &mut tandem_merge::Draft<'_>, _: &_| {
            let mut random = || 4;
            let mut env = Env {
                now: stamp_of_ms(wall_ms),
                wall_ms,
                random: &mut random,
            };
            let mut reply = Reply::new(&mut out, Protocol::Resp2);
            execute(spec, &args, draft, &mut env, &mut reply);
        };
        self.sites[at].write(
            stamp_of_ms(wall_ms),
            &mut || life,
            Some(&mut commands),
            false,
            &[],
        );
        let (value, _) = decode(&out).expect("a reply").expect("the whole of it");
        assert!(
            !matches!(value, Value::Error(_)),
            "{line:?} gives {value:?}"
        );
        shown(&value)
    }

    fn run_all(&mut self, at: usize, lines: &str) {
        for line in lines.split(';').map(str::trim) {
            if !line.is_empty() {
                self.run(at, line);
            }
        }
    }

    /// Gives one site what it lacks of the other's log.
    fn pull(&mut self, to: usize) {
        let held = self.sites[to].data.held();
        let records = self.sites[1 - to].serve(&held).expect("nothing was purged");
        for record in &records {
            self.sites[to].apply(record).expect("records in order");
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(nil)".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.as_str().expect("text").to_owned(),
    }
}

#[test]
fn both_sites_answer_what_the_page_about_conflicts_says() {
    let page = include_str!("../../../docs/conflicts.md");
    let (_, rest) = page.split_once("```cases\n").expect("the page has cases");
    let (cases, _) = rest.split_once("```").expect("they end");
    let mut count = 0;
    let mut wrong = Vec::new();
    for case in cases.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = case.split('|').map(str::trim).collect();
        let [start, one, other, question, answer] = columns[..] else {
            panic!("five columns in {case:?}");
        };
        // Whoever pulls first must make no difference.
        for first in [0, 1] {
            let mut sites = World::new();
            sites.run_all(0, start);
            sites.pull(1);
            sites.run_all(0, one);
            sites.run_all(1, other);
            sites.pull(first);
            sites.pull(1 - first);
            for at in [0, 1] {
                let got = sites.run(at, question);
                if got != answer {
                    wrong.push(format!("{case}\n  site {at} (first {first}): {got}"));
                }
            }
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "only {count} cases");
}
