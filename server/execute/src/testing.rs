//! One site in memory for tests: commands in, replies out, effects applied as a record would be.
//! Shared by the unit tests and by `tests/against_redis.rs`.

use std::collections::BTreeMap;
use tandem_execute::{Env, execute, fast};
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{
    Clock, Context, Dot, Draft, EffectReader, EffectWriter, Object, Objects, Origin, OriginIndex,
    Origins, Stamp,
};
use tandem_proto::{Protocol, Reply, command, words};

/// The wall clock at which a site begins.
pub const WALL_MS: u64 = 1_700_000_000_000;

/// The objects of a site.
#[derive(Debug, Clone, Default)]
pub struct Table(BTreeMap<Vec<u8>, Object>);

impl Objects for Table {
    fn object(&self, key: &[u8]) -> Option<&Object> {
        self.0.get(key)
    }
}

/// A database of one writer.
#[derive(Debug, Clone)]
pub struct Site {
    pub table: Table,
    pub origins: Origins,
    pub own: OriginIndex,
    pub sequence: u64,
    pub clock: Clock,
    pub wall_ms: u64,
    pub protocol: Protocol,
    /// State of the random numbers.
    pub seed: u64,
    /// How many commands took the hot path.
    pub fast_count: usize,
}

impl Site {
    /// An empty database.
    pub fn new() -> Self {
        let mut origins = Origins::default();
        let own = origins.intern(Origin {
            server_id: 1,
            epoch: 1,
            incarnation: 42,
        });
        Self {
            table: Table::default(),
            origins,
            own,
            sequence: 0,
            clock: Clock::new(10_000),
            wall_ms: WALL_MS,
            protocol: Protocol::Resp2,
            seed: 0x9E37_79B9_7F4A_7C15,
            fast_count: 0,
        }
    }

    /// Runs one command line, quoted as for an inline command, and gives the bytes of its reply;
    /// `@5` lets five milliseconds pass.
    pub fn run(&mut self, line: &str) -> Vec<u8> {
        if let Some(ms) = line.strip_prefix('@') {
            self.wall_ms += ms.parse::<u64>().expect("milliseconds");
            return Vec::new();
        }
        self.run_args(&split(line))
    }

    /// Runs one command by both ways, holds them against each other, and keeps its effects.
    pub fn run_args(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        let stamp = self.clock.tick(stamp_of_ms(self.wall_ms));
        let (reply, effects) = self.by_draft(&[args], stamp);
        if let Some((quick_reply, quick_effects)) = self.by_fast(args, stamp) {
            self.fast_count += 1;
            let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let line: Vec<String> = args.iter().map(|arg| shown(arg)).collect();
            assert_eq!(shown(&quick_reply), shown(&reply), "replies to {line:?}");
            assert_eq!(
                shown(&quick_effects),
                shown(&effects),
                "effects of {line:?}"
            );
        }
        if reply.starts_with(b"-") {
            assert!(effects.is_empty(), "a refused command has effects");
        }
        self.apply(&effects, stamp);
        reply
    }

    /// Runs several lines over one draft, as EXEC does, and gives their replies.
    pub fn run_as_one(&mut self, lines: &[&str]) -> Vec<u8> {
        let stamp = self.clock.tick(stamp_of_ms(self.wall_ms));
        let commands: Vec<Vec<Vec<u8>>> = lines.iter().map(|line| split(line)).collect();
        let commands: Vec<&[Vec<u8>]> = commands.iter().map(Vec::as_slice).collect();
        let (reply, effects) = self.by_draft(&commands, stamp);
        self.apply(&effects, stamp);
        reply
    }

