//! The model's golden vectors, step by step: once with our own drafts, once with the effects as the
//! vectors spell them. After each step what clients see and what is held must be the model's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of a test fail the test"
)]

use serde_json::Value;
use std::collections::BTreeMap;
use tandem_merge::site::{Record, Shown, Site};
use tandem_merge::{
    CellId, Draft, Effect, EffectWriter, Kind, Mark, Marks, NEVER, Number, Object, Origin, Row,
};

const MODEL_NEVER: u64 = 1 << 50;
const MODEL_SKEW: u64 = 30;

fn kind(name: &str) -> Kind {
    match name {
        "str" => Kind::String,
        "hash" => Kind::Hash,
        "set" => Kind::Set,
        "zset" => Kind::Zset,
        other => panic!("unknown kind {other}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn number(value: &Value) -> Number {
    value
        .as_i64()
        .map_or_else(|| Number::Float(value.as_f64().unwrap()), Number::Int)
}

fn deadline(value: u64) -> u64 {
    if value == MODEL_NEVER { NEVER } else { value }
}

/// An element's value as our bytes.
fn bytes(kind: Kind, value: &Value) -> Vec<u8> {
    match (kind, value) {
        (Kind::Set, _) => Vec::new(),
        (Kind::Zset, value) => value.as_f64().unwrap().to_le_bytes().to_vec(),
        (_, Value::String(value)) => value.clone().into_bytes(),
        (_, value) => value.to_string().into_bytes(),
    }
}

fn origin(value: &Value) -> Origin {
    Origin {
        server_id: value[0].as_u64().unwrap() as u32,
        epoch: value[1].as_u64().unwrap(),
        incarnation: value[2].as_u64().unwrap(),
    }
}

fn rows(value: &Value) -> BTreeMap<Origin, Row> {
    let row = |one: &Value| {
        let mut row = Row {
            high: one[1].as_u64().unwrap(),
            holes: Vec::new(),
        };
        for missing in one[2].as_array().unwrap() {
            let missing = missing.as_u64().unwrap();
            row.holes.push((missing, missing));
        }
        (origin(&one[0]), row)
    };
    value.as_array().unwrap().iter().map(row).collect()
}

fn cell(value: &Value) -> CellId<'_> {
    match text(&value[1]) {
        "type" => CellId::Type(kind(text(&value[2]))),
        "ttl" => CellId::Ttl,
        name => CellId::Element(kind(name), text(&value[2]).as_bytes()),
    }
}

/// The marks of an effect as the vectors spell them.
fn marks(value: &Value, with_key: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for one in value.as_array().unwrap() {
        let key = if with_key {
            text(&one[0][0]).as_bytes()
        } else {
            &[]
        };
        let list: Vec<Mark> = one[1]
            .as_array()
            .unwrap()
            .iter()
            .map(|mark| Mark {
                origin: origin(&mark[0]),
                start: mark[1].as_u64().unwrap(),
                sequence: mark[2].as_u64().unwrap(),
                sum: number(&mark[3]),
            })
            .collect();
        Marks::encode_cell(key, &cell(&one[0]), &list, &mut out);
    }
    out
}

fn spell(effect: &Value, out: &mut EffectWriter) {
    let op = text(&effect[0]);
    let last = effect.as_array().unwrap().last().unwrap();
    let marks = if op == "inc" {
        Vec::new()
    } else {
        marks(last, op == "flush")
    };
    let marks = Marks(&marks);
    let key = match &effect[1] {
        Value::String(key) => key.as_bytes(),
        cell => cell[0].as_str().unwrap_or_default().as_bytes(),
    };
    match op {
        "flush" => out.push(&Effect::Flush { marks }),
        "clear" => out.push(&Effect::Clear { key, marks }),
        "expire" => {
            out.push(&Effect::Expire {
                key,
                end: effect[2].as_u64().unwrap(),
                marks,
            });
        }
        "others" => out.push(&Effect::Others {
            key,
            kind: kind(text(&effect[2])),
            marks,
        }),
        "rem" => out.push(&Effect::Remove {
            key,
            cell: cell(&effect[1]),
            marks,
        }),
        "put" => {
            let cell = cell(&effect[1]);
            let value = match cell {
                CellId::Type(_) => Vec::new(),
                CellId::Ttl => deadline(effect[2].as_u64().unwrap()).to_le_bytes().to_vec(),
                CellId::Element(kind, _) => bytes(kind, &effect[2]),
            };
            out.push(&Effect::Put {
                key,
                cell,
                value: &value,
                marks,
            });
        }
        "inc" => {
            let CellId::Element(kind, element) = cell(&effect[1]) else {
                panic!("an increment of an element")
            };
            let (start, sum) = (effect[2].as_u64().unwrap(), number(&effect[3]));
            out.push(&Effect::Add {
                key,
                kind,
                element,
                start,
                sum,
            });
        }
        other => panic!("unknown effect {other}"),
    }
}

fn run_command(draft: &mut Draft<'_>, objects: &BTreeMap<Vec<u8>, Object>, command: &Value) {
    let word = |at: usize| text(&command[at]).as_bytes();
    let now = draft.now();
    match text(&command[0]) {
        "set" => {
            let deadline = command[3].as_u64().map_or(NEVER, |ttl| now + ttl);
            draft.set(word(1), &bytes(Kind::String, &command[2]), deadline);
        }
        "add" => {
            let kind = kind(text(&command[1]));
            let _refused = draft
                .add(word(2), kind, word(3), number(&command[4]))
                .is_err();
        }
        "put" => {
            let kind = kind(text(&command[1]));
            draft.put(word(2), kind, word(3), &bytes(kind, &command[4]));
        }
        "remove" => {
            draft.remove(word(2), kind(text(&command[1])), word(3));
        }
        "delete" => {
            draft.delete(word(1));
        }
        "expire" => {
            draft.expire(word(1), now + command[2].as_u64().unwrap());
        }
        "persist" => {
            draft.persist(word(1));
        }
        "rename" => {
            draft.rename(word(1), word(2));
        }
        "flush" => draft.flush(objects.values()),
        "sweep" => {
            for key in command[1].as_array().unwrap() {
                draft.sweep(text(key).as_bytes());
            }
        }
        other => panic!("unknown command {other}"),
    }
}

fn shown(value: &Value) -> BTreeMap<Vec<u8>, Shown> {
    let show = |(key, value): (&String, &Value)| {
        let kind = kind(text(&value[0]));
        let elements = value[1].as_object().unwrap();
        let elements = elements
            .iter()
            .map(|(name, value)| (name.clone().into_bytes(), bytes(kind, value)))
            .collect();
        (
            key.clone().into_bytes(),
            Shown {
                kind,
                elements,
                deadline: value[2].as_u64(),
            },
        )
    };
    value.as_object().unwrap().iter().map(show).collect()
}

/// How the scenario's writes are made.
#[derive(Clone, Copy, PartialEq)]
enum Writes {
    Drafted,
    Spelled,
}

struct Scene {
    sites: BTreeMap<u64, Site>,
    drawn: u64,
    writes: Writes,
}

impl Scene {
    fn new(count: u64, writes: Writes) -> Self {
        let members: Vec<u32> = (1..=count as u32).collect();
        let sites = (1..=count).map(|id| (id, Site::new(id as u32, &members, MODEL_SKEW)));
        Self {
            sites: sites.collect(),
            drawn: 1000,
            writes,
        }
    }

    fn write(&mut self, site: u64, wall: u64, step: &Value) {
        let commands = step["commands"].as_array().unwrap();
        let settled = step["record"]["settled"].as_bool().unwrap_or_default();
        let drawn = &mut self.drawn;
        let mut draw = || {
            *drawn += 1;
            *drawn
        };
        let site = self.sites.get_mut(&site).unwrap();
        let life = site.next_life(&mut draw);
        let stamp = site.tick(wall);
        let mut out = EffectWriter::default();
        let effects = step["record"]["effects"].as_array();
        if self.writes == Writes::Drafted && !commands.is_empty() {
            let history = &site.data.history;
            let own = history.origins.get(&life);
            let mut draft = Draft::new(&site.data.objects, &history.origins, own, stamp);
            for command in commands {
                run_command(&mut draft, &site.data.objects, command);
            }
            let empty = draft.is_empty();
            draft.finish(0, &mut out);
            assert_eq!(out.is_empty(), empty);
            if let (true, Some(effects)) = (empty, effects) {
                // The model removes even what only this record has written.
                assert!(
                    effects.iter().all(|effect| effect[0] == "clear"),
                    "{effects:?}"
                );
            } else {
                assert_eq!(
                    out.is_empty(),
                    effects.is_none(),
                    "whether there is a record"
                );
            }
        } else {
            for effect in effects.into_iter().flatten() {
                spell(effect, &mut out);
            }
        }
        if effects.is_some() {
            let record = site.commit(life, stamp, out.bytes(), settled, &[]);
            same_header(&record, &step["record"]);
        }
    }

    fn step(&mut self, step: &Value) {
        let (site, wall) = (
            step["site"].as_u64().unwrap(),
            step["wall"].as_u64().unwrap(),
        );
        let from = step["from"].as_u64().unwrap_or_default();
        match text(&step["op"]) {
            "write" => self.write(site, wall, step),
            "apply" => {
                let held = self.sites[&site].data.held();
                let records = self.sites[&from].serve(&held).unwrap();
                let count = step["count"].as_u64().unwrap() as usize;
                for record in &records[..count] {
                    self.sites.get_mut(&site).unwrap().apply(record).unwrap();
                }
            }
            "merge" => {
                let source = self.sites[&from].clone();
                let target = self.sites.get_mut(&site).unwrap();
                let side = target.side_tree(&source);
                target.switch(side).unwrap();
            }
            "drop" => self.sites.get_mut(&site).unwrap().drop_dead(),
            "sync" => self.sites.get_mut(&site).unwrap().sync(),
            "crash" => self.sites.get_mut(&site).unwrap().crash(),
            other => panic!("unknown step {other}"),
        }
        let site = &self.sites[&site];
        assert_eq!(site.visible(site.now(wall)), shown(&step["visible"]));
        assert_eq!(site.data.held(), rows(&step["vv"]));
    }
}

fn same_header(record: &Record, expected: &Value) {
    assert_eq!(record.origin, origin(&expected["origin"]));
    assert_eq!(record.sequence, expected["seq"].as_u64().unwrap());
    assert_eq!(record.stamp, expected["stamp"].as_u64().unwrap());
    let gains: BTreeMap<Origin, Row> = record.gains.iter().cloned().collect();
    assert_eq!(gains, rows(&expected["gains"]));
}

fn run_all(writes: Writes) {
    let mut count = 0;
    for line in include_str!("golden.jsonl").lines() {
        let scenario: Value = serde_json::from_str(line).unwrap();
        let mut scene = Scene::new(scenario["sites"].as_u64().unwrap(), writes);
        for (at, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            println!("{}: step {at}: {step}", scenario["name"]);
            scene.step(step);
        }
        count += 1;
    }
    assert!(count > 300, "all scenarios were there");
}

#[test]
fn own_drafts_give_what_the_model_gives() {
    run_all(Writes::Drafted);
}

#[test]
fn effects_as_the_model_spells_them_give_what_the_model_gives() {
    run_all(Writes::Spelled);
}
