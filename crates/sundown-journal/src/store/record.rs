//! What the store keeps of a job, and in which tables.

use std::sync::Arc;

use redb::TableDefinition;
use serde::{
    Deserialize,
    de::{IntoDeserializer, value},
};
use serde_json::value::RawValue;
use sundown::{JobId, Key, Past, Reason, Uuid};

/// A job's key as the store orders it: the instance, then the sequence, so that jobs of one process lie side by side.
pub(crate) type Row = (u128, u64);

pub(crate) fn row_of(key: Key) -> Row {
    (key.instance().as_u128(), key.sequence())
}

pub(crate) fn key_of(row: Row) -> Key {
    Key::new(Uuid::from_u128(row.0), row.1)
}

/// Every job that has begun and not ended: its run, the milliseconds since 1970 when it began, its id, its [`Past`] as
/// JSON (nothing if it has none), its payload as JSON.
pub(super) const JOBS: TableDefinition<'_, Row, (u64, u64, &str, &str, &str)> = TableDefinition::new("jobs");

/// The last checkpoint of a job, as JSON.
pub(super) const CHECKPOINTS: TableDefinition<'_, Row, &str> = TableDefinition::new("checkpoints");

/// How a shutdown has left a job: the reason (nothing if its run knows better), and whether it is in doubt.
pub(super) const ENDS: TableDefinition<'_, Row, (&str, bool)> = TableDefinition::new("ends");

/// A component's jobs from its start to its end: its name, and why it ended, if there was time to say so.
pub(super) const RUNS: TableDefinition<'_, u64, (&str, &str)> = TableDefinition::new("runs");

/// What is written when a job begins.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) run: u64,
    /// In milliseconds since 1970, by the machine's clock.
    pub(crate) began: u64,
    pub(crate) id: JobId,
    pub(crate) past: Past,
    pub(crate) payload: Box<RawValue>,
}

/// The past as it is stored: most have none.
pub(super) fn past_to_text(past: &Past) -> serde_json::Result<String> {
    if *past == Past::default() { Ok(String::new()) } else { serde_json::to_string(past) }
}

pub(super) fn past_from_text(text: &str) -> serde_json::Result<Past> {
    if text.is_empty() { Ok(Past::default()) } else { serde_json::from_str(text) }
}

/// A reason as it is stored: its text, or nothing.
pub(super) fn reason_to_text(reason: Option<&Reason>) -> String {
    reason.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn reason_from_text(text: &str) -> Option<Reason> {
    let text = Some(text).filter(|text| !text.is_empty())?;
    Reason::deserialize(IntoDeserializer::<value::Error>::into_deserializer(text)).ok()
}

/// How a shutdown has left a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// None: as its run says.
    pub(crate) reason: Option<Reason>,
    pub(crate) in_doubt: bool,
}

impl End {
    /// Whether there is more to say than the job's run does.
    pub(crate) fn says_something(&self) -> bool {
        self.in_doubt || self.reason.is_some()
    }
}

/// See [`RUNS`].
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) component: Arc<str>,
    /// None: it ended without a word, or has not ended.
    pub(crate) reason: Option<Reason>,
}

/// A job that was found when the journal was opened.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) row: Row,
    pub(crate) record: Arc<Record>,
    pub(crate) checkpoint: Option<Arc<RawValue>>,
    pub(crate) end: End,
}

/// How many bytes a job takes, roughly: what is its own, and its share of keys, pages and trees.
pub(crate) fn size(record: &Record) -> u64 {
    128 + (record.id.as_str().len() + 32 * record.past.ends().len() + record.payload.get().len()) as u64
}

/// The same of a checkpoint.
pub(crate) fn size_of_checkpoint(checkpoint: &RawValue) -> u64 {
    64 + checkpoint.get().len() as u64
}
