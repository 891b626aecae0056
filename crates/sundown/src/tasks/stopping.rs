//! How a group ends: its tasks are told, nothing counts any more, what is left is aborted. Each goes for the groups below,
//! and each wakes whoever waits: foreign code, under no lock.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use super::tree::Group;
use crate::{
    Deadline, Reason,
    grace::LONGEST,
    latch::{Shared, Waiting},
    sync::lock,
};

impl Group {
    /// Closes the gate and tells all tasks, here and below. The deadline of a shutdown, or of the group above, is live;
    /// without one there is no end.
    pub(super) fn tell(self: &Arc<Self>, deadline: Option<&Deadline>, reason: &Reason) {
        let first = self.tell_here(deadline, reason);
        for group in self.below() {
            group.tell(self.stages.work_ends.get(), &self.reason());
        }
        if let Some(part) = self.part.get().filter(|_| first) {
            self.abort_after(*part);
        }
    }

    /// Returns whether it was told of nothing before.
    fn tell_here(&self, deadline: Option<&Deadline>, reason: &Reason) -> bool {
        self.gate.close();
        let mut first = false;
        let told = self.stages.work_ends.get_or_init(|| {
            first = true;
            self.told_alone.store(deadline.is_none(), Ordering::Relaxed);
            let now = self.now();
            let whole = deadline.cloned().unwrap_or_else(|| Deadline::apart(&self.host, now, now + LONGEST));
            match self.part.get() {
                Some(part) => whole.no_later_than(now + (*part).min(LONGEST)),
                None => whole,
            }
        });
        // Relaxed: set before the deadline was, which we have.
        if let Some(deadline) = deadline.filter(|_| !first && self.told_alone.load(Ordering::Relaxed)) {
            told.join(deadline);
        }
        let _ = self.stages.reason.get_or_init(|| reason.clone());
        self.stages.draining.open();
        first
    }

    /// Why the tasks were told.
    pub(super) fn reason(&self) -> Reason {
        self.stages.reason.get().cloned().unwrap_or_else(|| "stopped".into())
    }

    pub(super) fn deadline_in(&self, time: Duration) -> Deadline {
        let now = self.now();
        Deadline::new(&self.host, now, now + time)
    }

    /// Aborts what is left when the group's part of the time is over.
    fn abort_after(self: &Arc<Self>, part: Duration) {
        let group = self.clone();
        let timer = async move {
            let until = group.runtime.now() + part.min(LONGEST);
            let over = group.runtime.sleep_until(until);
            if either(over, group.gate.empty()).await == Either::First {
                group.abort();
            }
        };
        self.runtime.spawn_detached(Box::pin(timer));
    }

    /// From here on nothing counts any more.
    pub(super) fn claim(&self) {
        self.stages.claimed.open();
        self.below().iter().for_each(|group| group.claim());
    }

    /// Has all tasks dropped, here and below.
    pub(super) fn abort(&self) {
        let tasks: Vec<_> = {
            let mut members = lock(&self.members);
            members.aborted = true;
            members.tasks.iter().map(|(_, task)| task.clone()).collect()
        };
        tasks.iter().for_each(|task| task.entry.abort());
        self.below().iter().for_each(|group| group.abort());
    }

    /// Waits so long, or until the tasks are told to stop. Returns whether they are.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        let over = self.runtime.sleep_until(self.runtime.now() + time.min(LONGEST));
        let told: Waiting<Shared> = Waiting::new(self.stages.draining.clone());
        either(told, over).await == Either::First
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(above) = &self.above {
            let gone = lock(&above.group.members).groups.try_remove(above.key);
            drop(gone);
        }
        // No task is left, and none can come. Who has only a watch is not to wait for ever.
        self.tell_here(None, &"the group is gone".into());
        self.stages.claimed.open();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Either {
    First,
    Second,
}

/// Which of the two is first; of two at once, the first. Cancel safe if they are.
pub(super) async fn either(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> Either {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if first.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Either::First);
        }
        second.as_mut().poll(cx).map(|()| Either::Second)
    })
    .await
}
