//! The store: what the writer's thread writes into, and how it comes back after a failure.
//!
//! Invariants:
//!
//! 1. **What was acknowledged is in the file**, at every moment and whatever fails: a batch is one transaction, and is
//!    acknowledged after its sync.
//! 2. **A file whose sync has failed is not written again.** It is read through an [overlay](overlay), and what it holds
//!    goes to a new file, which takes its place when it is on the disk.
//! 3. **A file that takes another's place is whole before it does**, so a crash leaves one or the other.
//! 4. **A failure is not the end**: the store is opened again by a later batch, after a pause that doubles.

mod batch;
mod frame;
mod medium;
mod overlay;
mod reading;
mod record;

use std::{
    collections::HashSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, WriteTransaction};

pub(crate) use self::{
    batch::{Batch, Note, Put},
    frame::FORMAT,
    medium::{Directory, Medium},
    reading::{Contents, OpenError, Trouble},
    record::{End, Found, Record, Row, Run, key_of, row_of, size, size_of_checkpoint},
};
use self::{
    frame::{Frame, Framed, Health},
    overlay::Overlay,
    record::{CHECKPOINTS, ENDS, JOBS, RUNS},
};
use crate::WriteError;

/// How much of the file the store keeps in memory, in bytes: it writes more than it reads.
const CACHE: usize = 8 << 20;

/// A file below this many bytes is not worth copying.
const SMALL: u64 = 1 << 20;

/// The shortest and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

pub(crate) struct Store {
    medium: Box<dyn Medium>,
    open: Option<Open>,
    /// The rows that have a checkpoint or an end: of the others there is nothing more to remove than the row.
    annotated: HashSet<Row>,
    /// The file is not to be written: see the second invariant.
    suspect: bool,
    failure: Option<Failure>,
    /// How long the file was when it was last copied, or could not be.
    copied: u64,
}

struct Open {
    database: Database,
    health: Arc<Health>,
}

/// A batch was not acknowledged.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) error: WriteError,
    /// Its transaction was begun, and some or all of it may be on the disk. Otherwise nothing is.
    pub(crate) begun: bool,
}

struct Failure {
    error: WriteError,
    pause: Duration,
    until: Instant,
}

impl Store {
    /// Opens the journal there, or begins one.
    pub(crate) fn open(mut medium: Box<dyn Medium>) -> Result<(Self, Contents), OpenError> {
        let file = medium.open()?;
        let mut store =
            Store { medium, open: None, annotated: HashSet::new(), suspect: false, failure: None, copied: 0 };
        let contents = match file {
            None => {
                store.copy(None)?;
                Contents::default()
            }
            Some(file) => {
                match frame::inspect(&*file)? {
                    Frame::Known => (),
                    Frame::Newer(format) => return Err(OpenError::Newer(format)),
                    Frame::Foreign => return Err(OpenError::Foreign),
                }
                // The store may panic on what it has not written.
                let (open, contents) = guarded(|| {
                    let open = Open::existing(file, true)?;
                    let contents = Contents::read(&open.database)?;
                    Ok((open, contents))
                })?;
                store.open = Some(open);
                // What a crash has left, beside what is a journal for certain. If it cannot go, the next copy says so.
                let _ = store.medium.remove_copy();
                contents
            }
        };
        store.annotated = contents.annotated().collect();
        Ok((store, contents))
    }

