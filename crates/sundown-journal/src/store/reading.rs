//! What is in the file when it is opened, and why it could not be.

use std::{collections::BTreeMap, io, iter::Peekable, sync::Arc};

use redb::{Database, ReadableDatabase, ReadableTable};
use serde_json::value::RawValue;
use sundown::JobId;

use super::record::{
    CHECKPOINTS, ENDS, End, Found, JOBS, RUNS, Record, Row, Run, past_from_text, reason_from_text,
};

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) jobs: Vec<Found>,
    pub(crate) runs: BTreeMap<u64, Run>,
}

impl Contents {
    pub(super) fn read(database: &Database) -> Result<Self, Trouble> {
        let read = database.begin_read()?;
        let mut contents = Contents::default();
        for row in read.open_table(RUNS)?.iter()? {
            let (number, run) = row?;
            let (component, reason) = run.value();
            contents.runs.insert(
                number.value(),
                Run { component: component.into(), reason: reason_from_text(reason) },
            );
        }
        let (checkpoints, ends) = (read.open_table(CHECKPOINTS)?, read.open_table(ENDS)?);
        // Few have one: they are walked beside the jobs instead of being looked up.
        let (mut checkpoints, mut ends) = (checkpoints.iter()?.peekable(), ends.iter()?.peekable());
        for job in read.open_table(JOBS)?.iter()? {
            let (row, job) = job?;
            let row = row.value();
            let (run, began, id, past, payload) = job.value();
            let past = past_from_text(past).map_err(|error| damaged("past", row, &error))?;
            let id = JobId::new(id).map_err(|error| damaged("id", row, &error))?;
            let payload =
                RawValue::from_string(payload.to_owned()).map_err(|error| damaged("payload", row, &error))?;
            let mut found = Found {
                row,
                record: Arc::new(Record { run, began, id, past, payload }),
                checkpoint: None,
                end: End::default(),
            };
            if let Some(checkpoint) = at(&mut checkpoints, row)? {
                let checkpoint = text(checkpoint.value());
                found.checkpoint = Some(checkpoint.map_err(|error| damaged("checkpoint", row, &error))?);
            }
            if let Some(end) = at(&mut ends, row)? {
                let (reason, in_doubt) = end.value();
                found.end = End { reason: reason_from_text(reason), in_doubt };
            }
            contents.jobs.push(found);
        }
        Ok(contents)
    }

    /// The rows with a checkpoint or an end.
    pub(super) fn annotated(&self) -> impl Iterator<Item = Row> {
        let annotated = |job: &&Found| job.checkpoint.is_some() || job.end.says_something();
        self.jobs.iter().filter(annotated).map(|job| job.row)
    }
}

/// What a table that is walked has at this row, whatever it has before.
fn at<'a, V: redb::Value + 'static>(
    rows: &mut Peekable<redb::Range<'a, Row, V>>,
    wanted: Row,
) -> Result<Option<redb::AccessGuard<'a, V>>, Trouble> {
    while let Some(next) = rows.next_if(|next| next.as_ref().map_or(true, |(row, _)| row.value() <= wanted)) {
        let (row, value) = next?;
        if row.value() == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn text(json: &str) -> serde_json::Result<Arc<RawValue>> {
    RawValue::from_string(json.to_owned()).map(Arc::from)
}

fn damaged(what: &str, row: Row, error: &dyn std::error::Error) -> Trouble {
    Trouble::Damaged(format!("the {what} of job {:032x}-{} is not what was written: {error}", row.0, row.1))
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Io(io::Error),
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl From<redb::Error> for Trouble {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Trouble::Io(error),
            // Nothing but damage makes these of a file that we have written.
            redb::Error::Corrupted(why) => Trouble::Damaged(why),
            redb::Error::TableDoesNotExist(table) => {
                Trouble::Damaged(format!("the table {table} is not there"))
            }
            redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. } => {
                Trouble::Damaged(error.to_string())
            }
            other => Trouble::Other(other.to_string()),
        }
    }
}

/// The store has an error type for each call.
macro_rules! through {
    ($($error:ty),*) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

through!(
    redb::CommitError,
    redb::DatabaseError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);

/// Why a journal could not be opened, without its name.
#[derive(Debug)]
pub(crate) enum OpenError {
    Foreign,
    Newer(u32),
    Trouble(Trouble),
}

impl<T: Into<Trouble>> From<T> for OpenError {
    fn from(trouble: T) -> Self {
        OpenError::Trouble(trouble.into())
    }
}
