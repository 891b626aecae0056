//! A report as it travels: JSON, read as a monitoring service would.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A report that a fixture printed.
#[derive(Clone, Debug)]
pub struct Record(Value);

impl Record {
    pub(crate) fn parse(text: &str) -> Self {
        Record(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}")))
    }

    /// How a component's step ended: `done`, `late`, `not-called`, or `failed: …`, `panicked: …`.
    pub fn component(&self, name: &str, step: &str) -> String {
        outcome(&named(&self.0["components"], name)[step])
    }

    /// What a component had in flight at the claim: the number, if it counts.
    pub fn in_flight(&self, name: &str) -> Option<u64> {
        named(&self.0["components"], name)["stragglers"]["total"].as_u64()
    }

    /// Their names.
    pub fn names_in_flight(&self, name: &str) -> Vec<String> {
        let units = named(&self.0["components"], name)["stragglers"]["units"].as_array();
        units.into_iter().flatten().map(|unit| text(&unit["name"])).collect()
    }

    /// What a component noted under this name.
    pub fn note(&self, name: &str, what: &str) -> u64 {
        let notes = named(&self.0["components"], name)["notes"].as_array().into_iter().flatten();
        let found = notes.filter(|note| note[0] == what).find_map(|note| note[1].as_u64());
        found.unwrap_or_else(|| panic!("{name} noted no {what:?}"))
    }

    /// How a notifier's step ended, in the same words.
    pub fn notifier(&self, name: &str, step: &str) -> String {
        outcome(&named(&self.0["notifiers"], name)[step])
    }

    /// How a release hook ended, in the same words.
    pub fn hook(&self, name: &str) -> String {
        outcome(&named(&self.0["release"], name)["outcome"])
    }

    /// The ids of the jobs of one fate: `handed_over`, `unacknowledged`, `in_doubt`. Sorted.
    pub fn jobs(&self, fate: &str) -> Vec<String> {
        let jobs = self.0["jobs"][fate].as_array().unwrap_or_else(|| panic!("no {fate} in {}", self.0));
        let mut ids: Vec<_> = jobs.iter().map(|job| text(&job["id"])).collect();
        ids.sort();
        ids
    }

    /// How many jobs are in doubt that nobody could name.
    pub fn unnamed_in_doubt(&self) -> u64 {
        self.0["jobs"]["unnamed_in_doubt"].as_u64().expect("a count")
    }

    /// Why it began.
    pub fn reason(&self) -> String {
        text(&self.0["reason"])
    }

    /// What is worth knowing besides.
    pub fn warnings(&self) -> Vec<String> {
        self.0["warnings"].as_array().into_iter().flatten().map(text).collect()
    }

    /// The steps of the timeline, in the order in which they began.
    pub fn steps(&self) -> Vec<String> {
        self.0["steps"].as_array().into_iter().flatten().map(|step| text(&step["step"])).collect()
    }

    /// How long after the beginning a step of the timeline began.
    pub fn began(&self, step: &str) -> Duration {
        let found = self.0["steps"].as_array().into_iter().flatten().find(|entry| entry["step"] == step);
        let at = &found.unwrap_or_else(|| panic!("no {step} in {}", self.0))["at"];
        Deserialize::deserialize(at).unwrap_or_else(|error| panic!("{error} in {at}"))
    }
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().into_iter().flatten().find(|entry| entry["name"] == name);
    found.unwrap_or_else(|| panic!("nobody is called {name:?} in {list}"))
}

fn outcome(value: &Value) -> String {
    match value {
        Value::String(plain) => plain.clone(),
        Value::Object(kind) => match kind.iter().next() {
            Some((kind, Value::String(message))) => format!("{kind}: {message}"),
            Some((kind, _)) => kind.clone(),
            None => panic!("an outcome without a kind"),
        },
        _ => panic!("no outcome: {value}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
