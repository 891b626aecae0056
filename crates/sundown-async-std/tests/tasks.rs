//! Groups of tasks on async-std.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "../../sundown-tokio/tests/cases/tasks.rs"]
mod cases;

use sundown::Runtime;
use sundown_async_std::AsyncStd;

fn runtime() -> impl Runtime {
    AsyncStd
}
