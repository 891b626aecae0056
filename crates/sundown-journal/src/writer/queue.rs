//! What waits to be written.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Wake,
    time::{Duration, Instant},
};

use futures_channel::oneshot;
use sundown::Watch;

use crate::{
    WriteError,
    store::{Batch, Note, Put, Row, Run},
};

/// How long what nobody waits for may wait, if nothing else is written meanwhile: short beside the time that a restart
/// takes, and long beside a sync.
pub(crate) const LAZY: Duration = Duration::from_millis(100);

/// Who waits for a write hears how it went.
pub(crate) type Answer = Result<(), WriteError>;

/// Callers on one side, the writer's thread on the other.
#[derive(Default)]
pub(crate) struct Queue {
    /// The lock guards what waits; nothing is written, woken or serialised under it.
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// Of the puts, in their order.
    putting: Vec<oneshot::Sender<Answer>>,
    /// Of all that was there when they came.
    flushing: Vec<oneshot::Sender<Answer>>,
    joining: Vec<Joining>,
    /// A shutdown that a component has joined was announced.
    announced: bool,
    /// Since when the oldest of what nobody waits for has been waiting.
    since: Option<Instant>,
    closed: bool,
    /// The thread has nothing to wake up for.
    sleeps_for_good: bool,
}

/// A component's jobs have joined a shutdown.
pub(crate) struct Joining {
    pub(crate) run: u64,
    pub(crate) component: Arc<str>,
    pub(crate) watch: Watch,
}

/// What the writer does next.
pub(crate) struct Work {
    pub(crate) batch: Batch,
    pub(crate) putting: Vec<oneshot::Sender<Answer>>,
    pub(crate) flushing: Vec<oneshot::Sender<Answer>>,
    pub(crate) joining: Vec<Joining>,
    /// Nothing comes any more.
    pub(crate) closed: bool,
}

impl Queue {
    /// A job that comes into the journal.
    pub(crate) fn put(&self, put: Put) -> oneshot::Receiver<Answer> {
        self.ask(|waiting, answer| {
            if let Some(old) = &put.instead_of {
                // It may be about to be restored, and goes now.
                waiting.batch.notes.remove(&old.row);
            }
            waiting.batch.puts.push(put);
            waiting.putting.push(answer);
        })
    }

    /// All that was said so far, on the disk.
    pub(crate) fn flush(&self) -> oneshot::Receiver<Answer> {
        self.ask(|waiting, answer| waiting.flushing.push(answer))
    }

    /// Something that somebody waits for.
    fn ask(&self, put_in: impl FnOnce(&mut Waiting, oneshot::Sender<Answer>)) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            let _ = answer.send(Err(WriteError::closed()));
        } else {
            put_in(&mut waiting, answer);
            drop(waiting);
            self.arrived.notify_one();
        }
        receiver
    }

    /// Something that nobody waits for. When the journal is closed it is lost, as it is when the process dies.
    pub(crate) fn note(&self, row: Row, note: Note) {
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.batch.notes.entry(row).or_default().then(note);
            self.be_lazy(waiting);
        }
    }

    /// A job that is no longer of interest, likewise.
    pub(crate) fn forget(&self, row: Row) {
        let mut waiting = self.lock();
        if !waiting.closed {
            if !waiting.batch.notes.is_empty() {
                waiting.batch.notes.remove(&row);
            }
            waiting.batch.forgotten.push(row);
            self.be_lazy(waiting);
        }
    }

    /// A component's jobs have a beginning, an end, or are all gone.
    pub(crate) fn run(&self, number: u64, run: Option<Run>) {
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.batch.runs.insert(number, run);
            self.be_lazy(waiting);
        }
    }

    /// A component has joined a shutdown, whose reason is of interest as soon as it is announced.
    pub(crate) fn join(&self, joining: Joining) {
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.joining.push(joining);
            self.arrived.notify_one();
        }
    }

    /// Nothing comes any more; what is there is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Blocks until there is something to do. `paused`: what nobody waits for waits until then.
    ///
    /// For a while it looks by itself whether something lazy has come: under load, nobody has to wake it for that.
    pub(crate) fn next(&self, paused: Option<Instant>) -> Work {
        let mut waiting = self.lock();
        let mut look = Some(Instant::now() + LAZY);
        loop {
            let due = waiting.since.map(|since| paused.unwrap_or(since + LAZY));
            let left = due.or(look).map(|at| at.saturating_duration_since(Instant::now()));
            let is_time = left.is_some_and(|left| left.is_zero());
            if waiting.is_urgent() || (is_time && due.is_some()) {
                return waiting.take();
            }
            if is_time {
                look = None;
                continue;
            }
            waiting.sleeps_for_good = left.is_none();
            waiting = match left {
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// What could not be written waits again, behind nothing that came later.
    ///
    /// What came later joins it, and not the other way round: while the disk is down this is done again and again, and
    /// little comes in between.
    pub(crate) fn put_back(&self, batch: Batch) {
        let mut waiting = self.lock();
        let later = mem::replace(&mut waiting.batch, batch);
        let all = &mut waiting.batch;
        for old in later.puts.iter().filter_map(|put| put.instead_of.as_ref()) {
            // It was about to be restored, and goes with the put.
            all.notes.remove(&old.row);
        }
        for (row, note) in later.notes {
            all.notes.entry(row).or_default().then(note);
        }
        all.forgotten.extend(later.forgotten);
        all.runs.extend(later.runs);
        all.puts.extend(later.puts);
        self.be_lazy(waiting);
    }

    /// The thread wakes up for what is lazy when it is time. Only if it sleeps for good must it be told.
    fn be_lazy(&self, mut waiting: MutexGuard<'_, Waiting>) {
        if waiting.since.is_none() && !waiting.batch.is_empty() {
            waiting.since = Some(Instant::now());
            let wake = mem::take(&mut waiting.sleeps_for_good);
            drop(waiting);
            if wake {
                self.arrived.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_urgent(&self) -> bool {
        let wanted = !self.putting.is_empty() || !self.flushing.is_empty();
        wanted || !self.joining.is_empty() || self.announced || self.closed
    }

    fn take(&mut self) -> Work {
        (self.since, self.announced) = (None, false);
        Work {
            batch: mem::take(&mut self.batch),
            putting: mem::take(&mut self.putting),
            flushing: mem::take(&mut self.flushing),
            joining: mem::take(&mut self.joining),
            closed: self.closed,
        }
    }
}

/// Called when a shutdown is announced that somebody has joined.
impl Wake for Queue {
    fn wake(self: Arc<Self>) {
        self.lock().announced = true;
        self.arrived.notify_one();
    }
}
