//! Groups of tasks on smol.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "../../sundown-tokio/tests/cases/tasks.rs"]
mod cases;

use std::{future::pending, rc::Rc};

use smol::LocalExecutor;
use sundown::{Runtime, Tasks};
use sundown_smol::Smol;

fn runtime() -> impl Runtime {
    Smol::global()
}

#[test]
fn tasks_that_cannot_move_are_told_aborted_and_counted_like_any_other() {
    let (tasks, executor) = (Tasks::new(runtime()), LocalExecutor::new());
    let (watch, told) = (tasks.watch(), Rc::new(17));
    let told = tasks.track("told", async move {
        watch.draining().await;
        told
    });
    let told = executor.spawn(told.unwrap());
    let held = Rc::new(());
    let theirs = held.clone();
    let endless = tasks.group("inner").track("endless", async move { (pending::<()>().await, theirs) });
    executor.spawn(endless.unwrap()).detach();
    smol::block_on(executor.run(async {
        smol::future::yield_now().await;
        tasks.stop("the test is over");
        assert_eq!(told.await.as_deref(), Ok(&17));
        tasks.abort();
        tasks.empty().await;
    }));
    assert_eq!(Rc::strong_count(&held), 1);
    let counts = tasks.counts();
    assert_eq!((counts.running, counts.completed, counts.aborted), (0, 1, 1));
}

#[test]
fn a_task_whose_handle_smol_drops_is_counted_too() {
    let tasks = Tasks::new(runtime());
    drop(smol::spawn(tasks.track("smol's", pending::<()>()).unwrap()));
    tasks.stop("the test is over");
    smol::block_on(tasks.empty());
    assert_eq!(tasks.counts().aborted, 1);
}
