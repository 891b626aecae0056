//! The fixtures on smol: an executor of their own, which `main` runs, with one thread; else the global one.

#![forbid(unsafe_code)]

use std::{future::Future, process::ExitCode, sync::Arc};

use smol::Executor;
use sundown_smol::Smol;
use sundown_tests::fixture::{self, Stage, begin_again_with};

enum OnSmol {
    /// Dropped, it is run by nobody any more.
    Own(Arc<Executor<'static>>),
    Global,
}

impl Stage for OnSmol {
    type Adapter = Smol;

    fn start(threads: usize) -> Self {
        if threads == 1 {
            return OnSmol::Own(Arc::default());
        }
        begin_again_with("SMOL_THREADS", &threads.to_string());
        // The first task starts the threads.
        smol::block_on(smol::spawn(async {}));
        OnSmol::Global
    }

    fn inside(&self) -> Smol {
        match self {
            OnSmol::Own(executor) => Smol::on(executor.clone()),
            OnSmol::Global => Smol::global(),
        }
    }

    fn outside() -> Smol {
        Smol::global()
    }

    fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        match self {
            OnSmol::Own(executor) => smol::block_on(executor.run(main)),
            OnSmol::Global => smol::block_on(main),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            OnSmol::Own(executor) => executor.spawn(task).detach(),
            OnSmol::Global => smol::spawn(task).detach(),
        }
    }

    fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        smol::unblock(work).detach();
    }
}

fn main() -> ExitCode {
    fixture::play::<OnSmol>()
}
