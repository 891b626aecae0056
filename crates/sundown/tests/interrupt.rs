//! What a shutdown interrupts, in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{future::pending, time::Duration};

use sundown::{Gate, Interrupted, Shutdown, When};
use sundown_testkit::simulation::{Simulation, World};

const GRACE: Duration = Duration::from_secs(10);
/// Of which so much is for the drain.
const DRAIN: Duration = Duration::from_millis(6_500);
const SECOND: Duration = Duration::from_secs(1);

fn simulate(main: impl Fn(&World)) {
    Simulation::seeded(1).run(main).returned();
}

/// A shutdown that does not drain, since somebody stays inside.
fn never_drains(world: &World, inside: &Gate) -> Shutdown {
    let builder = Shutdown::embedded(world.runtime()).component("gate", inside.clone());
    builder.grace(GRACE).start().unwrap()
}

#[test]
fn each_ends_at_its_own_moment() {
    simulate(|world| {
        let (gate, events) = (Gate::new(), world.recorder());
        let _inside = gate.enter().unwrap();
        let shutdown = never_drains(world, &gate);
        for (when, name) in [(When::Draining, "draining"), (When::Claimed, "claimed"), (When::Never, "never")]
        {
            let wait = shutdown.watch().interrupt_at(when, pending::<()>());
            let (events, clock) = (events.clone(), world.clone());
            world.spawn_task(async move {
                assert_eq!(wait.await, Err(Interrupted));
                events.note(format!("{name} at {:?}", clock.elapsed()));
            });
        }
        world.advance(SECOND);
        shutdown.begin("a test");
        shutdown.finished_blocking();
        assert!(events.has("draining at 1s"), "{events}");
        assert!(events.has(&format!("claimed at {:?}", SECOND + DRAIN)), "{events}");
        assert!(!events.to_string().contains("never"), "{events}");
    });
}

#[test]
fn a_thread_that_sleeps_now_and_again_is_woken_by_the_announcement() {
    simulate(|world| {
        let (gate, events) = (Gate::new(), world.recorder());
        let _inside = gate.enter().unwrap();
        let shutdown = never_drains(world, &gate);
        let (watch, clock, notes) = (shutdown.watch(), world.clone(), events.clone());
        world.spawn("now and again", move || {
            while watch.draining_blocking_for(2 * SECOND).is_none() {
                notes.note(format!("again at {:?}", clock.elapsed()));
            }
            notes.note(format!("woken at {:?}", clock.elapsed()));
            assert_eq!(watch.draining_blocking().remaining(), DRAIN);
            watch.claimed_blocking();
            notes.note(format!("claimed at {:?}", clock.elapsed()));
        });
        world.advance(5 * SECOND);
        shutdown.begin("a test");
        shutdown.finished_blocking();
        for event in ["again at 2s", "again at 4s", "woken at 5s"] {
            assert!(events.has(event), "{events}");
        }
        assert!(events.has(&format!("claimed at {:?}", 5 * SECOND + DRAIN)), "{events}");
    });
}

#[test]
fn a_signal_for_a_framework_comes_with_the_announcement() {
    fn with_graceful_shutdown(signal: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> {
        signal
    }
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let served = with_graceful_shutdown(shutdown.watch().announced());
        shutdown.begin("a test");
        let ended = std::pin::pin!(served);
        world.settle();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(ended.poll(&mut cx).is_ready());
        shutdown.finished_blocking();
    });
}
