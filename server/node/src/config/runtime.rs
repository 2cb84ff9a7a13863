//! Settings into a configuration, at start and by `CONFIG SET`; and out of it, for `CONFIG GET`.

use super::error::{ConfigError, Origin};
use super::keys::{self, Change, Key, Read};
use super::source::Setting;
use super::{Config, check, ignored, nearest};
use std::collections::BTreeMap;
use tandem_proto::{glob, words};

/// Where each key was set.
pub(super) type Origins = BTreeMap<&'static str, Origin>;

/// A configuration that is being put together.
pub(super) struct Assembly<'a> {
    config: &'a mut Config,
    origins: Origins,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(config: &'a mut Config) -> Self {
        Self {
            config,
            origins: Origins::new(),
        }
    }

    /// Applies the settings of one source, over those of earlier ones. Within one source a key
    /// may be set again to the same value only.
    pub(super) fn apply_all(&mut self, settings: Vec<Setting>) -> Result<(), ConfigError> {
        let mut seen: BTreeMap<&'static str, (Vec<String>, Origin)> = BTreeMap::new();
        for setting in settings {
            let Some(key) = keys::find(&setting.key) else {
                self.apply_foreign(&setting)?;
                continue;
            };
            apply(self.config, key, &setting)?;
            self.origins.insert(key.name, setting.origin.clone());
            let Setting {
                key: written,
                values,
                origin,
            } = setting;
            match seen.get(key.name) {
                Some((first_values, first)) if *first_values != values && !key.adds_up() => {
                    let first = first.clone();
                    return Err(ConfigError::Contradiction {
                        origin,
                        key: written,
                        first,
                    });
                }
                Some(_) => {}
                None => {
                    seen.insert(key.name, (values, origin));
                }
            }
        }
        Ok(())
    }

    fn apply_foreign(&mut self, setting: &Setting) -> Result<(), ConfigError> {
        self.config.warnings.extend(judge_foreign(setting)?);
        Ok(())
    }

    /// Gives where each key was set last.
    pub(super) fn finish(self) -> Origins {
        self.origins
    }
}

/// What a `CONFIG SET` did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// Keys whose value is another one now, by their first spelling.
    pub changed: Vec<&'static str>,
    /// What is unwise about the new values, or has no effect; to be logged.
    pub warnings: Vec<String>,
}

impl Effect {
    /// Whether any key that begins with `prefix` changed (`double-master-`, `slowlog-`, ...).
    pub fn has(&self, prefix: &str) -> bool {
        self.changed.iter().any(|key| key.starts_with(prefix))
    }
}

impl Config {
    /// Gives the value of one key, in any spelling and case.
    pub fn get(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        match keys::find(&name) {
            Some(key) => Some((key.show)(self)),
            None => ignored::find(&name)?.shown.map(str::to_owned),
        }
    }

    /// Gives keys and values whose name matches a glob, every spelling by itself, as Redis does.
    pub fn matching(&self, pattern: &[u8]) -> Vec<(&'static str, String)> {
        let matches = |name: &str| glob::matches_ignoring_case(pattern, name.as_bytes());
        let own = keys::KEYS
            .iter()
            .flat_map(|key| key.spellings().map(move |name| (name, key)));
        let own = own
            .filter(|(name, _)| matches(name))
            .map(|(name, key)| (name, (key.show)(self)));
        let foreign = ignored::all().filter_map(|foreign| {
            let shown = foreign.shown?;
            matches(foreign.name).then(|| (foreign.name, shown.to_owned()))
        });
        own.chain(foreign).collect()
    }

