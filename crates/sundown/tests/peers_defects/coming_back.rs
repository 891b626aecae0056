//! Wakers that come back into what wakes them.

use std::{
    sync::{Arc, Mutex, mpsc},
    task::{Wake, Waker},
    time::Duration,
};

use sundown::{BoxFuture, Gate, Jobs, Shutdown};
use sundown_tokio::Tokio;

use crate::{LONG, in_time, poll};

/// A waker that does what a task does which is woken inline: it looks around, waits anew, and drops who waits beside it.
struct ComesBack {
    act: Box<dyn Fn() + Send + Sync>,
    beside: Mutex<Vec<BoxFuture<'static, ()>>>,
    came: mpsc::Sender<()>,
}

impl Wake for ComesBack {
    fn wake(self: Arc<Self>) {
        (self.act)();
        let beside = std::mem::take(&mut *self.beside.lock().unwrap());
        drop(beside);
        let _ = self.came.send(());
    }
}

/// Lets wakers come back that wait for each of these, and brings it about.
fn come_back(
    what: &str,
    waits: impl Fn() -> Vec<BoxFuture<'static, ()>>,
    act: impl Fn() + Send + Sync + 'static,
    happens: impl FnOnce() + Send + 'static,
) {
    let (tell, came) = mpsc::channel();
    let waker = Arc::new(ComesBack { act: Box::new(act), beside: Mutex::default(), came: tell });
    let (mut waiting, mut beside) = (waits(), waits());
    let noop = Waker::noop();
    assert!(beside.iter_mut().all(|future| poll(future, noop).is_pending()), "{what}");
    assert!(waiting.iter_mut().all(|future| poll(future, &waker.clone().into()).is_pending()), "{what}");
    *waker.beside.lock().unwrap() = beside;
    in_time(what, happens);
    // On whichever thread they run.
    assert!(waiting.iter().all(|_| came.recv_timeout(LONG).is_ok()), "{what}");
    assert!(waiting.iter_mut().all(|future| poll(future, noop).is_ready()), "{what}");
}

#[test]
fn a_waker_may_come_back_into_the_gate_that_wakes_it() {
    let gate = Gate::new();
    let guard = gate.enter().unwrap();
    let waits = || -> Vec<BoxFuture<'static, ()>> {
        let (closed, empty) = (gate.clone(), gate.clone());
        vec![Box::pin(async move { closed.closed().await }), Box::pin(async move { empty.empty().await })]
    };
    let inner = gate.clone();
    let act = move || {
        inner.close();
        assert!(inner.enter().is_err());
        let mut again: BoxFuture<'static, ()> = Box::pin({
            let gate = inner.clone();
            async move { gate.closed().await }
        });
        assert!(poll(&mut again, Waker::noop()).is_ready());
    };
    let closes = gate.clone();
    come_back("closing a gate and leaving it", waits, act, move || {
        closes.close();
        drop(guard);
    });
}

#[test]
fn a_waker_may_come_back_into_the_jobs_that_wake_it() {
    let jobs = Jobs::new();
    let job = jobs.begin("image-17", ()).unwrap();
    let ticket = job.ticket();
    let waits = || -> Vec<BoxFuture<'static, ()>> {
        let (closed, empty) = (jobs.clone(), jobs.clone());
        vec![
            Box::pin(async move { closed.closed().await }),
            Box::pin(async move { empty.empty().await }),
            Box::pin(ticket.decided()),
        ]
    };
    let inner = jobs.clone();
    let act = move || {
        inner.close();
        assert!(inner.begin_unnamed(()).is_err());
        let _ = inner.in_flight();
    };
    let closes = jobs.clone();
    come_back("closing a store and ending its job", waits, act, move || {
        closes.close();
        job.complete().unwrap();
    });
}

#[test]
fn a_waker_may_come_back_into_the_shutdown_that_wakes_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone()))
        .component("jobs", jobs.clone())
        .grace(Duration::from_secs(60))
        .start()
        .unwrap();
    let job = jobs.begin("image-17", ()).unwrap();
    let handle = shutdown.handle();
    let waits = || -> Vec<BoxFuture<'static, ()>> {
        let (watch, finished) = (handle.watch(), handle.finished());
        vec![
            Box::pin({
                let draining = watch.draining();
                async move { drop(draining.await) }
            }),
            Box::pin(watch.claimed()),
            Box::pin(job.taken()),
            Box::pin(async move { drop(finished.await) }),
        ]
    };
    let (inner, store) = (shutdown.handle(), jobs.clone());
    let act = move || {
        inner.begin("once more");
        inner.hurry();
        assert!(inner.watch().is_draining());
        let _ = (inner.deadline(), inner.readiness().time_left(), store.in_flight());
        assert!(inner.component("late", Gate::new(), []).is_err());
        store.close();
    };
    come_back("a shutdown", waits, act, move || {
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert_eq!(report.jobs.unacknowledged.len(), 1, "{report}");
    });
}
