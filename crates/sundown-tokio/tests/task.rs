//! tokio's own tasks as components.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "cases/task.rs"]
mod cases;

use std::{
    sync::{Arc, LazyLock, OnceLock, mpsc},
    task::{Context, Waker},
};

use sundown::{Drainable, Gate, Runtime};
use sundown_tokio::Tokio;

static SERVICE: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("the system has threads"));

type Task = sundown_tokio::Task<()>;

fn runtime() -> impl Runtime {
    Tokio::of(SERVICE.handle().clone())
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Task::new(SERVICE.spawn(task))
}

#[test]
fn a_task_that_somebody_else_aborts_has_ended() {
    let handle = SERVICE.spawn(std::future::pending());
    handle.abort();
    let task = Task::new(handle);
    SERVICE.block_on(task.drained());
    assert_eq!(task.in_flight().total(), Some(0));
}

#[test]
fn a_set_is_a_component_as_the_task_that_joins_it() {
    let (stop, mut set) = (Gate::new(), tokio::task::JoinSet::new());
    for _ in 0..3 {
        let stopped = stop.clone();
        set.spawn_on(async move { stopped.closed().await }, SERVICE.handle());
    }
    let task = sundown_tokio::Task::new(SERVICE.spawn(set.join_all()));
    assert_eq!(task.in_flight().total(), Some(1));
    stop.close();
    SERVICE.block_on(task.drained());
}

#[test]
fn what_a_task_returns_is_dropped_when_nobody_is_kept_waiting() {
    /// Asks, when it is dropped, whether its task is drained.
    struct Output(Arc<OnceLock<sundown_tokio::Task<Output>>>, mpsc::Sender<bool>);
    impl Drop for Output {
        fn drop(&mut self) {
            let mut drained = self.0.get().unwrap().drained();
            let asked = drained.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.1.send(asked.is_ready()).unwrap();
        }
    }
    let (task, (send, drained)) = (Arc::new(OnceLock::new()), mpsc::channel());
    let output = Output(task.clone(), send);
    let spawned = sundown_tokio::Task::new(SERVICE.spawn(async move { output }));
    SERVICE.block_on(task.get_or_init(|| spawned).drained());
    assert_eq!(drained.recv(), Ok(true));
}
