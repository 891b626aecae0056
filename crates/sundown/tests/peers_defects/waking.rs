//! Everybody is woken, whenever they come.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Poll, Wake},
    thread,
};

use sundown::{BoxFuture, Gate, Jobs};

use crate::{in_time, poll, shutdown};

/// Waits for a future on the calling thread.
fn block_on<T>(mut future: BoxFuture<'static, T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match poll(&mut future, &waker) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// One thread waits while another brings it about, both from the same moment on, so many times.
fn meet<E: Send + 'static>(
    rounds: usize,
    prepare: impl Fn() -> (BoxFuture<'static, ()>, E) + Send + 'static,
    happens: impl Fn(E) + Send + 'static,
) {
    in_time("a wait", move || {
        let (give, given) = mpsc::channel::<BoxFuture<'static, ()>>();
        let (tell, told) = mpsc::channel();
        let start = Arc::new(Barrier::new(2));
        let begins = start.clone();
        let waits = thread::spawn(move || {
            for future in given {
                begins.wait();
                block_on(future);
                tell.send(()).unwrap();
            }
        });
        for _ in 0..rounds {
            let (future, event) = prepare();
            give.send(future).unwrap();
            start.wait();
            happens(event);
            told.recv().unwrap();
        }
        drop(give);
        waits.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost_where_a_gate_closes_or_the_last_one_leaves_it() {
    let closed = || {
        let gate = Gate::new();
        let waits = gate.clone();
        (Box::pin(async move { waits.closed().await }) as BoxFuture<'static, ()>, gate)
    };
    meet(10_000, closed, |gate| gate.close());
    let empty = || {
        let gate = Gate::new();
        let guard = gate.enter().unwrap();
        gate.close();
        (Box::pin(async move { gate.empty().await }) as BoxFuture<'static, ()>, guard)
    };
    meet(10_000, empty, drop);
}

#[test]
fn no_wake_up_is_lost_where_a_job_ends() {
    let job = || {
        let job = Jobs::new().begin_unnamed(()).unwrap();
        (Box::pin(job.ticket().decided()) as BoxFuture<'static, ()>, job)
    };
    meet(10_000, job, |job| job.complete().unwrap());
}

#[test]
fn no_wake_up_is_lost_where_a_shutdown_begins_and_ends() {
    let watched = || {
        let (runtime, shutdown) = shutdown();
        let (draining, claimed) = (shutdown.watch().draining(), shutdown.watch().claimed());
        let finished = shutdown.finished();
        let all = async move {
            draining.await;
            claimed.await;
            drop(finished.await);
        };
        (Box::pin(all) as BoxFuture<'static, ()>, (runtime, shutdown))
    };
    meet(100, watched, |(_runtime, shutdown)| shutdown.begin("a test"));
}

#[test]
fn everybody_is_woken() {
    const ALL: usize = 1_000;
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let gate = Gate::new();
    let woken = Arc::new(Counts(AtomicUsize::new(0)));
    let mut waiting: Vec<BoxFuture<'static, ()>> = Vec::new();
    for _ in 0..ALL {
        let gate = gate.clone();
        waiting.push(Box::pin(async move { gate.closed().await }));
    }
    assert!(waiting.iter_mut().all(|future| poll(future, &woken.clone().into()).is_pending()));
    gate.close();
    assert_eq!(woken.0.load(Ordering::SeqCst), ALL);
}
