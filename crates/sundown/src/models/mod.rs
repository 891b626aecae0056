//! The primitives' protocols, checked by `loom` in every interleaving and with every value that a load may see.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p sundown --lib --release --target-dir target/models models::
//! ```
//!
//! What runs is the shipped code (see [`sync`](crate::sync)), on the public API where that reaches. A model names what
//! must hold; a wake-up that is lost shows as a deadlock, which `loom` finds. Each model's comment names mutants of the
//! code that it was seen to fail with: the lines that it guards.
//!
//! Not modelled: time (a wait that times out is one that asks again), and `OnceLock` and `Arc`, which are taken as they
//! are. `loom` treats `SeqCst` as `AcqRel`, which is no loss: nothing here is `SeqCst`.

mod gate;
mod jobs;
mod latch;
mod spawned;
mod watch;

use std::{future::Future, sync::Arc};

use loom::{
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
};

/// Checks every interleaving.
fn every(model: impl Fn() + Send + Sync + 'static) {
    check(loom::model::Builder::new(), model);
}

/// Checks every interleaving in which threads are stopped no more than so many times where they could go on. For models
/// of three threads, of which all would take too long; most bugs need one or two (`loom`'s documentation, "Large
/// models").
fn interrupted(times: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // The environment's, if there is one: `LOOM_MAX_PREEMPTIONS`.
    builder.preemption_bound = builder.preemption_bound.or(Some(times));
    check(builder, model);
}

/// Says how many interleavings there were.
fn check(builder: loom::model::Builder, model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = runs.load(Ordering::Relaxed);
    println!("{runs} interleavings");
    assert!(runs > 1, "the threads of the model never met");
}

/// Waits for the end of a thread, whose panic is the model's.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the thread has not panicked")
}

/// Runs a part of a model on a thread of its own.
fn spawn<S: Clone + Send + 'static, T: Send + 'static>(
    shared: &S,
    part: impl FnOnce(S) -> T + Send + 'static,
) -> JoinHandle<T> {
    let shared = shared.clone();
    thread::spawn(move || part(shared))
}

fn block_on<F: Future>(future: F) -> F::Output {
    loom::future::block_on(future)
}

/// Data that nothing but the protocol under test publishes: if it is not seen, an ordering is too weak.
#[derive(Clone)]
struct Data(Arc<AtomicUsize>);

impl Data {
    fn new() -> Self {
        Data(Arc::new(AtomicUsize::new(0)))
    }

    fn write(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes are seen, at the least.
    fn seen(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
