//! The ends of tasks, collected in their order.

use std::{future::pending, pin::Pin, sync::Arc, task::Context, thread};

use sundown::{TaskFate, Tasks};

use crate::bare::{Bare, Woken, now, poll};

/// Spawns a task that returns at its first poll.
fn ends(tasks: &Tasks, name: &'static str) {
    drop(tasks.spawn(name, async {}).unwrap());
}

fn taken(tasks: &Tasks) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(end) = now(tasks.next_end()) {
        names.push(end.name);
    }
    names
}

#[test]
fn ends_are_taken_in_their_order_until_the_group_is_empty() {
    let (bare, tasks) = Bare::with_tasks();
    let tasks = tasks.keep_ends(8);
    ends(&tasks, "first");
    let inner = tasks.group("inner");
    drop(inner.try_spawn("second", async { Err::<(), _>("no such table") }).unwrap());
    drop(tasks.spawn("third", async { panic!("on purpose") }).unwrap());
    let last = tasks.spawn("last", pending::<()>()).unwrap();
    bare.poll();
    last.abort();
    bare.poll();
    tasks.stop("the test is over");
    let mut all = Vec::new();
    while let Some(end) = now(tasks.next_end()) {
        all.push((end.name, end.fate));
    }
    let expected = [
        ("first", TaskFate::Completed),
        ("inner/second", TaskFate::Failed("no such table".into())),
        ("third", TaskFate::Panicked("on purpose".into())),
        ("last", TaskFate::Aborted),
    ];
    assert_eq!(all, expected.map(|(name, fate)| (name.to_owned(), fate)));
    assert_eq!(tasks.missed_ends(), 0);
}

#[test]
fn of_too_many_the_oldest_are_missed_and_counted() {
    let (bare, tasks) = Bare::with_tasks();
    let tasks = tasks.keep_ends(2);
    for name in ["first", "second", "third"] {
        ends(&tasks, name);
    }
    bare.poll();
    tasks.stop("the test is over");
    assert_eq!((taken(&tasks), tasks.missed_ends()), (vec!["second".into(), "third".into()], 1));
}

#[test]
fn without_being_asked_a_group_keeps_none() {
    let (bare, tasks) = Bare::with_tasks();
    ends(&tasks, "first");
    bare.poll();
    let mut next = Box::pin(tasks.next_end());
    assert!(poll(&mut next).is_pending());
    tasks.stop("the test is over");
    assert_eq!(poll(&mut next), std::task::Poll::Ready(None));
}

#[test]
fn who_waits_for_an_end_is_woken_by_it_and_who_gives_up_loses_none() {
    let (bare, tasks) = Bare::with_tasks();
    let tasks = tasks.keep_ends(8);
    let woken = Arc::new(Woken::default());
    let mut waits = Box::pin(tasks.next_end());
    let mut gives_up = Box::pin(tasks.next_end());
    assert!(Pin::new(&mut waits).poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    assert!(poll(&mut gives_up).is_pending());
    ends(&tasks, "first");
    bare.poll();
    drop(gives_up);
    assert_eq!(woken.times(), 1);
    assert!(poll(&mut waits).is_ready());
    let mut waits = Box::pin(tasks.next_end());
    assert!(Pin::new(&mut waits).poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    tasks.stop("the test is over");
    assert_eq!(woken.times(), 2, "the end of all is an end");
    assert_eq!(poll(&mut waits), std::task::Poll::Ready(None));
}

#[test]
fn several_who_take_have_each_end_once() {
    const TASKS: usize = 2_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks = Tasks::new(sundown_tokio::Tokio::of(runtime.handle().clone())).keep_ends(TASKS);
    let taken: usize = thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    runtime.block_on(async {
                        let mut taken = 0;
                        while tasks.next_end().await.is_some() {
                            taken += 1;
                        }
                        taken
                    })
                })
            })
            .collect();
        for _ in 0..TASKS {
            ends(&tasks, "short");
        }
        tasks.stop("the test is over");
        takers.into_iter().map(|taker| taker.join().unwrap()).sum()
    });
    assert_eq!((taken, tasks.missed_ends()), (TASKS, 0));
}
