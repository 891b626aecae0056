//! Who comes while the shutdown begins, and after.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Waker,
    time::Duration,
};

use sundown::{BoxFuture, Deadline, Gate, Handle, Shutdown};
use sundown_testkit::simulation::Simulation;

use crate::{poll, shutdown};

/// A component that comes while the shutdown begins.
fn joins(handle: &Handle) -> (Gate, bool) {
    let gate = Gate::new();
    let joined = handle.component("late", gate.clone(), []).is_ok();
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
        let mut draining: BoxFuture<'static, Deadline> = Box::pin(watch.draining());
        assert!(poll(&mut draining, Waker::noop()).is_ready());
        assert!(watch.reason().is_some());
    }
}
