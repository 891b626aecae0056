//! A task's entry in its group, and the guard that keeps the task in flight.

use std::{
    any::Any,
    borrow::Cow,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Instant,
};

use super::{TaskEnd, TaskFate, Then, tree::Group};
use crate::{Guard, latch::swallow};

/// What a group knows of a task, and beside it, in the same allocation, what the task's handle is to have.
pub(super) struct Core<S: ?Sized> {
    pub(super) entry: Entry,
    pub(super) slot: S,
}

/// A task, whatever it returns.
pub(super) type Listed = Arc<Core<dyn Any + Send + Sync>>;

pub(super) struct Entry {
    pub(super) name: Cow<'static, str>,
    pub(super) site: &'static Location<'static>,
    pub(super) began: Instant,
    aborted: AtomicBool,
    /// The fate is there.
    ended: AtomicBool,
    state: Mutex<State>,
}

/// Its lock guards these three alone: nothing is woken or dropped under it.
#[derive(Default)]
struct State {
    /// Who polls the task; woken by an abort.
    task: Option<Waker>,
    /// Who waits for its end.
    joiner: Option<Waker>,
    fate: Option<TaskFate>,
}

impl Entry {
    pub(super) fn new(name: Cow<'static, str>, site: &'static Location<'static>, began: Instant) -> Self {
        let (aborted, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        Entry { name, site, began, aborted, ended, state: Mutex::default() }
    }

    /// The task ends at its next poll, which comes at once. Wakes its waker: foreign code.
    pub(super) fn abort(&self) {
        // Relaxed: the lock orders it. Who polls registers under the lock, then looks at the flag. If that was before we
        // take the waker, it is there; if after, our store was before it.
        self.aborted.store(true, Ordering::Relaxed);
        let waker = self.state().task.take();
        swallow(|| waker.into_iter().for_each(Waker::wake));
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Whom to wake when the task is aborted; `again` if that was said before. Look at the flag again after this.
    pub(super) fn register(&self, waker: &Waker, again: bool) {
        if again && self.state().task.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            return;
        }
        // Cloned, and the old one dropped, outside the lock.
        let fresh = waker.clone();
        let stale = self.state().task.replace(fresh);
        drop(stale);
    }

    /// Whether the task has ended, or whom to wake when it has.
    pub(super) fn poll_end(&self, waker: &Waker) -> Poll<()> {
        if self.is_finished() {
            return Poll::Ready(());
        }
        let state = self.state();
        if state.joiner.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(state);
        let fresh = waker.clone();
        let mut state = self.state();
        let stale = state.joiner.replace(fresh);
        drop(state);
        drop(stale);
        // Who ends the task after this takes the waker; who took none has set the flag under the lock, before us.
        if !self.is_finished() {
            return Poll::Pending;
        }
        self.forget_joiner();
        Poll::Ready(())
    }

    pub(super) fn fate(&self) -> Option<TaskFate> {
        self.state().fate.clone()
    }

    pub(super) fn is_finished(&self) -> bool {
        // Acquire: who sees the end sees what it left, in the task's slot and in the counts of its group.
        self.ended.load(Ordering::Acquire)
    }

    /// Nobody waits for the end any more.
    pub(super) fn forget_joiner(&self) {
        let waker = self.state().joiner.take();
        drop(waker);
    }

    /// Settles the fate. Returns whom to wake, and what to drop.
    fn end(&self, fate: TaskFate) -> (Option<Waker>, Option<Waker>) {
        let mut state = self.state();
        state.fate = Some(fate);
        // Release: pairs with the load in `is_finished`.
        self.ended.store(true, Ordering::Release);
        (state.joiner.take(), state.task.take())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the ends of a task mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policy {
    pub(super) end: Then,
    pub(super) error: Then,
    pub(super) panic: Then,
}

/// Places inside the gates of a group and of all above it. The common group has none above: no allocation.
#[allow(dead_code, reason = "they are kept for their destructors")]
pub(super) struct Inside {
    pub(super) own: Guard,
    pub(super) above: Vec<Guard>,
}

/// Keeps a task in flight. Dropped without an end, the task was aborted.
pub(super) struct Running {
    pub(super) core: Listed,
    pub(super) group: Arc<Group>,
    pub(super) key: usize,
    pub(super) policy: Policy,
    /// Whether it has said whom to wake.
    pub(super) registered: bool,
    /// `None` once it has ended.
    pub(super) inside: Option<Inside>,
}

impl Running {
    pub(super) fn entry(&self) -> &Entry {
        &self.core.entry
    }

    /// The task has ended so. Wakes all whom that concerns.
    pub(super) fn end(mut self, fate: TaskFate) {
        self.settle(fate);
    }

    fn settle(&mut self, fate: TaskFate) {
        let Some(inside) = self.inside.take() else { return };
        let entry = &self.core.entry;
        // The group's clone of our entry; ours goes when we go.
        drop(self.group.delist(self.key));
        let end = || TaskEnd {
            name: self.group.title(entry),
            fate: fate.clone(),
            ran: self.group.now().saturating_duration_since(entry.began),
        };
        self.group.count(&fate, end);
        let (joiner, task) = entry.end(fate.clone());
        self.group.follow(self.policy, entry, &fate);
        drop(inside);
        if let Some(joiner) = joiner {
            swallow(|| joiner.wake());
        }
        if task.is_some() {
            swallow(|| drop(task));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.settle(TaskFate::Aborted);
    }
}
