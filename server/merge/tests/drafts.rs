//! Drafts: single commands written directly give what the overlay gives, an overlay shows what its
//! record then makes, and what a transaction does to itself comes out net.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "world/random.rs"]
mod random;

use random::Random;
use std::collections::BTreeMap;
use tandem_merge::draft::direct;
use tandem_merge::site::{Shown, Site};
use tandem_merge::{
    AddError, Context, Dot, Draft, EffectReader, EffectWriter, Kind, NEVER, Number, Object,
    OriginIndex, Origins, Stamp,
};

type Objects = BTreeMap<Vec<u8>, Object>;

#[derive(Debug, Clone)]
enum Command {
    Set(Vec<u8>, Stamp),
    Replace(Vec<u8>),
    Put(Kind, Vec<u8>, Vec<u8>),
    Add(Kind, Vec<u8>, Number),
    Delete,
    Expire(Stamp),
    Remove(Kind, Vec<u8>),
    Persist,
    Rename,
    Copy,
    Sweep,
    Flush,
}

fn element(random: &mut Random, kind: Kind) -> Vec<u8> {
    if kind == Kind::String {
        return Vec::new();
    }
    random.pick(&["a", "b", "c"]).as_bytes().to_vec()
}

fn command(random: &mut Random, now: Stamp, only_direct: bool) -> Command {
    let kind = random.pick(&[
        Kind::String,
        Kind::String,
        Kind::Hash,
        Kind::Set,
        Kind::Zset,
    ]);
    let value = match kind {
        Kind::Set => Vec::new(),
        Kind::Zset => random
            .pick(&[1.0, 2.5, f64::INFINITY, -3.0])
            .to_le_bytes()
            .to_vec(),
        _ => random
            .pick(&["7", "word", "2.5", "9223372036854775800"])
            .as_bytes()
            .to_vec(),
    };
    let delta = match random.below(6) {
        0 => Number::Float(1.5),
        1 => Number::Float(f64::INFINITY),
        2 => Number::Float(0.1),
        3 => Number::Int(i64::MAX),
        _ => Number::Int(random.between(-9, 9)),
    };
    let text = random
        .pick(&["7", "word", "much longer than before"])
        .as_bytes()
        .to_vec();
    let deadline = random.pick(&[NEVER, now + 5, now + 30]);
    match random.below(if only_direct { 8 } else { 14 }) {
        0 => Command::Set(text, deadline),
        1 => Command::Replace(text),
        2 | 3 => Command::Put(kind, element(random, kind), value),
        4 | 5 => Command::Add(kind, element(random, kind), delta),
        6 => Command::Delete,
        7 => Command::Expire(random.pick(&[now - 1, now, now + 5, now + 30])),
        8 | 9 => Command::Remove(kind, element(random, kind)),
        10 => Command::Persist,
        11 => Command::Rename,
        12 => Command::Copy,
        _ if random.chance(0.5) => Command::Sweep,
        _ => Command::Flush,
    }
}

/// What the command answered.
fn draft_it(draft: &mut Draft<'_>, objects: &Objects, key: &[u8], command: &Command) -> String {
    match command {
        Command::Set(value, deadline) => format!("{:?}", draft.set(key, value, *deadline)),
        Command::Replace(value) => format!("{:?}", draft.replace(key, value)),
        Command::Put(kind, name, value) => format!("{:?}", draft.put(key, *kind, name, value)),
        Command::Add(kind, name, delta) => format!("{:?}", draft.add(key, *kind, name, *delta)),
        Command::Delete => format!("{:?}", draft.delete(key)),
        Command::Expire(deadline) => format!("{:?}", draft.expire(key, *deadline)),
        Command::Remove(kind, name) => format!("{:?}", draft.remove(key, *kind, name)),
        Command::Persist => format!("{:?}", draft.persist(key)),
        Command::Rename => format!("{:?}", draft.rename(key, b"other")),
        Command::Copy => format!("{:?}", draft.copy(key, b"other")),
        Command::Sweep => format!("{:?}", draft.sweep(key)),
        Command::Flush => format!("{:?}", draft.flush(objects.values())),
    }
}

