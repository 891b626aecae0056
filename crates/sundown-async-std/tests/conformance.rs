//! The contract of a runtime, on async-std's one.

use std::{env, thread};

use sundown_async_std::AsyncStd;
use sundown_testkit::conformance::Running;

/// Its threads are those of `ASYNC_STD_THREAD_COUNT`, by default as many as there are cores.
fn global() -> Running {
    let said = env::var("ASYNC_STD_THREAD_COUNT").ok().and_then(|threads| threads.parse().ok());
    let threads = said.or_else(|| thread::available_parallelism().ok().map(usize::from));
    Running::new(AsyncStd, threads.unwrap_or(1))
}

sundown_testkit::runtime_conformance!(global);
