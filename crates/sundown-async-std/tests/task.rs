//! async-std's own tasks as components.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "../../sundown-tokio/tests/cases/task.rs"]
mod cases;

use sundown::Runtime;
use sundown_async_std::AsyncStd;

type Task = sundown_async_std::Task<()>;

fn runtime() -> impl Runtime {
    AsyncStd
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Task::new(async_std::task::spawn(task))
}
