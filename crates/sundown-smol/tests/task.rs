//! smol's own tasks as components.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "../../sundown-tokio/tests/cases/task.rs"]
mod cases;

use sundown::{Drainable, Runtime};
use sundown_smol::Smol;

type Task = sundown_smol::Task<()>;

fn runtime() -> impl Runtime {
    Smol::global()
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Task::new(smol::spawn(task))
}

#[test]
fn a_task_whose_executor_is_gone_has_ended() {
    let executor = smol::Executor::new();
    let task = Task::new(executor.spawn(std::future::pending()));
    assert_eq!(task.in_flight().total(), Some(1));
    drop(executor);
    smol::block_on(task.drained());
    assert_eq!(task.in_flight().total(), Some(0));
}