fn do_directly(
    object: Option<&Object>,
    key: &[u8],
    own: Option<OriginIndex>,
    now: Stamp,
    origins: &Origins,
    command: &Command,
    out: &mut EffectWriter,
) -> String {
    match command {
        Command::Set(value, deadline) => {
            format!(
                "{:?}",
                direct::set_string(object, key, value, *deadline, origins, out)
            )
        }
        Command::Replace(value) => {
            format!(
                "{:?}",
                direct::replace(object, key, value, now, origins, out)
            )
        }
        Command::Put(kind, name, value) => {
            let done = direct::put_field(object, key, *kind, name, value, now, origins, out);
            format!("{done:?}")
        }
        Command::Add(kind, name, delta) => {
            let done = direct::add(object, key, *kind, name, *delta, own, now, origins, out);
            format!("{done:?}")
        }
        Command::Delete => format!("{:?}", direct::delete(object, key, now, origins, out)),
        Command::Expire(deadline) => {
            format!(
                "{:?}",
                direct::expire(object, key, *deadline, now, origins, out)
            )
        }
        other => unreachable!("{other:?} has no direct form"),
    }
}

/// A site with a past: two sites wrote the same keys, met now and then, and time went on.
fn past(random: &mut Random) -> (Site, Stamp) {
    let mut sites = [Site::new(1, &[1, 2], 30), Site::new(2, &[1, 2], 30)];
    let mut now = 10;
    let mut drawn = 0;
    for _ in 0..random.between(0, 14) {
        now += random.between(0, 6) as u64;
        let at = random.below(2);
        let commands: Vec<Command> = (0..random.between(1, 2))
            .map(|_| command(random, now, false))
            .collect();
        let mut run = |draft: &mut Draft<'_>, objects: &Objects| {
            for command in &commands {
                draft_it(draft, objects, b"key", command);
            }
        };
        let mut draw = || {
            drawn += 1;
            drawn
        };
        sites[at].write(now, &mut draw, Some(&mut run), false, &[]);
        if random.chance(0.3) {
            let (one, two) = sites.split_at_mut(1);
            let (to, from) = if random.chance(0.5) {
                (one, two)
            } else {
                (two, one)
            };
            for record in from[0].serve(&to[0].data.held()).unwrap() {
                to[0].apply(&record).unwrap();
            }
        }
        if random.chance(0.1) {
            sites[at].own = None;
        }
    }
    let [site, _] = sites;
    now = site.now(now + random.pick(&[0, 1, 10, 40]));
    (site, now)
}

/// The site after a record of these effects.
fn after(site: &Site, now: Stamp, effects: &EffectWriter) -> Objects {
    let mut site = site.clone();
    let life = site.next_life(&mut || 99);
    site.commit(life, now + 1, effects.bytes(), false, &[]);
    site.data.objects
}

fn state(objects: &Objects) -> BTreeMap<Vec<u8>, u64> {
    objects
        .iter()
        .map(|(key, object)| (key.clone(), object.fingerprint()))
        .collect()
}

fn own(site: &Site) -> Option<OriginIndex> {
    site.own
}

#[test]
fn a_command_written_directly_is_the_same_record_as_through_the_overlay() {
    for seed in 0..8000 {
        let mut random = Random::new(seed);
        let (site, now) = past(&mut random);
        let command = command(&mut random, now, true);
        let origins = &site.data.history.origins;
        let objects = &site.data.objects;
        let (mut laid, mut straight) = (EffectWriter::default(), EffectWriter::default());
        let mut draft = Draft::new(objects, origins, own(&site), now);
        let one = draft_it(&mut draft, objects, b"key", &command);
        draft.finish(0, &mut laid);
        let object = objects.get(&b"key"[..]);
        let out = &mut straight;
        let two = do_directly(object, b"key", own(&site), now, origins, &command, out);
        assert_eq!(one, two, "seed {seed} {command:?} {object:?}");
        assert_eq!(
            state(&after(&site, now, &laid)),
            state(&after(&site, now, &straight)),
            "seed {seed} {command:?} {object:?}\n{:?}\n{:?}",
            listed(&laid),
            listed(&straight)
        );
    }
}

fn listed(effects: &EffectWriter) -> Vec<String> {
    let mut reader = EffectReader::new(effects.bytes());
    let mut out = Vec::new();
    while let Some(effect) = reader.next_effect().unwrap() {
        out.push(format!("{effect:?}"));
    }
    out
}

