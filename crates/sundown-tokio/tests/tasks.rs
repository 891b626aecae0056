//! Groups of tasks on tokio.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "cases/tasks.rs"]
mod cases;

use std::{future::pending, rc::Rc, sync::LazyLock};

use sundown::{Runtime, Tasks};
use sundown_tokio::Tokio;
use tokio::task::LocalSet;

static SERVICE: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("the system has threads"));

fn runtime() -> impl Runtime {
    Tokio::of(SERVICE.handle().clone())
}

#[test]
fn tasks_that_cannot_move_are_told_aborted_and_counted_like_any_other() {
    let (tasks, set) = (Tasks::new(runtime()), LocalSet::new());
    let (watch, told) = (tasks.watch(), Rc::new(17));
    let told = tasks.track("told", async move {
        watch.draining().await;
        told
    });
    let told = set.spawn_local(told.unwrap());
    let held = Rc::new(());
    let theirs = held.clone();
    let endless = tasks.group("inner").track("endless", async move { (pending::<()>().await, theirs) });
    drop(set.spawn_local(endless.unwrap()));
    let all = tasks.clone();
    set.block_on(&SERVICE, async move {
        tokio::task::yield_now().await;
        all.stop("the test is over");
        assert_eq!(told.await.unwrap().as_deref(), Ok(&17));
        all.abort();
        all.empty().await;
    });
    assert_eq!(Rc::strong_count(&held), 1);
    let counts = tasks.counts();
    assert_eq!((counts.running, counts.completed, counts.aborted), (0, 1, 1));
}

#[test]
fn a_task_that_tokio_aborts_is_counted_too() {
    let tasks = Tasks::new(runtime());
    let task = SERVICE.spawn(tasks.track("tokio's", pending::<()>()).unwrap());
    task.abort();
    tasks.stop("the test is over");
    SERVICE.block_on(tasks.empty());
    assert_eq!(tasks.counts().aborted, 1);
}
