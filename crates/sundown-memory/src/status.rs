//! What a watch has found.

use std::{fmt, path::PathBuf};

use crate::{Trouble, level::Level};

/// What a watch has found at its start. Its text is a line for a log.
///
/// Limits may change while it runs, and it follows them; this does not.
#[derive(Debug)]
#[non_exhaustive]
pub enum Status {
    /// There is a limit.
    Limited {
        /// The smallest of those above this process, in bytes. All of them are watched.
        limit: u64,
        /// The directory of the control group that has it.
        group: PathBuf,
    },
    /// There is none. One that is set later will be watched.
    Unlimited,
    /// Nothing is watched.
    Off(Trouble),
}

impl Status {
    pub(crate) fn of(levels: &[Level]) -> Self {
        // What cannot be read is for the watch to tell.
        let limit = |level: &Level| Some((level.read().ok()??.limit, level.dir().to_owned()));
        match levels.iter().filter_map(limit).min_by_key(|(limit, _)| *limit) {
            Some((limit, group)) => Status::Limited { limit, group },
            None => Status::Unlimited,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Limited { limit, group } => {
                write!(f, "memory is limited to {} MiB by {}", limit >> 20, group.display())
            }
            Status::Unlimited => f.write_str("memory is not limited"),
            Status::Off(trouble) => write!(f, "memory is not watched: {trouble}"),
        }
    }
}
