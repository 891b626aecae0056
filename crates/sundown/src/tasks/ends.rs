//! How tasks ended: counted always, kept when asked for.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::Serialize;

use crate::{
    Gate,
    sync::{Mutex, lock},
};

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TaskFate {
    /// It returned.
    Completed,
    /// It returned an error, which says this.
    Failed(String),
    /// It panicked, or its destructor did, with this message.
    Panicked(String),
    /// It was dropped before its end: by an abort, by the end of its runtime, or by whoever had it.
    Aborted,
}

impl fmt::Display for TaskFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskFate::Completed => f.write_str("ended"),
            TaskFate::Failed(error) => write!(f, "failed: {error}"),
            TaskFate::Panicked(message) => write!(f, "panicked: {message}"),
            TaskFate::Aborted => f.write_str("was aborted"),
        }
    }
}

/// The end of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TaskEnd {
    /// What it was called, after the names of the groups it was in: `tenant-7/mailer`.
    pub name: String,
    /// How it ended.
    pub fate: TaskFate,
    /// How long it had been running, all its restarts together.
    pub ran: Duration,
}

/// How many tasks of a group, and of the groups inside it, are running or have ended, by fate.
///
/// While tasks end, the numbers are not of one moment; once the group is [empty](super::Tasks::empty) they are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TaskCounts {
    /// Those that have not ended.
    pub running: usize,
    /// Those that returned.
    pub completed: u64,
    /// Those that returned an error.
    pub failed: u64,
    /// Those that panicked.
    pub panicked: u64,
    /// Those that were dropped before their end.
    pub aborted: u64,
    /// How often one was started again.
    pub restarted: u64,
}

/// Relaxed throughout: numbers that publish nothing. Who has waited until the group is empty sees them all, by the gate.
#[derive(Default)]
pub(super) struct Counters {
    completed: AtomicU64,
    failed: AtomicU64,
    panicked: AtomicU64,
    aborted: AtomicU64,
    restarted: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, fate: &TaskFate) {
        let counter = match fate {
            TaskFate::Completed => &self.completed,
            TaskFate::Failed(_) => &self.failed,
            TaskFate::Panicked(_) => &self.panicked,
            TaskFate::Aborted => &self.aborted,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn restarted(&self) {
        self.restarted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, running: usize) -> TaskCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TaskCounts {
            running,
            completed: read(&self.completed),
            failed: read(&self.failed),
            panicked: read(&self.panicked),
            aborted: read(&self.aborted),
            restarted: read(&self.restarted),
        }
    }
}

/// The latest ends, as many as were asked for, until somebody takes them.
pub(super) struct Kept {
    at_most: usize,
    /// Guards the list alone.
    list: Mutex<(VecDeque<TaskEnd>, u64)>,
    /// Closed when there is another, and replaced: those who wait for one wait in it.
    turn: Mutex<Gate>,
}

impl Kept {
    pub(super) fn new(at_most: usize) -> Self {
        Kept { at_most, list: Mutex::default(), turn: Mutex::default() }
    }

    /// Wakes those who wait: foreign code.
    pub(super) fn push(&self, end: TaskEnd) {
        let mut list = lock(&self.list);
        let (ends, missed) = &mut *list;
        ends.push_back(end);
        if ends.len() > self.at_most {
            ends.pop_front();
            *missed += 1;
        }
        drop(list);
        let over = mem::take(&mut *lock(&self.turn));
        over.close();
    }

    pub(super) fn pop(&self) -> Option<TaskEnd> {
        lock(&self.list).0.pop_front()
    }

    pub(super) fn missed(&self) -> u64 {
        lock(&self.list).1
    }

    /// What is closed by the next end. Get it before you look.
    pub(super) fn turn(&self) -> Gate {
        lock(&self.turn).clone()
    }
}
