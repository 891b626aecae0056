//! The journal: one file, its writer, and the jobs that were found in it.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;
use sundown::Reason;

use crate::{
    DurableJobs, JournalError, LastLink, Recovered, WriteError,
    recovered::{Held, Pool},
    store::{
        Contents, Directory, FORMAT, Medium, OpenError, Row, Run, Store, Trouble, size, size_of_checkpoint,
    },
    writer::{Queue, Room, Writer},
};

/// Jobs that survive the process, in one file. Clones are the same journal; dropping the last lets go of the file.
///
/// See the [crate](crate) for what it promises.
#[derive(Clone)]
pub struct Journal {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    path: PathBuf,
    pub(crate) pool: Pool,
    pub(crate) room: Arc<Room>,
    /// The jobs that were handed over to the journal itself, and are not offered again so far. The lock guards the set.
    kept: Mutex<HashSet<Row>>,
    /// The instances of keys whose jobs are in here before anybody offers them: those of the durable stores, and those of
    /// what was found. The lock guards the set.
    instances: Mutex<HashSet<u128>>,
    runs: AtomicU64,
    writer: Writer,
}

/// How a journal is opened.
///
/// # Examples
///
/// ```
/// # let directory = std::env::temp_dir().join(format!("sundown-options-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("jobs.journal");
/// let journal = sundown_journal::Options::new().max_jobs(10_000).max_bytes(16 << 20).open(path)?;
/// # journal.close()?;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    max_jobs: u64,
    max_bytes: u64,
}

impl Options {
    /// At most a million jobs in 256 MiB.
    pub fn new() -> Self {
        Options { max_jobs: 1_000_000, max_bytes: 256 << 20 }
    }

    /// How many jobs the journal may hold; [`begin`](DurableJobs::begin) fails when there are as many.
    #[must_use]
    pub fn max_jobs(self, max_jobs: u64) -> Self {
        Options { max_jobs, ..self }
    }

