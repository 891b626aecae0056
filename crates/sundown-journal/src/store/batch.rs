//! What is written at once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use redb::{Database, ReadableTable};
use serde_json::value::RawValue;

use super::{
    reading::Trouble,
    record::{CHECKPOINTS, ENDS, End, Found, JOBS, RUNS, Record, Row, Run, past_to_text, reason_to_text},
};

/// Everything that one transaction writes, in this order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) runs: HashMap<u64, Option<Run>>,
    pub(crate) puts: Vec<Put>,
    pub(crate) notes: HashMap<Row, Note>,
    /// What is no longer of interest.
    pub(crate) forgotten: Vec<Row>,
}

/// A job that comes into the journal.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) row: Row,
    pub(crate) record: Arc<Record>,
    pub(crate) checkpoint: Option<Arc<RawValue>>,
    /// It comes at a shutdown's end. If it is there already, what is known of it stands.
    pub(crate) end: Option<End>,
    /// The begin that this one follows, which goes.
    pub(crate) instead_of: Option<Arc<Found>>,
}

/// What has happened to a job since its last note. Notes may wait, and only the latest counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    pub(crate) checkpoint: Option<Arc<RawValue>>,
    pub(crate) end: Option<End>,
    /// It is to be there, though a failed write may have removed it.
    pub(crate) restore: Option<Arc<Record>>,
}

impl Note {
    pub(crate) fn restore(found: &Found) -> Self {
        Note {
            checkpoint: found.checkpoint.clone(),
            end: Some(found.end.clone()).filter(End::says_something),
            restore: Some(found.record.clone()),
        }
    }

    /// Adds what came later.
    pub(crate) fn then(&mut self, later: Note) {
        self.checkpoint = later.checkpoint.or(self.checkpoint.take());
        self.end = later.end.or(self.end.take());
        self.restore = later.restore.or(self.restore.take());
    }

    fn is_annotation(&self) -> bool {
        self.checkpoint.is_some() || self.end.is_some()
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.puts.is_empty() && self.notes.is_empty() && self.forgotten.is_empty()
    }

    pub(super) fn write(&self, database: &Database, annotated: &HashSet<Row>) -> Result<(), Trouble> {
        let write = database.begin_write()?;
        if !self.runs.is_empty() {
            let mut runs = write.open_table(RUNS)?;
            for (number, run) in &self.runs {
                match run {
                    Some(run) => {
                        runs.insert(number, (&*run.component, &*reason_to_text(run.reason.as_ref())))?
                    }
                    None => runs.remove(number)?,
                };
            }
        }
        let restores = self.notes.values().any(|note| note.restore.is_some());
        if !self.puts.is_empty() || !self.forgotten.is_empty() || restores {
            let mut jobs = write.open_table(JOBS)?;
            for put in &self.puts {
                if let Some(old) = &put.instead_of {
                    jobs.remove(old.row)?;
                }
                if put.end.is_none() || jobs.get(put.row)?.is_none() {
                    insert(&mut jobs, put.row, &put.record)?;
                }
            }
            for (&row, note) in &self.notes {
                if let Some(record) = &note.restore {
                    insert(&mut jobs, row, record)?;
                }
            }
            for &row in &self.forgotten {
                jobs.remove(row)?;
            }
        }
        let annotations: Vec<_> = self.annotations(annotated).collect();
        if !annotations.is_empty() {
            let (mut checkpoints, mut ends) = (write.open_table(CHECKPOINTS)?, write.open_table(ENDS)?);
            let jobs = write.open_table(JOBS)?;
            for annotation in annotations {
                match annotation {
                    (row, None) => {
                        checkpoints.remove(row)?;
                        ends.remove(row)?;
                    }
                    // It was said before the job was forgotten, and written after.
                    (row, Some(_)) if jobs.get(row)?.is_none() => (),
                    (row, Some((checkpoint, end))) => {
                        if let Some(checkpoint) = checkpoint {
                            checkpoints.insert(row, checkpoint.get())?;
                        }
                        if let Some(end) = end {
                            ends.insert(row, (&*reason_to_text(end.reason.as_ref()), end.in_doubt))?;
                        }
                    }
                }
            }
        }
        Ok(write.commit()?)
    }

    /// The rows that get a checkpoint or an end, and those that lose what they have.
    fn annotations<'a>(
        &'a self,
        annotated: &'a HashSet<Row>,
    ) -> impl Iterator<Item = (Row, Option<Annotation<'a>>)> {
        let gone = self.puts.iter().filter_map(|put| Some(put.instead_of.as_ref()?.row));
        let gone = gone.filter(|old| annotated.contains(old));
        let put = self.puts.iter().filter(|put| put.checkpoint.is_some() || put.end.is_some());
        let put = put.map(|put| (put.row, (put.checkpoint.as_ref(), put.end.as_ref())));
        let noted = self.notes.iter().filter(|(_, note)| note.is_annotation());
        let noted = noted.map(|(&row, note)| (row, (note.checkpoint.as_ref(), note.end.as_ref())));
        // Those that come and go at once bring theirs along.
        let brought: HashSet<_> = put.clone().chain(noted.clone()).map(|(row, _)| row).collect();
        let is_there = move |row: &&Row| {
            // Most batches have none, and then nothing is looked up.
            (!annotated.is_empty() && annotated.contains(*row))
                || (!brought.is_empty() && brought.contains(*row))
        };
        let forgotten = self.forgotten.iter().filter(is_there);
        gone.map(|row| (row, None))
            .chain(put.chain(noted).map(|(row, annotation)| (row, Some(annotation))))
            .chain(forgotten.map(|&row| (row, None)))
    }

    /// The rows that have a checkpoint or an end now that this was written, or, if it failed, may have.
    pub(super) fn annotate(&self, annotated: &mut HashSet<Row>, written: bool) {
        let changed: Vec<_> = self.annotations(annotated).map(|(row, kept)| (row, kept.is_some())).collect();
        for (row, kept) in changed {
            if kept {
                annotated.insert(row);
            } else if written {
                annotated.remove(&row);
            }
        }
    }
}

type Annotation<'a> = (Option<&'a Arc<RawValue>>, Option<&'a End>);

fn insert(
    jobs: &mut redb::Table<'_, Row, (u64, u64, &str, &str, &str)>,
    row: Row,
    record: &Record,
) -> Result<(), Trouble> {
    let past = past_to_text(&record.past).map_err(|error| Trouble::Other(error.to_string()))?;
    jobs.insert(row, (record.run, record.began, record.id.as_str(), &*past, record.payload.get()))?;
    Ok(())
}