    fn by_draft(&mut self, commands: &[&[Vec<u8>]], stamp: Stamp) -> (Vec<u8>, Vec<u8>) {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.protocol);
        let mut effects = EffectWriter::default();
        let mut seed = self.seed;
        let mut random = || next_random(&mut seed);
        let mut env = Env {
            now: stamp,
            wall_ms: self.wall_ms,
            random: &mut random,
        };
        let own = (self.sequence > 0).then_some(self.own);
        let mut draft = Draft::new(&self.table, &self.origins, own, stamp);
        for args in commands {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let spec = command::lookup(args[0]).expect("a command of the table");
            execute(spec, &args, &mut draft, &mut env, &mut reply);
        }
        if !draft.is_empty() {
            draft.finish(self.sequence + 1, &mut effects);
        }
        self.seed = seed;
        (out, effects.bytes().to_vec())
    }

    /// A draft that reads at this moment.
    pub fn draft(&self) -> Draft<'_> {
        let now = self.clock.now(stamp_of_ms(self.wall_ms));
        Draft::new(&self.table, &self.origins, Some(self.own), now)
    }

    /// Runs something else than a command on a draft, keeps its effects, and gives its reply.
    pub fn with_draft(&mut self, run: impl FnOnce(&mut Draft<'_>, &mut Reply<'_>)) -> Vec<u8> {
        let stamp = self.clock.tick(stamp_of_ms(self.wall_ms));
        let mut out = Vec::new();
        let mut effects = EffectWriter::default();
        let mut draft = Draft::new(&self.table, &self.origins, Some(self.own), stamp);
        run(&mut draft, &mut Reply::new(&mut out, self.protocol));
        draft.finish(self.sequence + 1, &mut effects);
        self.apply(effects.bytes(), stamp);
        out
    }

    fn by_fast(&self, args: &[Vec<u8>], stamp: Stamp) -> Option<(Vec<u8>, Vec<u8>)> {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let spec = command::lookup(args[0])?;
        let key = args.get(usize::try_from(spec.first_key).ok()?)?;
        let object = self.table.object(key);
        let own = (self.sequence > 0).then_some(self.own);
        let mut out = Vec::new();
        let mut effects = EffectWriter::default();
        let mut random = || 0;
        let mut env = Env {
            now: stamp,
            wall_ms: self.wall_ms,
            random: &mut random,
        };
        let mut reply = Reply::new(&mut out, self.protocol);
        let origins = &self.origins;
        let done = fast(
            spec,
            &args,
            object,
            own,
            origins,
            &mut env,
            &mut effects,
            &mut reply,
        );
        if !done {
            assert!(
                effects.is_empty() && out.is_empty(),
                "a command left alone has written"
            );
        }
        done.then(|| (out, effects.bytes().to_vec()))
    }

    fn apply(&mut self, effects: &[u8], stamp: Stamp) {
        if effects.is_empty() {
            return;
        }
        self.sequence += 1;
        let dot = Dot {
            origin: self.own,
            sequence: self.sequence,
        };
        let mut reader = EffectReader::new(effects);
        while let Some(effect) = reader.next_effect().expect("effects that can be read") {
            let key = effect.key().expect("no command here flushes").to_vec();
            let object = self
                .table
                .0
                .entry(key.clone())
                .or_insert_with(|| Object::new(&key));
            object
                .apply(&effect, dot, stamp, Context::Everything, &self.origins)
                .expect("effects that can be applied");
            if object.is_void() {
                self.table.0.remove(&key);
            }
        }
    }
}

/// Splits a line as an inline command.
pub fn split(line: &str) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    words::split(line.as_bytes(), |word| args.push(word.to_vec())).expect("quotes that close");
    args
}

/// A reply as the case files have it: `|` for an end of line, the last one left out.
pub fn shown(reply: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = reply;
    loop {
        match rest {
            [] => break,
            [b'\r', b'\n', tail @ ..] => {
                text.push('|');
                rest = tail;
            }
            [byte @ (b' '..=b'[' | b']'..=b'~'), tail @ ..] => {
                text.push(char::from(*byte));
                rest = tail;
            }
            [byte, tail @ ..] => {
                text.extend([r"\x".to_owned(), format!("{byte:02x}")]);
                rest = tail;
            }
        }
    }
    text.strip_suffix('|').unwrap_or(&text).to_owned()
}

/// One step of a case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `# title`: begin with nothing.
    Begin(String),
    /// `@resp3`
    Resp3,
    /// `command => reply`
    Command {
        /// The line.
        line: String,
        /// The reply, as [`shown`] shows it.
        reply: String,
    },
}

/// Reads a case file.
pub fn steps(file: &str) -> Vec<Step> {
    file.lines()
        .filter(|line| !line.is_empty())
        .map(|line| match line.strip_prefix("# ") {
            Some(title) => Step::Begin(title.to_owned()),
            None if line == "@resp3" => Step::Resp3,
            None => {
                let (command, reply) = line.split_once(" => ").expect("command => reply");
                Step::Command {
                    line: command.trim_end().to_owned(),
                    reply: reply.to_owned(),
                }
            }
        })
        .collect()
}

/// Runs a case file; gives how many commands it has and how many took the hot path.
pub fn run_cases(file: &str) -> (usize, usize) {
    let mut site = Site::new();
    let mut title = String::new();
    let mut wrong = Vec::new();
    let (mut count, mut fast_count) = (0, 0);
    for step in steps(file) {
        match step {
            Step::Begin(new) => {
                fast_count += site.fast_count;
                site = Site::new();
                title = new;
            }
            Step::Resp3 => site.protocol = Protocol::Resp3,
            Step::Command { line, reply } => {
                count += 1;
                let got = shown(&site.run(&line));
                if got != reply {
                    wrong.push(format!("{title}: {line}\n  wants {reply}\n  gives {got}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    (count, fast_count + site.fast_count)
}

/// The next of a row of random numbers (`SplitMix64`).
pub fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
