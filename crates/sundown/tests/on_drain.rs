//! Closures as components, in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use sundown::{Deadline, Drainable, Gate, OnDrain, Outcome, Report, Shutdown, on_drain};
use sundown_testkit::simulation::{Simulation, World};

const GRACE: Duration = Duration::from_secs(10);
/// Of which so much is for the drain.
const DRAIN: Duration = Duration::from_millis(6_500);
const SECOND: Duration = Duration::from_secs(1);

fn simulate<T>(main: impl Fn(&World) -> T) -> T {
    Simulation::seeded(1).run(main).returned()
}

/// The report of a shutdown of this component alone.
fn end(component: impl Fn(&World) -> OnDrain) -> Report {
    simulate(|world| {
        let builder = Shutdown::embedded(world.runtime()).component("closure", component(world));
        let shutdown = builder.grace(GRACE).start().unwrap();
        shutdown.begin("a test");
        shutdown.finished_blocking()
    })
}

/// A deadline that a shutdown gives out.
fn with_deadline(test: impl Fn(&World, Deadline)) {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        shutdown.begin("a test");
        let deadline = world.block_on(shutdown.watch().draining());
        test(world, deadline);
    });
}

fn poll_once(component: &OnDrain) -> Poll<()> {
    component.drained().as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn it_runs_in_its_turn_is_told_its_deadline_and_is_waited_for() {
    simulate(|world| {
        let (gate, events) = (Gate::new(), world.recorder());
        let (clock, notes) = (world.clone(), events.clone());
        let flush = on_drain(async move |deadline: Deadline| {
            notes.note(format!("with {:?} left", deadline.remaining()));
            clock.sleep(SECOND).await;
            notes.note("done");
        });
        let builder = Shutdown::embedded(world.runtime()).component("gate", gate.clone());
        let shutdown = builder.component("flush", flush).after(["gate"]).grace(GRACE).start().unwrap();
        let inside = gate.enter().unwrap();
        shutdown.begin("a test");
        world.advance(SECOND);
        assert!(!events.to_string().contains("left"), "{events}");
        drop(inside);
        let report = shutdown.finished_blocking();
        events.assert_order(&[&format!("with {:?} left", DRAIN - SECOND), "done"]);
        assert!(report.is_clean() && report.took == 2 * SECOND, "{report}");
    });
}

#[test]
fn a_plain_closure_will_do() {
    let report = end(|_| on_drain(|_| async {}));
    assert!(report.is_clean() && matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
}

#[test]
fn what_panics_is_reported_with_its_message() {
    let panicked = |report: Report, message: &str| {
        assert_eq!(report.components[0].drained, Outcome::Panicked(message.into()));
        assert!(!report.is_clean());
    };
    panicked(end(|_| on_drain(async |_| panic!("no such table"))), "no such table");
    // Before there is a future.
    fn begins(_: Deadline) -> std::future::Ready<()> {
        panic!("no such file")
    }
    panicked(end(|_| on_drain(begins)), "no such file");
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn what_does_not_end_is_lost_forced_and_dropped() {
    let (dropped, forced) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let report = end(|_| {
        let (inside, tells) = (Dropped(dropped.clone()), forced.clone());
        let hangs = on_drain(async move |_| {
            let _inside = inside;
            pending().await
        });
        hangs.counted(|| 3).on_force(move || tells.store(true, Ordering::SeqCst))
    });
    assert_eq!((&report.components[0].drained, report.components[0].lost), (&Outcome::Late, 3), "{report}");
    assert!(dropped.load(Ordering::SeqCst) && forced.load(Ordering::SeqCst));
}

#[test]
fn what_never_had_its_turn_is_lost() {
    let report = simulate(|world| {
        let gate = Gate::new();
        let builder = Shutdown::embedded(world.runtime()).component("gate", gate.clone());
        let flush = on_drain(|_| async {});
        let shutdown = builder.component("flush", flush).after(["gate"]).grace(GRACE).start().unwrap();
        let _inside = gate.enter().unwrap();
        shutdown.begin("a test");
        shutdown.hurry();
        shutdown.finished_blocking()
    });
    assert_eq!(
        (&report.components[1].drained, report.components[1].lost),
        (&Outcome::NotCalled, 1),
        "{report}"
    );
}

#[test]
fn a_wait_that_is_dropped_at_any_point_loses_nothing() {
    with_deadline(|_, deadline| {
        let step = Arc::new(AtomicUsize::new(0));
        let steps = step.clone();
        // It is never asked to begin again, nor for a step that it has done.
        let work = on_drain(async move |_| {
            for _ in 0..3 {
                steps.fetch_add(1, Ordering::SeqCst);
                let mut waited = false;
                poll_fn(
                    |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending },
                )
                .await;
            }
        });
        assert!(poll_once(&work).is_pending());
        assert_eq!(step.load(Ordering::SeqCst), 0, "it was not closed");
        work.close(&deadline);
        work.close(&deadline);
        drop(work.drained());
        for done in 1..=3 {
            assert!(poll_once(&work).is_pending());
            assert_eq!((step.load(Ordering::SeqCst), work.in_flight().total()), (done, Some(1)));
        }
        assert!(poll_once(&work).is_ready() && poll_once(&work).is_ready());
        assert_eq!(work.in_flight().total(), Some(0));
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_beside_another_goes_on_when_that_one_gives_up_or_is_done() {
    with_deadline(|_, deadline| {
        let gate = Gate::new();
        let waits = gate.clone();
        let work = on_drain(async move |_| waits.closed().await);
        work.close(&deadline);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut first = work.drained();
        let mut second = work.drained();
        let mut third = work.drained();
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(first);
        assert_eq!(
            woken.0.load(Ordering::SeqCst),
            1,
            "the work may have had the waker of the one that is gone"
        );
        assert!(second.as_mut().poll(&mut cx).is_pending() && third.as_mut().poll(&mut cx).is_pending());
        gate.close();
        assert!(second.as_mut().poll(&mut cx).is_ready());
        drop(second);
        assert!(third.as_mut().poll(&mut cx).is_ready());
        assert_eq!(woken.0.load(Ordering::SeqCst), 3, "by the gate, and by the end");
    });
}

#[test]
fn who_waits_is_told_when_it_is_forced() {
    with_deadline(|_, deadline| {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        for (closed, waiters) in [(false, 1), (true, 1), (true, 2)] {
            let work = on_drain(async |_| pending().await);
            if closed {
                work.close(&deadline);
            }
            let mut waits: Vec<_> = (0..waiters).map(|_| work.drained()).collect();
            assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut cx).is_pending()));
            let before = woken.0.load(Ordering::SeqCst);
            work.force();
            work.force();
            assert_eq!(woken.0.load(Ordering::SeqCst) - before, waiters);
            assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut cx).is_ready()));
            drop(waits);
            assert!(poll_once(&work).is_ready());
            assert_eq!(work.in_flight().total(), Some(0));
        }
    });
}

