//! What a job is called: the user's id says which work it is, the key which `begin` of it.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// What a job is called by whoever ordered it: an order's number, say. Two begins of one id are two jobs.
///
/// One to [`MAX`](Self::MAX) bytes of text without control characters, since it travels in headers and logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// The longest id, in bytes: what fits a log line and a header of any server.
    pub const MAX: usize = 256;

    /// Checks an id.
    ///
    /// # Errors
    ///
    /// [`InvalidJobId`] names what is wrong with it.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidJobId> {
        let id = id.into();
        if id.is_empty() {
            return Err(InvalidJobId::Empty);
        }
        if id.len() > Self::MAX {
            return Err(InvalidJobId::TooLong { bytes: id.len() });
        }
        match id.char_indices().find(|(_, c)| c.is_control()) {
            Some((at, _)) => Err(InvalidJobId::ControlCharacter { at }),
            None => Ok(JobId(id.into())),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<Key> for JobId {
    /// An id for work that nobody named.
    fn from(key: Key) -> Self {
        JobId(key.to_string().into())
    }
}

impl TryFrom<&str> for JobId {
    type Error = InvalidJobId;

    fn try_from(id: &str) -> Result<Self, InvalidJobId> {
        JobId::new(id)
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(id: String) -> Result<Self, InvalidJobId> {
        JobId::new(id)
    }
}

impl From<std::convert::Infallible> for InvalidJobId {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Why a text is no [`JobId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJobId {
    /// It has no characters.
    #[error("a job id must not be empty")]
    Empty,
    /// It has more than [`JobId::MAX`] bytes.
    #[error("a job id has at most {max} bytes, this one has {bytes}", max = JobId::MAX)]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It has a control character.
    #[error("a job id has no control characters, this one has one at byte {at}")]
    ControlCharacter {
        /// Where the first one is.
        at: usize,
    },
}

/// The identity of one `begin`, whatever its job is called: unique over all job stores of all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub(super) instance: Uuid,
    pub(super) sequence: u64,
}

impl Key {
    /// The key with these parts, as a store that outlives its process has kept them.
    pub fn new(instance: Uuid, sequence: u64) -> Self {
        Key { instance, sequence }
    }

    /// Names the job store that the job was begun in.
    pub fn instance(self) -> Uuid {
        self.instance
    }

    /// Which of that store's begins it is.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.instance.simple(), self.sequence)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