/// What the draft shows of a key.
fn draft_shows(draft: &Draft<'_>, key: &[u8]) -> Option<Shown> {
    let kind = draft.kind(key)?;
    let elements: BTreeMap<Vec<u8>, Vec<u8>> = draft
        .elements(key, kind)
        .map(|(name, value)| (name.to_vec(), value.into_owned()))
        .collect();
    assert_eq!(draft.element_count(key, kind), elements.len());
    for (name, value) in &elements {
        assert_eq!(draft.element(key, kind, name).as_deref(), Some(&value[..]));
    }
    for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
        assert_eq!(draft.element_count(key, other), 0);
        assert_eq!(draft.elements(key, other).count(), 0);
    }
    let string = draft.string(key).map(std::borrow::Cow::into_owned);
    assert_eq!(string.is_some(), kind == Kind::String);
    assert_eq!(
        string.as_ref(),
        elements.get(&Vec::new()).filter(|_| kind == Kind::String)
    );
    Some(Shown {
        kind,
        elements,
        deadline: draft.deadline(key),
    })
}

#[test]
fn a_draft_shows_what_its_record_then_makes() {
    let mut shown = 0;
    for seed in 0..8000 {
        let mut random = Random::new(seed);
        let (site, now) = past(&mut random);
        let origins = &site.data.history.origins;
        let objects = &site.data.objects;
        let mut draft = Draft::new(objects, origins, own(&site), now);
        let count = random.between(1, 5);
        let commands: Vec<Command> = (0..count)
            .map(|_| command(&mut random, now, false))
            .collect();
        for command in &commands {
            draft_it(&mut draft, objects, b"key", command);
        }
        let seen = [b"key".to_vec(), b"other".to_vec()].map(|key| draft_shows(&draft, &key));
        let empty = draft.is_empty();
        let mut effects = EffectWriter::default();
        draft.finish(0, &mut effects);
        assert_eq!(empty, effects.is_empty(), "seed {seed}");
        let mut next = site.clone();
        let life = next.next_life(&mut || 99);
        next.commit(life, now, effects.bytes(), false, &[]);
        let made = next.visible(now);
        let made = [
            made.get(&b"key"[..]).cloned(),
            made.get(&b"other"[..]).cloned(),
        ];
        shown += made.iter().flatten().count();
        assert_eq!(
            seen,
            made,
            "seed {seed} {commands:?}\n{objects:?}\n{:?}",
            listed(&effects)
        );
    }
    assert!(shown > 1000, "the drafts left something to see: {shown}");
}

/// One key and the effects so far, each as a record of its own.
struct Lone {
    objects: Objects,
    origins: Origins,
    own: OriginIndex,
    sequence: u64,
}

impl Lone {
    fn new() -> Self {
        let mut origins = Origins::default();
        let origin = tandem_merge::Origin {
            server_id: 1,
            epoch: 0,
            incarnation: 5,
        };
        let own = origins.intern(origin);
        Self {
            objects: Objects::new(),
            origins,
            own,
            sequence: 0,
        }
    }