#[test]
fn a_destructor_that_panics_keeps_nobody_waiting() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    with_deadline(|_, deadline| {
        let work = on_drain(async |_| {
            let _bomb = Bomb;
            pending().await
        });
        work.close(&deadline);
        assert!(poll_once(&work).is_pending());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let (mut drives, mut waits) = (work.drained(), work.drained());
        assert!(drives.as_mut().poll(&mut cx).is_pending() && waits.as_mut().poll(&mut cx).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| work.force())).is_err());
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        assert!(drives.as_mut().poll(&mut cx).is_ready());
        assert!(waits.as_mut().poll(&mut cx).is_ready());
        assert!(poll_once(&work).is_ready());
    });
}

#[test]
fn it_is_dropped_unrun_without_a_shutdown() {
    let (dropped, ran) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (inside, runs) = (Dropped(dropped.clone()), ran.clone());
    drop(on_drain(async move |_| {
        let _inside = inside;
        runs.store(true, Ordering::SeqCst);
    }));
    assert!(dropped.load(Ordering::SeqCst) && !ran.load(Ordering::SeqCst));
}

#[test]
fn a_component_that_leaves_runs_its_closure() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let (clock, began) = (world.clone(), world.now());
        let sleeps = on_drain(async move |_| clock.sleep(SECOND).await);
        shutdown.component("tenant", sleeps, []).unwrap();
        world.block_on(async { pin!(shutdown.remove_component("tenant")).await }).unwrap();
        assert_eq!(world.now() - began, SECOND);
    });
}

#[test]
fn a_leaving_that_nobody_goes_on_with_keeps_the_work_from_nobody() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let clock = world.clone();
        shutdown.component("tenant", on_drain(async move |_| clock.sleep(SECOND).await), []).unwrap();
        let mut leaving = pin!(shutdown.remove_component("tenant"));
        assert!(leaving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert!(report.is_clean(), "{report}");
    });
}

/// While it is polled first, it asks itself whether it has ended.
#[test]
fn who_asks_while_it_is_polled_is_told_to_ask_again() {
    with_deadline(|_, deadline| {
        let myself = Arc::new(OnceLock::<OnDrain>::new());
        let (inside, woken) = (myself.clone(), Arc::new(Woken::default()));
        let (waker, asks) = (Waker::from(woken.clone()), Arc::new(AtomicUsize::new(0)));
        let asked = asks.clone();
        let work = on_drain(move |_| {
            poll_fn(move |_| {
                if asks.fetch_add(1, Ordering::SeqCst) == 0 {
                    let mut other = inside.get().expect("it is there").drained();
                    assert!(other.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    // It waits on.
                    std::mem::forget(other);
                }
                Poll::<()>::Pending
            })
        });
        assert!(myself.set(work).is_ok());
        let work = myself.get().expect("it is there");
        work.close(&deadline);
        assert!(poll_once(work).is_pending());
        assert_eq!((asked.load(Ordering::SeqCst), woken.0.load(Ordering::SeqCst)), (1, 1));
        // What it holds of itself goes.
        work.force();
    });
}
