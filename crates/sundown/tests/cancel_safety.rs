//! Every future of the crate, dropped before its first poll and while it waits: whoever waits beside it is told all the
//! same, a new one resolves, and nothing is counted or kept of it. Each has one place to wait at.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use sundown::{BoxFuture, Gate, Jobs, Shutdown};
use sundown_tokio::Tokio;

/// Far more than any of this takes.
const LONG: Duration = Duration::from_secs(60);

/// How often it was woken: by whichever thread, and whenever that comes to it.
#[derive(Default)]
struct Woken(Mutex<usize>, Condvar);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }
}

impl Woken {
    /// Waits until it has been woken so often.
    fn times(&self, times: usize) -> usize {
        *self.1.wait_timeout_while(self.0.lock().unwrap(), LONG, |woken| *woken < times).unwrap().0
    }
}

fn poll(future: &mut BoxFuture<'static, ()>, waker: &Waker) -> Poll<()> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Of each future five are made: dropped unpolled, dropped before and after one that stays, polled by two tasks in turn,
/// and made when it has happened. It happens once.
fn dropped_anywhere_it_loses_nothing(
    futures: &[&dyn Fn() -> BoxFuture<'static, ()>],
    happens: impl FnOnce(),
) {
    let (gone, stays) = (Arc::<Woken>::default(), Arc::<Woken>::default());
    let (gone_waker, stays_waker) = (Waker::from(gone.clone()), Waker::from(stays.clone()));
    let (mut waiting, mut moved) = (Vec::new(), Vec::new());
    for (n, make) in futures.iter().enumerate() {
        drop(make());
        let (mut before, mut stays, mut after, mut moves) = (make(), make(), make(), make());
        assert!(poll(&mut before, &gone_waker).is_pending(), "future {n}");
        assert!(poll(&mut stays, &stays_waker).is_pending(), "future {n}");
        assert!(poll(&mut after, &gone_waker).is_pending(), "future {n}");
        assert!(poll(&mut moves, &gone_waker).is_pending(), "future {n}");
        // Its task has gone on with it elsewhere.
        assert!(poll(&mut moves, &stays_waker).is_pending(), "future {n}");
        drop((before, after));
        waiting.push(stays);
        moved.push(moves);
    }
    happens();
    assert_eq!(stays.times(2 * futures.len()), 2 * futures.len(), "everybody who stays is told");
    assert_eq!(gone.times(0), 0, "nobody else is");
    let noop = Waker::noop();
    assert!(waiting.iter_mut().chain(&mut moved).all(|future| poll(future, noop).is_ready()));
    assert!(futures.iter().all(|make| poll(&mut make(), noop).is_ready()), "and who comes later");
}

#[test]
fn a_wait_for_a_gate_can_be_given_up() {
    let gate = Gate::new();
    let guard = gate.enter().unwrap();
    let closed = || -> BoxFuture<'static, ()> {
        let gate = gate.clone();
        Box::pin(async move { gate.closed().await })
    };
    let empty = || -> BoxFuture<'static, ()> {
        let gate = gate.clone();
        Box::pin(async move { gate.empty().await })
    };
    dropped_anywhere_it_loses_nothing(&[&closed, &empty], || {
        assert_eq!(gate.inside(), 1, "no future counts");
        gate.close();
        drop(guard);
    });
}

#[test]
fn a_wait_for_jobs_can_be_given_up() {
    let jobs = Jobs::new();
    let job = jobs.begin("image-17", ()).unwrap();
    let ticket = job.ticket();
    let closed = || -> BoxFuture<'static, ()> {
        let jobs = jobs.clone();
        Box::pin(async move { jobs.closed().await })
    };
    let empty = || -> BoxFuture<'static, ()> {
        let jobs = jobs.clone();
        Box::pin(async move { jobs.empty().await })
    };
    let decided = || -> BoxFuture<'static, ()> { Box::pin(ticket.decided()) };
    dropped_anywhere_it_loses_nothing(&[&closed, &empty, &decided], || {
        assert_eq!(jobs.in_flight().total(), Some(1), "no future counts");
        jobs.close();
        job.complete().unwrap();
    });
}

#[test]
fn a_wait_for_commits_can_be_given_up() {
    let jobs = Jobs::new();
    let commit = jobs.begin("image-17", ()).unwrap().commit().unwrap();
    let conclude = || -> BoxFuture<'static, ()> {
        let jobs = jobs.clone();
        Box::pin(async move { jobs.conclude().await })
    };
    dropped_anywhere_it_loses_nothing(&[&conclude], || commit.done());
}

#[test]
fn a_wait_for_a_shutdown_can_be_given_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone()))
        .component("jobs", jobs.clone())
        .grace(Duration::from_secs(60))
        .start()
        .unwrap();
    let job = jobs.begin("image-17", ()).unwrap();
    let (handle, watch) = (shutdown.handle(), shutdown.watch());
    let draining = || -> BoxFuture<'static, ()> {
        let draining = watch.draining();
        Box::pin(async move { drop(draining.await) })
    };
    let awaited = || -> BoxFuture<'static, ()> {
        let watch = watch.clone();
        Box::pin(async move { drop(watch.await) })
    };
    let claimed = || -> BoxFuture<'static, ()> { Box::pin(watch.claimed()) };
    let taken = || -> BoxFuture<'static, ()> { Box::pin(job.taken()) };
    let finished = || -> BoxFuture<'static, ()> {
        let finished = handle.finished();
        Box::pin(async move { drop(finished.await) })
    };
    dropped_anywhere_it_loses_nothing(&[&draining, &awaited, &claimed, &taken, &finished], || {
        shutdown.begin("a test");
        shutdown.hurry();
        let report = shutdown.finished_blocking();
        assert_eq!(report.jobs.unacknowledged.len(), 1, "{report}");
    });
}