    /// How many bytes its jobs may take: their ids, payloads and checkpoints, and some 128 bytes for each.
    ///
    /// The file is larger, by what its pages do not use. When it is four times as large as what it holds, and more than
    /// 1 MiB, it is copied into a new one.
    #[must_use]
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Options { max_bytes, ..self }
    }

    /// Opens the journal, or begins one where there is none. Blocks while it reads the file.
    ///
    /// Beside the file, in the same directory, there is a `.lock` as long as the journal has been used there, and a
    /// `.new` for moments. All are readable by their owner only.
    ///
    /// # Errors
    ///
    /// See [`JournalError`]. What the file held is as it was.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Journal, JournalError> {
        let path = path.as_ref();
        self.open_on(Box::new(Directory::lock(path)?), path)
    }

    pub(crate) fn open_on(self, medium: Box<dyn Medium>, path: &Path) -> Result<Journal, JournalError> {
        let path = path.to_owned();
        let (store, contents) = match Store::open(medium) {
            Ok(opened) => opened,
            Err(OpenError::Foreign) => return Err(JournalError::NotAJournal { path }),
            Err(OpenError::Newer(found)) => {
                return Err(JournalError::NewerFormat { path, found, known: FORMAT });
            }
            Err(OpenError::Trouble(Trouble::Io(source))) => {
                return Err(JournalError::Io { path, source });
            }
            Err(OpenError::Trouble(trouble)) => {
                return Err(JournalError::Damaged { path, why: trouble.to_string() });
            }
        };
        let room = Room::new(self.max_jobs, self.max_bytes);
        let writer = Writer::start(store, room.clone())
            .map_err(|source| JournalError::Io { path: path.clone(), source })?;
        let runs = AtomicU64::new(contents.runs.last_key_value().map_or(0, |(last, _)| last + 1));
        forget_runs(&contents, writer.queue());
        let instances = Mutex::new(contents.jobs.iter().map(|job| job.row.0).collect());
        let pool = Pool::new(found(contents, &room));
        let kept = Mutex::default();
        Ok(Journal { inner: Arc::new(Inner { path, pool, room, kept, instances, runs, writer }) })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs of which no job is left.
fn forget_runs(contents: &Contents, queue: &Queue) {
    let used: BTreeSet<_> = contents.jobs.iter().map(|job| job.record.run).collect();
    for &run in contents.runs.keys().filter(|run| !used.contains(run)) {
        queue.run(run, None);
    }
}

/// What was found, with what is known of its end.
fn found(contents: Contents, room: &Arc<Room>) -> impl Iterator<Item = Held> {
    let Contents { jobs, runs } = contents;
    let nobody: Arc<str> = "".into();
    jobs.into_iter().map(move |job| {
        let run = runs.get(&job.record.run);
        let component = run.map_or(&nobody, |run| &run.component).clone();
        let said = job.end.reason.as_ref().or(run.and_then(|run| run.reason.as_ref()));
        let reason = said.cloned().unwrap_or(Reason::Died);
        let bytes = size(&job.record) + job.checkpoint.as_deref().map_or(0, size_of_checkpoint);
        Held { _space: room.take_anyway(1, bytes), job: Recovered::new(job, component, reason) }
    })
}

impl Journal {
    /// Opens a journal with the default [`Options`]. Blocks while it reads the file.
    ///
    /// # Errors
    ///
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Options::new().open(path)
    }

    /// The jobs of one component, which is added to the shutdown under the same name.
    ///
    /// As any [`Jobs`](sundown::Jobs), they serve one shutdown.
    pub fn jobs<P: Serialize + Send + Sync + 'static>(
        &self,
        component: impl Into<Arc<str>>,
    ) -> DurableJobs<P> {
        DurableJobs::new(self.clone(), component.into())
    }

    /// The jobs that earlier processes left, and that nobody has seen to since, in the order of their keys.
    ///
    /// Each can be [resumed](DurableJobs::resume), or all can be [handed over](Self::hand_over). What is neither is
    /// offered with the jobs of the next shutdown, and is found here again by the next process until somebody
    /// acknowledges it.
    pub fn left_over(&self) -> Vec<Recovered> {
        self.inner.pool.list()
    }

    /// A notifier that hands jobs over to the journal itself, to be found here by the next process: the last in line,
    /// behind those that may not answer.
    pub fn as_last_link(&self) -> LastLink {
        LastLink::new(self.clone())
    }

    /// Resolves when all that was said so far is on the disk, the ends of jobs included.
    ///
    /// # Errors
    ///
    /// When it cannot be written now. It is tried again later.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) -> Result<(), WriteError> {
        self.queue().flush().await.unwrap_or_else(|_| Err(WriteError::closed()))
    }

    /// Writes what is there, lets go of the file, and blocks until that is done: within one write. Jobs that still run
    /// go on, and are found incomplete by the next process, however they end.
    ///
    /// Dropping the last clone does the same and says nothing.
    ///
    /// # Errors
    ///
    /// When it could not be written. Nothing that was acknowledged is lost, but ends may be.
    pub fn close(&self) -> Result<(), WriteError> {
        self.inner.writer.close()
    }

    pub(crate) fn queue(&self) -> &Queue {
        self.inner.writer.queue()
    }

    /// A number for a component's jobs from here to their end.
    pub(crate) fn new_run(&self, component: Arc<str>, reason: Option<Reason>) -> u64 {
        // Relaxed: the number stands for itself.
        let number = self.inner.runs.fetch_add(1, Ordering::Relaxed);
        self.queue().run(number, Some(Run { component, reason }));
        number
    }

    /// A job that is offered and has its place in here: it began here, or was found.
    pub(crate) fn holds(&self, row: Row) -> bool {
        self.instances().contains(&row.0)
    }

    pub(crate) fn instances(&self) -> MutexGuard<'_, HashSet<u128>> {
        self.inner.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job was handed over to the journal itself.
    pub(crate) fn keeps(&self, row: Row) -> bool {
        self.kept().contains(&row)
    }

    /// Acknowledges a job for the journal itself, and says whether that counts. Whoever sees it acknowledged also sees by
    /// whom: so the one happens under the other's lock.
    pub(crate) fn keep(&self, row: Row, acknowledge: impl FnOnce() -> bool) -> bool {
        let mut kept = self.kept();
        let counts = acknowledge();
        if counts {
            kept.insert(row);
        }
        counts
    }

    /// These are offered anew, or are gone: that the journal has acknowledged them before no longer counts.
    pub(crate) fn let_go(&self, rows: impl IntoIterator<Item = Row>) {
        let mut kept = self.kept();
        for row in rows {
            kept.remove(&row);
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<Row>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
