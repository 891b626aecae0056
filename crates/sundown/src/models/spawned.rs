//! A runtime's task as a component: its end against those who wait for it, and against the force.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{block_on, every, interrupted, join, spawn};
use crate::{
    Drainable, Spawned,
    latch::{Shared, Waiting},
};

/// The handle of a task that ends when the latch opens. It keeps one waker, as some runtimes' do.
struct Handle(Waiting<Shared>);

impl Future for Handle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

fn task(ends: &Shared) -> Arc<Spawned<Handle>> {
    Arc::new(Spawned::new(Handle(Waiting::new(ends.clone())), drop))
}

/// Fails if the gate of the turn is fetched after the handle was polled, and if one whose task has ended does not wake
/// the others.
#[test]
fn of_two_that_wait_for_a_task_both_hear_of_its_end() {
    interrupted(2, || {
        let ends = Shared::default();
        let task = task(&ends);
        let one = spawn(&task, |task| block_on(task.drained()));
        let ended = spawn(&ends, |ends| ends.open());
        block_on(task.drained());
        join(one);
        join(ended);
    });
}

/// Who looks polls the handle once, and never again. Fails if one that was refused meanwhile is not woken by it.
#[test]
fn who_only_looks_takes_nobody_elses_wake_up() {
    interrupted(3, || {
        let ends = Shared::default();
        let task = task(&ends);
        let looks = spawn(&task, |task| task.in_flight());
        let ended = spawn(&ends, |ends| ends.open());
        block_on(task.drained());
        join(looks);
        join(ended);
    });
}

/// Fails if `force` does not wake those who wait, or if the handle that is being polled is put back.
#[test]
fn who_waits_for_a_task_that_is_forced_hears_of_it() {
    every(|| {
        let ends = Shared::default();
        let task = task(&ends);
        let forced = spawn(&task, |task| task.force());
        block_on(task.drained());
        join(forced);
        assert_eq!(task.in_flight().total(), Some(0));
    });
}
