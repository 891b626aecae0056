//! What the store keeps of a job, and in which tables.

use std::sync::Arc;

use redb::TableDefinition;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// A job's key as the store orders it: the instance, then the sequence, so that jobs of one process lie side by side.
pub(crate) type Row = (u128, u64);

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
    pub(crate) id: Arc<str>,
    pub(crate) past: Past,
    pub(crate) payload: Arc<RawValue>,
}

/// The begins of a job before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) attempts: u32,
    /// How the latest of them ended, in words.
    pub(crate) ends: Vec<String>,
}

impl Past {
    /// As many ends as are kept: enough to see a pattern, and no more however often a job comes back.
    const KEPT: usize = 16;

    /// One more begin, which ended for that reason.
    pub(crate) fn after(&self, reason: &str) -> Past {
        let from = (self.ends.len() + 1).saturating_sub(Self::KEPT);
        let ends = self.ends.iter().skip(from).cloned().chain([reason.to_owned()]).collect();
        Past { attempts: self.attempts.saturating_add(1), ends }
    }

    pub(super) fn to_text(&self) -> String {
        if *self == Past::default() {
            return String::new();
        }
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn from_text(text: &str) -> serde_json::Result<Self> {
        if text.is_empty() { Ok(Past::default()) } else { serde_json::from_str(text) }
    }
}

/// How a shutdown has left a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// Empty: as its run says.
    pub(crate) reason: Arc<str>,
    pub(crate) in_doubt: bool,
}

impl End {
    /// Whether there is more to say than the job's run does.
    pub(crate) fn says_something(&self) -> bool {
        self.in_doubt || !self.reason.is_empty()
    }
}

/// See [`RUNS`].
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) component: Arc<str>,
    /// Empty: it ended without a word, or has not ended.
    pub(crate) reason: Arc<str>,
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
    let ends: usize = record.past.ends.iter().map(|end| end.len() + 4).sum();
    128 + (record.id.len() + ends + record.payload.get().len()) as u64
}

/// The same of a checkpoint.
pub(crate) fn size_of_checkpoint(checkpoint: &RawValue) -> u64 {
    64 + checkpoint.get().len() as u64
}

/// A key for tests.
#[cfg(test)]
pub(crate) fn row(sequence: u64) -> Row {
    (Uuid::nil().as_u128(), sequence)
}
