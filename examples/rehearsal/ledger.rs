//! What was seen, from four sides that do not know of each other: the job log of the service, the
//! acknowledgements of the monitor, the clients, and the exit of the process. Brought together here by job,
//! and judged elsewhere.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs};

use crate::Result;
use crate::client::{Fate, Outcome, Visit};
use crate::clock::Stamp;
use crate::grace;
use crate::monitor::{INCOMPLETE, Notice};
use crate::process::Departure;

/// A line of the job log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The work of a job began.
    Started(String),
    /// The effect of a job took place.
    Done(String),
}

/// All that one rehearsal has shown.
#[derive(Clone)]
pub struct Evidence {
    pub grace: Duration,
    pub signal: Stamp,
    pub departure: Departure,
    pub visits: Vec<Visit>,
    pub notices: Vec<Notice>,
    pub entries: Vec<Entry>,
    pub report: String,
}

/// What is known of one job.
#[derive(Default)]
pub struct Job<'a> {
    pub started: usize,
    pub done: usize,
    /// When each hand-over of it was first acknowledged; a retry is no second one.
    pub hand_overs: Vec<Stamp>,
    pub visit: Option<&'a Visit>,
}

impl Job<'_> {
    pub fn is_done(&self) -> bool {
        self.done > 0
    }

    pub fn acknowledged(&self) -> Option<Stamp> {
        self.hand_overs.first().copied()
    }

    /// Its client was told that nobody can know how it ended.
    pub fn is_in_doubt(&self) -> bool {
        self.visit.and_then(|visit| visit.fate(503)) == Some(&Fate::InDoubt)
    }

    /// Its client saw the answer cut, and so could not be told anything else.
    pub fn is_cut(&self) -> bool {
        self.visit.is_some_and(|visit| matches!(visit.outcome, Outcome::Cut))
    }
}

impl Evidence {
    /// The latest moment at which the process may still be there.
    pub fn exit_bound(&self) -> Stamp {
        self.signal.plus(self.grace - grace::margin(self.grace))
    }

    /// Seconds from the signal.
    pub fn at(&self, stamp: Stamp) -> f64 {
        stamp.since(self.signal)
    }

    /// Every job that anybody has spoken of.
    pub fn jobs(&self) -> BTreeMap<&str, Job<'_>> {
        let mut jobs: BTreeMap<&str, Job<'_>> = BTreeMap::new();
        for entry in &self.entries {
            match entry {
                Entry::Started(id) => jobs.entry(id).or_default().started += 1,
                Entry::Done(id) => jobs.entry(id).or_default().done += 1,
            }
        }
        for notice in self.hand_overs() {
            if let Some(id) = &notice.subject {
                jobs.entry(id).or_default().hand_overs.push(notice.acknowledged);
            }
        }
        for visit in &self.visits {
            if let Some(id) = &visit.job {
                jobs.entry(id).or_default().visit = Some(visit);
            }
        }
        jobs
    }

    /// The hand-overs that were acknowledged, each once: the first of those with the same id.
    pub fn hand_overs(&self) -> impl Iterator<Item = &Notice> {
        let mut first: BTreeMap<&str, &Notice> = BTreeMap::new();
        for notice in self.notices.iter().filter(|notice| notice.kind == INCOMPLETE) {
            let known = first.entry(&notice.id).or_insert(notice);
            if notice.acknowledged < known.acknowledged {
                *known = notice;
            }
        }
        first.into_values()
    }
}

/// Reads the job log; none at all is one in which nothing happened, and a line without its end was never
/// written.
pub fn read_log(path: &Path) -> Result<Vec<Entry>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(entry).collect()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Box<dyn std::error::Error> {
    format!("cannot read the job log {}: {error}", path.display()).into()
}

fn entry(line: &str) -> Result<Entry> {
    match line.split_once(' ') {
        Some(("S", id)) => Ok(Entry::Started(id.to_owned())),
        Some(("D", id)) => Ok(Entry::Done(id.to_owned())),
        _ => Err(format!("the job log has a line that is neither start nor effect: {line:?}").into()),
    }
}

/// What a client got, in a few words.
impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Answered(answer) => match &answer.fate {
                Some(fate) => write!(f, "{} {fate}", answer.status),
                None => write!(f, "{}", answer.status),
            },
            Outcome::Cut => write!(f, "a cut answer"),
            Outcome::HalfHead => write!(f, "half a head"),
            Outcome::Garbled(what) => write!(f, "something that is no HTTP ({what})"),
            Outcome::Reset => write!(f, "a reset"),
            Outcome::Silent => write!(f, "a close without a byte"),
            Outcome::Late => write!(f, "no answer in time"),
            Outcome::NoWayIn(kind) => write!(f, "no way in ({kind})"),
            Outcome::Unsolicited(count) => write!(f, "{count} bytes that nobody had asked for"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HandedOver => "handed-over",
            Self::Completed => "completed",
            Self::Unacknowledged => "unacknowledged",
            Self::InDoubt => "in-doubt",
            Self::NotStarted => "not-started",
            Self::NoJob => "no-job",
            Self::Unknown(other) => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_a_start_or_an_effect() {
        assert_eq!(entry("S a-1").unwrap(), Entry::Started("a-1".into()));
        assert_eq!(entry("D a-1").unwrap(), Entry::Done("a-1".into()));
        assert!(entry("X a-1").is_err());
        assert!(entry("S").is_err());
    }
}