    /// Sets keys at run time: all of them, or none if one is refused.
    pub fn set(&mut self, pairs: &[(&str, &str)]) -> Result<Effect, ConfigError> {
        let mut next = self.clone();
        let mut effect = Effect::default();
        let mut seen: BTreeMap<&'static str, &str> = BTreeMap::new();
        for &(name, value) in pairs {
            let setting = Setting {
                key: name.to_ascii_lowercase(),
                values: vec![value.to_owned()],
                origin: Origin::ConfigSet,
            };
            let Some(key) = keys::find(&setting.key) else {
                effect.warnings.extend(judge_foreign(&setting)?);
                continue;
            };
            refuse_unless_settable(key, &setting.key)?;
            if seen
                .insert(key.name, value)
                .is_some_and(|first| first != value)
            {
                let (origin, first) = (Origin::ConfigSet, Origin::ConfigSet);
                return Err(ConfigError::Contradiction {
                    origin,
                    key: setting.key,
                    first,
                });
            }
            apply(&mut next, key, &setting)?;
        }
        check::check(&next, &|_| Some(Origin::ConfigSet))?;
        let changed = keys::KEYS
            .iter()
            .filter(|key| (key.show)(self) != (key.show)(&next));
        effect.changed = changed.map(|key| key.name).collect();
        let known = check::warnings(self);
        let warnings = check::warnings(&next)
            .into_iter()
            .filter(|new| !known.contains(new));
        effect.warnings.extend(warnings);
        *self = next;
        Ok(effect)
    }
}

fn refuse_unless_settable(key: &Key, written: &str) -> Result<(), ConfigError> {
    let remedy = match key.change {
        Change::AtRunTime => return Ok(()),
        Change::AtStart => format!("restart with `--{written} VALUE`"),
        Change::ByCommand(command) => format!("use `{command}`"),
    };
    Err(ConfigError::NotSettable {
        key: written.to_owned(),
        remedy,
    })
}

fn apply(config: &mut Config, key: &Key, setting: &Setting) -> Result<(), ConfigError> {
    let Setting {
        key: written,
        values,
        origin,
    } = setting;
    let (origin, written) = (origin.clone(), written.clone());
    let words = match key.read {
        Read::One(_) => values.clone(),
        Read::Words(_) => split_again(values, &origin)?,
    };
    if values.is_empty() {
        // What the key says of an empty value is what it takes.
        let expected = key.apply(&mut config.clone(), &[""]).err();
        let expected = expected.unwrap_or_else(|| "a value, `\"\"` for none".to_owned());
        return Err(ConfigError::MissingValue {
            origin,
            key: written,
            expected,
        });
    }
    if matches!(key.read, Read::One(_)) && words.len() > 1 {
        let has_comment = words[1].starts_with('#');
        let count = words.len();
        return Err(ConfigError::SurplusValues {
            origin,
            key: written,
            count,
            has_comment,
        });
    }
    let given: Vec<&str> = words.iter().map(String::as_str).collect();
    key.apply(config, &given)
        .map_err(|expected| ConfigError::WrongValue {
            origin,
            key: written,
            value: given.join(" "),
            expected,
        })
}

/// Words may come as one value (`CONFIG SET bind "127.0.0.1 ::1"`) or as several.
fn split_again(values: &[String], origin: &Origin) -> Result<Vec<String>, ConfigError> {
    let mut found = Vec::new();
    for value in values {
        words::split(value.as_bytes(), |word| {
            found.push(String::from_utf8_lossy(word).into_owned());
        })
        .map_err(|_| ConfigError::UnbalancedQuotes {
            origin: origin.clone(),
        })?;
    }
    if found.is_empty() && !values.is_empty() {
        found.push(String::new());
    }
    Ok(found)
}

/// Judges a key that is not in the table: nothing to say, a warning, or a refusal.
fn judge_foreign(setting: &Setting) -> Result<Option<String>, ConfigError> {
    let Setting {
        key,
        values,
        origin,
    } = setting;
    let Some(foreign) = ignored::find(key) else {
        let own = keys::KEYS.iter().flat_map(Key::spellings);
        let foreign = ignored::all().map(|foreign| foreign.name);
        return Err(ConfigError::UnknownKey {
            origin: origin.clone(),
            key: key.clone(),
            nearest: nearest::nearest(key, own.chain(foreign)),
        });
    };
    if foreign
        .shown
        .is_some_and(|shown| shown.eq_ignore_ascii_case(&values.join(" ")))
    {
        return Ok(None);
    }
    if foreign.is_refused {
        let (origin, key, reason) = (origin.clone(), key.clone(), foreign.reason);
        return Err(ConfigError::UnsupportedKey {
            origin,
            key,
            reason,
        });
    }
    Ok(Some(format!(
        "{origin}: `{key}` has no effect here: {}",
        foreign.reason
    )))
}
