//! The fixtures on async-std: tasks run on threads of their own, never on `main`'s, and on as many as were asked for.

#![forbid(unsafe_code)]

use std::{future::Future, process::ExitCode};

use async_std::task;
use sundown_async_std::AsyncStd;
use sundown_tests::fixture::{self, Stage, begin_again_with};

/// One runtime, which ends with the process.
struct OnAsyncStd;

impl Stage for OnAsyncStd {
    type Adapter = AsyncStd;

    fn start(threads: usize) -> Self {
        begin_again_with("ASYNC_STD_THREAD_COUNT", &threads.to_string());
        // The first task starts the threads.
        task::block_on(task::spawn(async {}));
        OnAsyncStd
    }

    fn inside(&self) -> AsyncStd {
        AsyncStd
    }

    fn outside() -> AsyncStd {
        AsyncStd
    }

    fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        task::block_on(main)
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        task::spawn(future);
    }

    fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        task::spawn_blocking(work);
    }
}

fn main() -> ExitCode {
    fixture::play::<OnAsyncStd>()
}
