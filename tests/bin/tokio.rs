//! The fixtures on tokio: current-thread with one thread, else multi-thread.

#![forbid(unsafe_code)]

use std::{future::Future, process::ExitCode};

use sundown_tests::fixture::{self, Stage};
use sundown_tokio::Tokio;
use tokio::runtime::{Builder, Runtime};

struct OnTokio(Runtime);

impl Stage for OnTokio {
    type Adapter = Tokio;

    fn start(threads: usize) -> Self {
        let mut builder = match threads {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        OnTokio(builder.worker_threads(threads).enable_all().build().expect("the system has resources"))
    }

    fn inside(&self) -> Tokio {
        let _inside = self.0.enter();
        Tokio::current()
    }

    fn outside() -> Tokio {
        Tokio::current()
    }

    fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        self.0.block_on(main)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        self.0.spawn_blocking(work);
    }

    fn leave(self) {
        self.0.shutdown_background();
    }
}

fn main() -> ExitCode {
    fixture::play::<OnTokio>()
}