    /// Makes a batch durable, all of it or nothing.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        self.recover().map_err(|error| Unwritten { error, begun: false })?;
        let Some(open) = &self.open else {
            return Err(Unwritten { error: WriteError::closed(), begun: false });
        };
        match guarded(|| batch.write(&open.database, &self.annotated)) {
            Ok(()) => {
                batch.annotate(&mut self.annotated, true);
                self.failure = None;
                Ok(())
            }
            Err(trouble) => {
                batch.annotate(&mut self.annotated, false);
                Err(Unwritten { error: self.fail(&trouble), begun: true })
            }
        }
    }

    /// Copies the file if most of it is empty: `live` bytes of it are of use. Not being able to is no failure, unless it
    /// leaves two files of which nobody knows which will be found.
    pub(crate) fn tidy(&mut self, live: u64) {
        let Some(open) = &self.open else { return };
        let len = open.health.len();
        if len < SMALL || len < live.saturating_mul(4) || len < self.copied.saturating_mul(2) {
            return;
        }
        self.copied = len;
        if let Some(open) = self.open.take() {
            if self.copy(Some(&open.database)).is_err() && !self.suspect {
                // Failed before the other had taken its place: this one goes on.
                self.open = Some(open);
            } else {
                discard(open);
            }
        }
    }

    /// Whether the last write has failed, and when the next may be tried.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.until)
    }

    /// Tries again now, whenever it failed.
    pub(crate) fn end_pause(&mut self) {
        if let Some(failure) = &mut self.failure {
            failure.until = Instant::now();
        }
    }

    /// Leaves the file so that the next one who opens it need not repair it.
    pub(crate) fn close(mut self) -> Result<(), WriteError> {
        let Some(open) = self.open.take() else {
            return self.failure.map_or(Ok(()), |failure| Err(failure.error));
        };
        guarded(|| Ok(open.database.close()?)).map_err(|trouble| WriteError::new(trouble.to_string()))
    }

    /// Opens the store again after a failure.
    fn recover(&mut self) -> Result<(), WriteError> {
        if self.open.is_some() {
            return Ok(());
        }
        if let Some(failure) = self.failure.as_ref().filter(|failure| Instant::now() < failure.until) {
            return Err(failure.error.clone());
        }
        let opened = self.medium.open().map_err(Trouble::from).and_then(|file| {
            let file = file.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
            if !self.suspect {
                self.open = Some(guarded(|| Open::existing(file, false))?);
                return Ok(());
            }
            let old = guarded(|| Open::existing(Arc::new(Overlay::new(file)?), false))?;
            self.copy(Some(&old.database))
        });
        opened.map_err(|trouble| self.fail(&trouble))
    }

    /// What is found there goes to a new file, which takes the old one's place and is open from here on.
    fn copy(&mut self, from: Option<&Database>) -> Result<(), Trouble> {
        let file = guarded(|| Ok(self.medium.begin_copy()?))?;
        let open = guarded(|| Open::new(file, from)).inspect_err(|_| {
            // On a full disk it would take what is left. If it cannot go, the next copy says so.
            let _ = self.medium.remove_copy();
        })?;
        // From the first step of this to its end nobody knows which of the two would be found.
        let suspect = std::mem::replace(&mut self.suspect, true);
        match self.medium.replace() {
            Ok(()) => {
                (self.suspect, self.copied) = (false, open.health.len());
                self.open = Some(open);
                Ok(())
            }
            Err(error) => {
                // A journal that has just begun holds nothing that could be lost.
                self.suspect = suspect || from.is_some();
                Err(error.into())
            }
        }
    }

    fn fail(&mut self, trouble: &Trouble) -> WriteError {
        let error = WriteError::new(trouble.to_string());
        if let Some(open) = self.open.take() {
            self.suspect |= open.health.sync_failed();
            discard(open);
        }
        let pause =
            self.failure.as_ref().map_or(PAUSES.0, |failure| failure.pause.saturating_mul(2).min(PAUSES.1));
        self.failure = Some(Failure { error: error.clone(), pause, until: Instant::now() + pause });
        error
    }
}

impl Open {
    /// A store that is there. `verify`: look at every page, since a disk may have changed it.
    fn existing(file: Arc<dyn StorageBackend>, verify: bool) -> Result<Self, Trouble> {
        let (framed, health) = Framed::new(file)?;
        if framed.len()? == 0 {
            // The store would begin an empty one.
            return Err(Trouble::Damaged("it ends where the jobs should begin".into()));
        }
        let database = Database::builder()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(verify)
            .create_with_backend(framed)?;
        Ok(Open { database, health })
    }

    /// A new one, with the contents of another.
    fn new(file: Arc<dyn StorageBackend>, from: Option<&Database>) -> Result<Self, Trouble> {
        frame::write(&*file)?;
        let (framed, health) = Framed::new(file)?;
        let database = Database::builder().set_cache_size(CACHE).create_with_backend(framed)?;
        let from = from.map(ReadableDatabase::begin_read).transpose()?;
        let write = database.begin_write()?;
        copy_table(from.as_ref(), &write, JOBS)?;
        copy_table(from.as_ref(), &write, CHECKPOINTS)?;
        copy_table(from.as_ref(), &write, ENDS)?;
        copy_table(from.as_ref(), &write, RUNS)?;
        write.commit()?;
        Ok(Open { database, health })
    }
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: Option<&ReadTransaction>,
    to: &WriteTransaction,
    table: redb::TableDefinition<'_, K, V>,
) -> Result<(), Trouble> {
    let mut to = to.open_table(table)?;
    if let Some(from) = from {
        for row in from.open_table(table)?.iter()? {
            let (key, value) = row?;
            to.insert(key.value(), value.value())?;
        }
    }
    Ok(())
}

/// Drops a store, which may try to write once more, and may panic.
fn discard(open: Open) {
    let _ = guarded(|| {
        drop(open);
        Ok(())
    });
}

/// Calls the store, whose panics on a damaged file are no more than another way to say so.
fn guarded<T>(call: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        Err(Trouble::Damaged(format!("the store panicked: {}", sundown::panic_message(panic))))
    })
}

#[cfg(test)]
mod tests;
