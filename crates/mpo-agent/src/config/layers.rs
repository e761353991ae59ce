//! Laying partial settings over each other, and telling the user which key is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use mpo_nets::Algorithm;
use toml::{Table, Value};

use super::{Config, Reduction};
use crate::AgentError;

/// Settings in the order in which they are applied.
pub(super) struct Layers {
    leaves: Vec<(String, Value)>,
    known: Vec<String>,
}

impl Layers {
    pub(super) fn new() -> Self {
        Self { leaves: Vec::new(), known: keys() }
    }

    /// Adds every key of a TOML document.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), AgentError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let message = error.to_string();
            AgentError::ConfigSyntax { path: path.to_owned(), message: message.trim_end().to_owned() }
        })?;
        let mut leaves = Vec::new();
        flatten("", &table, &mut leaves);
        for (key, value) in leaves {
            self.add(key, value, &path.display().to_string())?;
        }
        Ok(())
    }

    /// Adds one key. `text` is TOML if it parses, a bare string if not: `task=control/cheetah-run`
    /// needs no quotes.
    pub(super) fn add_set(&mut self, key: &str, text: &str) -> Result<(), AgentError> {
        let value = text.parse::<Value>().unwrap_or_else(|_| Value::String(text.to_owned()));
        self.add(key.to_owned(), value, "--set")
    }

    pub(super) fn append(&mut self, mut later: Self) {
        self.leaves.append(&mut later.leaves);
    }

    /// The last task named, or nothing.
    pub(super) fn task(&self) -> String {
        let mut tasks = self.leaves.iter().rev().filter(|(key, _)| key == "task");
        tasks.find_map(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
    }

    /// The last algorithm named, or the default.
    pub(super) fn algorithm(&self) -> Algorithm {
        let mut named = self.leaves.iter().rev().filter(|(key, _)| key == "learner.algorithm");
        named.find_map(|(_, value)| value.clone().try_into().ok()).unwrap_or_default()
    }

    /// The defaults with every layer applied.
    pub(super) fn config(self) -> Result<Config, AgentError> {
        let mut table = table(&Config::default());
        for (key, value) in self.leaves {
            insert(&mut table, &key, value);
        }
        read(table).map_err(|problem| AgentError::ConfigValue {
            key: "config".to_owned(),
            value: "all layers together".to_owned(),
            problem,
        })
    }

    /// Checks a key and the type of its value, alone, so that an error can name it.
    fn add(&mut self, key: String, value: Value, origin: &str) -> Result<(), AgentError> {
        if !self.known.contains(&key) {
            // A whole section given as a plain value is a wrong type, not an unknown key.
            let section = format!("{key}.");
            if self.known.iter().any(|known| known.starts_with(&section)) {
                let problem = format!("`{key}` is a section of settings (from {origin})");
                return Err(AgentError::ConfigValue { key, value: value.to_string(), problem });
            }
            let nearest = nearest(&key, &self.known);
            return Err(AgentError::UnknownKey { key, origin: origin.to_owned(), nearest });
        }
        let mut alone = table(&Config::default());
        insert(&mut alone, &key, value.clone());
        match read(alone) {
            Ok(_) => {
                self.leaves.push((key, value));
                Ok(())
            }
            Err(problem) => {
                let problem = format!("{problem} (from {origin})");
                Err(AgentError::ConfigValue { key, value: value.to_string(), problem })
            }
        }
    }
}

/// The first setting in which two runs differ, as key and both values.
pub(super) fn difference(a: &Config, b: &Config) -> Option<(String, String, String)> {
    let leaves = |config: &Config| {
        let (mut leaves, mut table) = (Vec::new(), table(config));
        table.iter_mut().for_each(|(_, value)| shorten(value));
        flatten("", &table, &mut leaves);
        leaves.into_iter().map(|(key, value)| (key, value.to_string())).collect::<BTreeMap<_, _>>()
    };
    let (a, b) = (leaves(a), leaves(b));
    let shown = |side: &BTreeMap<String, String>, key| side.get(key).map_or("nothing", String::as_str).to_owned();
    let key = a.keys().chain(b.keys()).find(|&key| a.get(key) != b.get(key))?;
    Some((key.clone(), shown(&a, key), shown(&b, key)))
}

/// Every dotted key.
pub(super) fn keys() -> Vec<String> {
    let mut config = Config::default();
    // An absent optional setting would leave no trace in the table, and neither would a single worker.
    config.training.workers = 2;
    config.training.reduction = Reduction::RankOrder;
    config.training.stop_at_return = Some(0.0);
    config.training.reward_clip = Some(1.0);
    config.training.episode_steps = Some(1);
    config.learner.epsilon_penalty = Some(1.0);
    config.learner.n_step = Some(1);
    let mut leaves = Vec::new();
    flatten("", &table(&config), &mut leaves);
    leaves.into_iter().map(|(key, _)| key).collect()
}

/// The settings as TOML text.
pub(super) fn document(config: &Config) -> String {
    let mut table = table(config);
    table.iter_mut().for_each(|(_, value)| shorten(value));
    table.to_string()
}

#[expect(clippy::expect_used, reason = "plain structs of numbers, strings and arrays always serialise")]
fn table(config: &Config) -> Table {
    Table::try_from(config).expect("settings serialise")
}

fn read(table: Table) -> Result<Config, String> {
    table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Writes `f32` settings with their own digits: 0.1, not 0.10000000149011612.
fn shorten(value: &mut Value) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| shorten(value)),
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Float(number) => {
            let narrow = *number as f32;
            if f64::from(narrow).to_bits() == number.to_bits()
                && let Ok(short) = narrow.to_string().parse()
            {
                *number = short;
            }
        }
        _ => {}
    }
}

/// The table's entries that are no tables, with dotted keys.
fn flatten(prefix: &str, table: &Table, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, leaves),
            other => leaves.push((key, other.clone())),
        }
    }
}

/// Puts `value` at a known dotted key.
fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(section) {
                insert(inner, rest, value);
            }
        }
    }
}

/// The known key most like `key`, by the whole or by the last part alone (the section left out).
fn nearest(key: &str, known: &[String]) -> String {
    let last = |dotted: &str| dotted.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |candidate: &String| {
        let whole = strsim::normalized_damerau_levenshtein(key, candidate);
        // A match by the last part alone is a little weaker evidence.
        whole.max(0.9 * strsim::normalized_damerau_levenshtein(&last(key), &last(candidate)))
    };
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.cloned().unwrap_or_default()
}
