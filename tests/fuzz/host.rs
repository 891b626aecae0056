//! The runtimes, each in the ways in which it can be run inside one process.

use std::{future::Future, sync::Arc, thread};

use sundown::{Builder, Shutdown};
use sundown_async_std::AsyncStd;
use sundown_smol::Smol;
use sundown_tokio::Tokio;
use tokio::runtime;

/// A runtime and the number of its threads.
pub(crate) enum Host {
    /// It ends when its `main` has.
    Tokio(runtime::Runtime),
    /// Likewise: an executor that `main` runs.
    Smol(Arc<smol::Executor<'static>>),
    /// One for all rounds: a handler that blocks one of its threads blocks the others' rounds too.
    AsyncStd,
}

impl Host {
    pub(crate) fn draw(dice: &mut fastrand::Rng) -> Self {
        match dice.u8(..4) {
            0 => Host::tokio(runtime::Builder::new_current_thread()),
            1 => Host::tokio(runtime::Builder::new_multi_thread()),
            2 => Host::Smol(Arc::default()),
            _ => Host::AsyncStd,
        }
    }

    fn tokio(mut builder: runtime::Builder) -> Self {
        Host::Tokio(builder.worker_threads(2).enable_all().build().expect("the system has resources"))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Host::Tokio(_) => "tokio",
            Host::Smol(_) => "smol",
            Host::AsyncStd => "async-std",
        }
    }

    pub(crate) fn shutdown(&self) -> Builder {
        match self {
            Host::Tokio(runtime) => Shutdown::embedded(Tokio::of(runtime.handle().clone())),
            Host::Smol(executor) => Shutdown::embedded(Smol::on(executor.clone())),
            Host::AsyncStd => Shutdown::embedded(AsyncStd),
        }
    }

    /// Runs a `main` on a thread of its own, and then drops the runtime and waits for nothing.
    pub(crate) fn run(self, main: impl Future<Output = ()> + Send + 'static) -> thread::JoinHandle<()> {
        thread::spawn(move || match self {
            Host::Tokio(runtime) => {
                runtime.block_on(main);
                runtime.shutdown_background();
            }
            Host::Smol(executor) => smol::block_on(executor.run(main)),
            Host::AsyncStd => async_std::task::block_on(main),
        })
    }
}
