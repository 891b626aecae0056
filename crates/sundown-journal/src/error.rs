//! What can go wrong with a journal: when it is opened, and when it writes.

use std::{fmt, io, path::PathBuf, sync::Arc};

use sundown::{Draining, InvalidJobId};

/// Why a journal could not be opened. What it held is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process, or another journal of this one, has it open.
    #[error("the journal {path} is in use by another process")]
    InUse {
        /// Which one.
        path: PathBuf,
    },
    /// The file is something else. It was not touched.
    #[error("{path} is not a journal")]
    NotAJournal {
        /// Which one.
        path: PathBuf,
    },
    /// The file was written by a later version of this crate. It was not touched.
    #[error("the journal {path} has format {found}, this program knows formats up to {known}")]
    NewerFormat {
        /// Which one.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The latest format that is known here.
        known: u32,
    },
    /// The file is damaged: what it held cannot be told for certain. Move it away to begin with an empty one, and see by
    /// other means to the jobs that were in it.
    #[error("the journal {path} is damaged: {why}")]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The system refused.
    #[error("the journal {path} could not be opened: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Why something is not in the journal for certain: the disk is full, or fails, or the journal is closed.
///
/// It is the same error for all who waited for one write, so it can be cloned.
#[derive(Clone, Debug)]
pub struct WriteError(Arc<Cause>);

#[derive(Debug)]
enum Cause {
    Closed,
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl WriteError {
    pub(crate) fn closed() -> Self {
        WriteError(Arc::new(Cause::Closed))
    }

    pub(crate) fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        WriteError(Arc::new(Cause::Failed(cause.into())))
    }

    /// Whether the journal was closed, so that trying again is of no use.
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, Cause::Closed)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Closed => f.write_str("the journal is closed"),
            Cause::Failed(cause) => write!(f, "the journal could not be written: {cause}"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Cause::Closed => None,
            Cause::Failed(cause) => Some(&**cause),
        }
    }
}

/// The journal has no room: see [`Options::max_bytes`](crate::Options::max_bytes) and
/// [`Options::max_jobs`](crate::Options::max_jobs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal is full: it holds {jobs} jobs in {bytes} bytes, {wanted} bytes more are wanted, and at most {max_jobs} \
     jobs and {max_bytes} bytes are allowed"
)]
#[non_exhaustive]
pub struct Full {
    /// How many jobs it holds.
    pub jobs: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// How many more were wanted.
    pub wanted: u64,
    /// How many jobs are allowed.
    pub max_jobs: u64,
    /// How many bytes are allowed.
    pub max_bytes: u64,
}

/// Why a durable job could not begin. Nobody has it: it can be given back to wherever it came from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The store is closed.
    #[error(transparent)]
    Draining(#[from] Draining),
    /// The id is not valid.
    #[error(transparent)]
    InvalidId(#[from] InvalidJobId),
    /// The payload could not be serialised.
    #[error("the payload could not be serialised: {0}")]
    Payload(#[source] serde_json::Error),
    /// The journal has no room.
    #[error(transparent)]
    Full(#[from] Full),
    /// The journal could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a checkpoint was not noted; the one before stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It could not be serialised.
    #[error("the checkpoint could not be serialised: {0}")]
    Serialise(#[source] serde_json::Error),
    /// The journal has no room.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Why a job of an earlier process could not be begun again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// Somebody has it already: it was resumed, or is being handed over.
    #[error("somebody sees to the job already")]
    Taken,
    /// Its payload is not of this store's type.
    #[error("the payload is not of this type: {0}")]
    Payload(#[source] serde_json::Error),
    /// It could not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
}

impl From<Draining> for ResumeError {
    fn from(draining: Draining) -> Self {
        ResumeError::Begin(draining.into())
    }
}
