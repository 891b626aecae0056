//! An executor of one's own, when its owner is done with it.

#![forbid(unsafe_code)]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use smol::Executor;
use sundown::Runtime;
use sundown_smol::Smol;

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection's task holds the runtime for its timers. One that is left would keep its executor, and so itself and its
/// socket, for ever.
#[test]
fn what_is_left_on_an_executor_goes_with_it_though_it_holds_the_runtime() {
    let executor = Arc::new(Executor::new());
    let runtime = Smol::on(executor.clone());
    let gone = Arc::<AtomicBool>::default();
    let held = (runtime.clone(), Flag(gone.clone()));
    runtime.spawn(Box::pin(async move {
        let _held = held;
        pending::<()>().await;
    }));
    drop(executor);
    assert!(gone.load(Ordering::SeqCst));
    // Like a runtime that has ended: nothing runs on it, and nothing panics.
    runtime.spawn(Box::pin(async {})).abort();
}
