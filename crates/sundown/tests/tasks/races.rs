//! What happens at the same moment, on threads of the system's own.

use std::{
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use sundown::{Drainable, Tasks};
use tokio::runtime::{Builder, Runtime};

use crate::bare::{Bare, ended, now, poll};

const ROUNDS: usize = 2_000;

fn two_workers() -> (Runtime, Tasks) {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks = Tasks::new(sundown_tokio::Tokio::of(runtime.handle().clone()));
    (runtime, tasks)
}

#[test]
fn nothing_slips_in_once_a_group_is_stopped() {
    for round in 0..ROUNDS {
        let (_bare, tasks) = Bare::with_tasks();
        // In every other round the group above is stopped.
        let (outer, inner) = (tasks.clone(), tasks.group("inner"));
        let stopped = if round % 2 == 0 { &inner } else { &outer };
        let start = Barrier::new(3);
        let slipped_in = thread::scope(|scope| {
            let spawn = || {
                start.wait();
                let task = inner.track("task", pending::<()>());
                // Whoever was let in is waited for: the group cannot be empty while the task is there.
                let slipped_in = task.is_ok() && poll(&mut Box::pin(stopped.empty())).is_ready();
                let told = task.is_err() || stopped.watch().is_draining() || !stopped.is_stopped();
                drop(task);
                (slipped_in, told)
            };
            let (one, two) = (scope.spawn(spawn), scope.spawn(spawn));
            start.wait();
            stopped.stop("the test is over");
            let late = inner.track("late", pending::<()>()).is_ok();
            late | one.join().unwrap().0 | two.join().unwrap().0
        });
        assert!(!slipped_in);
        now(stopped.empty());
        assert_eq!(tasks.counts().running, 0);
    }
}

#[test]
fn a_group_that_is_made_while_its_parent_is_stopped_is_told() {
    for _ in 0..ROUNDS {
        let (_bare, tasks) = Bare::with_tasks();
        let start = Barrier::new(2);
        let inner = thread::scope(|scope| {
            let made = scope.spawn(|| {
                start.wait();
                tasks.group("inner")
            });
            start.wait();
            tasks.stop("the test is over");
            tasks.abort();
            made.join().unwrap()
        });
        assert!(inner.watch().is_draining() && inner.is_stopped());
        now(inner.empty());
    }
}

#[test]
fn an_abort_is_never_missed_wherever_its_task_is() {
    let (runtime, tasks) = two_workers();
    for _ in 0..ROUNDS {
        let task = tasks.spawn("endless", pending::<()>()).unwrap();
        // Before its first poll, while it is polled, while it registers, after.
        task.abort();
        assert!(runtime.block_on(task).is_err());
    }
    for _ in 0..ROUNDS {
        let group = tasks.group("all");
        let task = group.spawn("endless", pending::<()>()).unwrap();
        group.abort();
        assert!(runtime.block_on(task).is_err());
    }
    assert_eq!(ended(tasks.counts()), [0, 0, 0, 2 * ROUNDS as u64]);
}

#[test]
fn an_abort_of_all_reaches_whoever_is_let_in_meanwhile() {
    let (runtime, tasks) = two_workers();
    for _ in 0..ROUNDS {
        let group = tasks.group("all");
        let (start, let_in) = (Barrier::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                while group.spawn("endless", pending::<()>()).is_ok() {
                    let_in.fetch_add(1, Ordering::Relaxed);
                }
            });
            start.wait();
            group.abort();
        });
        runtime.block_on(group.empty());
        assert_eq!(ended(group.counts())[3], let_in.load(Ordering::Relaxed) as u64);
    }
}

#[test]
fn drained_means_that_all_ends_are_known() {
    let (runtime, tasks) = two_workers();
    for _ in 0..ROUNDS / 4 {
        let group = tasks.group("all").keep_ends(4);
        let mut handles: Vec<_> = (0..4).map(|n| group.spawn("short", async move { n }).unwrap()).collect();
        group.stop("the test is over");
        runtime.block_on(group.drained());
        // By the thread that was woken, at once.
        assert_eq!(ended(group.counts()), [4, 0, 0, 0]);
        let outputs: Vec<u8> = handles.drain(..).map(|handle| now(handle).unwrap()).collect();
        assert_eq!(outputs, [0, 1, 2, 3]);
        for _ in 0..4 {
            assert!(now(group.next_end()).is_some());
        }
        assert_eq!(now(group.next_end()), None);
    }
}

#[test]
fn a_runtime_that_ends_with_tasks_on_it_leaves_none_uncounted() {
    let (runtime, tasks) = two_workers();
    let held = Arc::new(());
    for _ in 0..1_000 {
        let theirs = held.clone();
        drop(tasks.spawn("endless", async move { (pending::<()>().await, theirs).0 }).unwrap());
    }
    drop(runtime);
    drop(tasks.spawn("after the end", pending::<()>()).unwrap());
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(ended(tasks.counts()), [0, 0, 0, 1_001]);
}