    fn run(&mut self, commands: impl Fn(&mut Draft<'_>)) -> Vec<String> {
        let now = 10 + self.sequence;
        let mut draft = Draft::new(&self.objects, &self.origins, Some(self.own), now);
        commands(&mut draft);
        let mut out = EffectWriter::default();
        draft.finish(0, &mut out);
        self.sequence += 1;
        let dot = Dot {
            origin: self.own,
            sequence: self.sequence,
        };
        let mut reader = EffectReader::new(out.bytes());
        while let Some(effect) = reader.next_effect().unwrap() {
            let key = effect.key().unwrap();
            let object = self
                .objects
                .entry(key.to_vec())
                .or_insert_with(|| Object::new(key));
            object
                .apply(&effect, dot, now, Context::Everything, &self.origins)
                .unwrap();
        }
        listed(&out)
    }

    fn string(&self) -> Option<Vec<u8>> {
        let object = self.objects.get(&b"k"[..])?;
        object
            .string(1000, &self.origins)
            .map(std::borrow::Cow::into_owned)
    }
}

fn add(draft: &mut Draft<'_>, delta: i64) -> Result<Number, AddError> {
    draft.add(b"k", Kind::String, b"", Number::Int(delta))
}

#[test]
fn what_a_transaction_makes_and_removes_leaves_no_effect() {
    let mut lone = Lone::new();
    let effects = lone.run(|draft| {
        draft.set(b"k", b"v", NEVER);
        draft.delete(b"k");
        draft.put(b"h", Kind::Hash, b"f", b"v");
        draft.remove(b"h", Kind::Hash, b"f");
    });
    assert_eq!(effects, Vec::<String>::new());
}

#[test]
fn set_is_one_effect_and_increments_add_up_to_one() {
    let mut lone = Lone::new();
    let effects = lone.run(|draft| draft.set(b"k", b"5", NEVER));
    assert_eq!(effects.len(), 1);
    let effects = lone.run(|draft| {
        assert_eq!(add(draft, 2), Ok(Number::Int(7)));
        assert_eq!(add(draft, 3), Ok(Number::Int(10)));
    });
    assert_eq!((effects.len(), lone.string()), (1, Some(b"10".to_vec())));
}

#[test]
fn an_increment_after_a_removal_in_one_transaction_counts() {
    let mut lone = Lone::new();
    lone.run(|draft| {
        add(draft, 7).unwrap();
        draft.delete(b"k");
        add(draft, 2).unwrap();
    });
    assert_eq!(lone.string(), Some(b"2".to_vec()));
    lone.run(|draft| {
        add(draft, 7).unwrap();
        draft.delete(b"k");
        assert_eq!(add(draft, 3), Ok(Number::Int(3)));
    });
    assert_eq!(lone.string(), Some(b"3".to_vec()));
}

#[test]
fn additions_that_do_not_fit_are_refused_and_change_nothing() {
    let mut lone = Lone::new();
    lone.run(|draft| draft.set(b"k", b"9223372036854775807", NEVER));
    let effects = lone.run(|draft| {
        assert_eq!(add(draft, 1), Err(AddError::Overflow));
        let float = |delta| Number::Float(delta);
        assert_eq!(
            draft.add(b"k", Kind::String, b"", float(f64::INFINITY)),
            Err(AddError::NanOrInfinity)
        );
        assert_eq!(
            draft.add(b"k", Kind::Hash, b"f", Number::Int(1)),
            Err(AddError::WrongType)
        );
        draft.put(b"h", Kind::Hash, b"f", b"1.5");
        assert_eq!(
            draft.add(b"h", Kind::Hash, b"f", Number::Int(1)),
            Err(AddError::NotInteger)
        );
        draft.put(b"h", Kind::Hash, b"f", b"word");
        assert_eq!(
            draft.add(b"h", Kind::Hash, b"f", float(1.0)),
            Err(AddError::NotFloat)
        );
        draft.delete(b"h");
    });
    assert_eq!(effects, Vec::<String>::new());
}

#[test]
fn keeping_the_deadline_merges_with_a_concurrent_change_of_it() {
    let mut lone = Lone::new();
    lone.run(|draft| draft.set(b"k", b"v", 500));
    let effects = lone.run(|draft| draft.replace(b"k", b"w"));
    assert_eq!(effects.len(), 1);
    let object = &lone.objects[&b"k"[..]];
    assert_eq!((object.deadline(), lone.string()), (500, None));
    assert_eq!(
        object.string(400, &lone.origins).as_deref(),
        Some(&b"w"[..])
    );
    lone.run(|draft| {
        draft.replace(b"h", b"new");
        assert_eq!(draft.deadline(b"h"), None);
    });
}

#[test]
fn a_sum_of_infinite_scores_is_written_as_a_value() {
    let mut lone = Lone::new();
    let score = |delta| Number::Float(delta);
    let effects = lone.run(|draft| {
        let added = draft.add(b"z", Kind::Zset, b"m", score(f64::INFINITY));
        assert_eq!(added, Ok(score(f64::INFINITY)));
        let added = draft.add(b"z", Kind::Zset, b"m", score(f64::NEG_INFINITY));
        assert_eq!(added, Err(AddError::NanOrInfinity));
    });
    // The type and the score.
    assert_eq!(effects.len(), 2);
}
