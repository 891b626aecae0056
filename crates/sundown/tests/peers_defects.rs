//! What other crates for this job were found to get wrong, tried on ours.
//!
//! | defect | where it was met | here, and in the unit tests |
//! |---|---|---|
//! | wakers run under a lock: one that comes back deadlocks | async-shutdown, tokio-graceful, graceful-shutdown, elegant-departure | `a_waker_may_come_back_into_…`; `latch`: `a_waker_may_come_back_into_the_latch` |
//! | a waker that panics, or a destructor, keeps the others asleep | – | `latch`: `a_waker_that_panics_keeps_nobody_asleep`; `ledger`: `a_destructor_that_hangs_keeps_no_other_job_from_being_claimed` |
//! | no second look after registering: lost wake-ups | graceful-shutdown | `no_wake_up_is_lost_…`; every interleaving in the models of `latch`, `gate`, `jobs` and `watch` |
//! | counting in `poll`: an abort or a panic is never counted | graceful-shutdown | `work_that_is_aborted_…` |
//! | something is kept of every unit there ever was | elegant-departure, task-motel | `tests/memory_of_units.rs`; `latch`: `a_million_short_waits_…`; `ledger`: `a_million_short_jobs_…` |
//! | who registers while the signal comes is lost | – | `whoever_registers_while_the_shutdown_begins_…`; `gate`: `nobody_slips_in_…`; `ledger`: `a_hundred_thousand_jobs_racing_…` |
//! | one waker for many who wait: the rest hang | apalis | `everybody_is_woken` |

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use sundown::{BoxFuture, Gate, Handle, Jobs, Shutdown};
use sundown_testkit::simulation::Simulation;
use sundown_tokio::Tokio;

/// Far more than any of this takes; who waits longer waits for ever.
const LONG: Duration = Duration::from_secs(60);

/// Runs it on a thread of its own, and says so if that never ends.
fn in_time<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let running = thread::spawn(move || drop(tell.send(body())));
    match told.recv_timeout(LONG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} never ends"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: {:?}", running.join().err()),
    }
}

fn poll<T>(future: &mut BoxFuture<'static, T>, waker: &Waker) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

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
        .grace(Duration::from_secs(2))
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
        assert!(inner.component("late", Gate::new(), &[]).is_err());
        store.close();
    };
    come_back("a shutdown", waits, act, move || {
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert_eq!(report.jobs.unacknowledged.len(), 1, "{report}");
    });
}

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

/// A shutdown on a runtime that nobody drives: it needs none.
fn shutdown() -> (tokio::runtime::Runtime, Shutdown) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone()))
        .grace(Duration::from_secs(2))
        .start()
        .unwrap();
    (runtime, shutdown)
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

/// What becomes of the tasks that hold a guard and a job each.
#[derive(Clone, Copy, Debug)]
enum End {
    Aborted,
    AbortedUnpolled,
    Panicked,
    RuntimeDropped,
    NeverSpawned,
}

#[test]
fn work_that_is_aborted_panics_or_is_never_polled_has_left_and_is_counted() {
    for end in [End::Aborted, End::AbortedUnpolled, End::Panicked, End::RuntimeDropped, End::NeverSpawned] {
        let (_runtime, shutdown) = shutdown();
        let (gate, jobs) = (Gate::new(), Jobs::new());
        shutdown.component("gate", gate.clone(), &[]).unwrap();
        shutdown.component("jobs", jobs.clone(), &[]).unwrap();
        let (guard, job) = (gate.enter().unwrap(), jobs.begin("image-17", ()).unwrap());
        let work = async move {
            let _held = (guard, job);
            match end {
                End::Panicked => std::panic::resume_unwind(Box::new("on purpose")),
                _ => pending::<()>().await,
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            match end {
                End::NeverSpawned => drop(work),
                End::RuntimeDropped => {
                    tokio::spawn(work);
                    tokio::task::yield_now().await;
                }
                _ => {
                    let task = tokio::spawn(work);
                    if matches!(end, End::Aborted) {
                        tokio::task::yield_now().await;
                    }
                    if !matches!(end, End::Panicked) {
                        task.abort();
                    }
                    assert!(task.await.is_err());
                }
            }
        });
        drop(runtime);
        assert_eq!((gate.inside(), jobs.in_flight().total()), (0, Some(0)), "{end:?}");
        shutdown.begin("a test");
        let report = in_time("a shutdown", move || shutdown.finished_blocking());
        assert!(report.is_clean(), "{end:?}: {report}");
        assert_eq!((report.jobs.failed, report.jobs.completed), (1, 0), "{end:?}: {report}");
    }
}

/// A component that comes while the shutdown begins.
fn joins(handle: &Handle) -> (Gate, bool) {
    let gate = Gate::new();
    let joined = handle.component("late", gate.clone(), &[]).is_ok();
    (gate, joined)
}

#[test]
fn whoever_registers_while_the_shutdown_begins_is_refused_or_taken_along() {
    let met = [const { AtomicUsize::new(0) }; 2];
    Simulation::sweep(0..200, |simulation| {
        let seen = simulation.run(|world| {
            let shutdown =
                Shutdown::embedded(world.runtime()).grace(Duration::from_secs(10)).start().unwrap();
            let (beginner, registrar) = (shutdown.handle(), shutdown.handle());
            let (tell, told) = mpsc::channel();
            let other = world.clone();
            world.spawn("begins", move || {
                other.give_way();
                beginner.begin("a test");
            });
            let other = world.clone();
            world.spawn("registers", move || {
                other.give_way();
                let watch = registrar.watch();
                let (gate, joined) = joins(&registrar);
                // Whenever it was made, it is told.
                other.block_on(watch.draining());
                let _ = tell.send((gate, joined));
            });
            let report = shutdown.finished_blocking();
            world.settle();
            let (gate, joined) = told.try_recv().unwrap();
            assert_eq!(report.components.iter().any(|part| part.name == "late"), joined, "{report}");
            assert_eq!(gate.is_closed(), joined, "{report}");
            assert!(report.is_clean(), "{report}");
            joined
        });
        // Relaxed: a count.
        met[usize::from(seen.returned())].fetch_add(1, Ordering::Relaxed);
    });
    assert!(met.iter().all(|count| count.load(Ordering::Relaxed) > 0), "no race in 200 seeds: {met:?}");
}

#[test]
fn a_watch_that_is_made_too_late_is_told_all_the_same() {
    let (_runtime, shutdown) = shutdown();
    let early = shutdown.watch();
    shutdown.begin("a test");
    shutdown.finished_blocking();
    for watch in [early, shutdown.watch()] {
        assert!(watch.is_draining());
        let mut draining: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(watch.draining());
        assert!(poll(&mut draining, Waker::noop()).is_ready());
        assert!(watch.reason().is_some());
    }
}
