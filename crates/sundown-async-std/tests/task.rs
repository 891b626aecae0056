//! async-std's own tasks as components.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "../../sundown-tokio/tests/cases/task.rs"]
mod cases;

use std::{
    pin::Pin,
    sync::{Arc, OnceLock, mpsc},
    task::{Context, Poll, Wake, Waker},
};

use sundown::{Drainable, Runtime};
use sundown_async_std::AsyncStd;

type Task = sundown_async_std::Task<()>;

fn runtime() -> impl Runtime {
    AsyncStd
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Task::new(async_std::task::spawn(task))
}

#[test]
fn who_asks_while_the_task_is_polled_is_told_to_ask_again() {
    /// Its drop, when the task has the next waker, waits for the task: while that is polled.
    struct Former(Arc<OnceLock<Task>>, mpsc::Sender<Option<Poll<()>>>);
    impl Wake for Former {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Former {
        fn drop(&mut self) {
            let Some(task) = self.0.get() else { return };
            let waker = Waker::from(Arc::new(Asker(self.1.clone())));
            let mut drained = task.drained();
            let _ = self.1.send(Some(drained.as_mut().poll(&mut Context::from_waker(&waker))));
            // It waits until the test is over.
            std::mem::forget(drained);
        }
    }
    struct Asker(mpsc::Sender<Option<Poll<()>>>);
    impl Wake for Asker {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(None);
        }
    }
    let (task, (send, said)) = (Arc::new(OnceLock::new()), mpsc::channel());
    let mut spawned = async_std::task::spawn(std::future::pending());
    let former = Waker::from(Arc::new(Former(task.clone(), send)));
    assert!(Pin::new(&mut spawned).poll(&mut Context::from_waker(&former)).is_pending());
    drop(former);
    let task = task.get_or_init(|| Task::new(spawned));
    assert!(task.drained().as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(said.try_iter().collect::<Vec<_>>(), [Some(Poll::Pending), None]);
    task.force();
}
