//! Faults and the recorder on real threads, and each fault in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{sync::mpsc, thread, time::Duration};

use sundown::{Gate, Jobs, Outcome, Report, Runtime, Shutdown};
use sundown_testkit::{
    Fault, Faulty, Method, Recorder, TakesOver,
    simulation::{Simulation, World},
};
use sundown_tokio::Tokio;

const GRACE: Duration = Duration::from_secs(10);

/// A shutdown in which one method of one component and one notifier goes wrong.
fn shut_down(world: &World, method: Method, fault: &Fault) -> Report {
    let (jobs, gate) = (Jobs::new(), Gate::new());
    let part = Faulty::new(world.runtime(), gate.clone()).before(method, fault.clone());
    let taker = Faulty::new(world.runtime(), TakesOver::all()).before(method, fault.clone());
    let shutdown = Shutdown::embedded(world.runtime())
        .component("part", part)
        .component("jobs", jobs.clone())
        .hand_over_to(taker)
        .grace(GRACE)
        .start()
        .unwrap();
    let (_job, _inside) = (jobs.begin("image-17", ()).unwrap(), gate.enter().unwrap());
    shutdown.begin("a test");
    shutdown.finished_blocking()
}

fn outcome_of(report: &Report, method: Method) -> Outcome {
    let (part, taker) = (&report.components[0], &report.notifiers[0]);
    match method {
        Method::Close => part.closed.clone(),
        Method::Drained => part.drained.clone(),
        Method::InFlight => part.in_flight.clone(),
        Method::Claim => part.claim.clone(),
        Method::Conclude => part.conclude.clone(),
        Method::Force => part.force.clone(),
        Method::Draining => taker.draining.clone(),
        Method::Incomplete => taker.incomplete.clone(),
        _ => taker.finished.clone(),
    }
}

#[test]
fn every_method_that_hangs_blocks_or_panics_is_named_and_keeps_nobody_else() {
    let methods = Method::OF_COMPONENTS.into_iter().chain(Method::OF_NOTIFIERS);
    for method in methods {
        for fault in [Fault::Hangs, Fault::Blocks, Fault::Panics("on purpose".into())] {
            let ending = Simulation::seeded(1).run(|world| shut_down(world, method, &fault));
            let (took, report) = (ending.took, ending.returned());
            let expected = match fault {
                Fault::Panics(_) => Outcome::Panicked("on purpose".into()),
                _ => Outcome::Late,
            };
            assert_eq!(outcome_of(&report, method), expected, "{method} {fault:?}\n{report}");
            assert_eq!(report.jobs.handed_over.len(), usize::from(method != Method::Incomplete), "{report}");
            assert!(took < GRACE, "{method} {fault:?}: {took:?}");
        }
    }
}

#[test]
fn what_is_slow_takes_its_time_and_no_more() {
    for fault in [Fault::Slow(Duration::from_millis(40)), Fault::BlocksFor(Duration::from_millis(40))] {
        for method in [Method::Force, Method::Conclude, Method::Claim, Method::Incomplete] {
            let ending = Simulation::seeded(1).run(|world| shut_down(world, method, &fault));
            let report = ending.returned();
            assert_eq!(outcome_of(&report, method), Outcome::Done(Duration::from_millis(40)), "{report}");
        }
    }
}

#[test]
fn a_notifier_that_fails_is_an_error_and_a_component_cannot_fail() {
    let fails = Fault::Fails("no network".into());
    let ending = Simulation::seeded(1).run(|world| shut_down(world, Method::Incomplete, &fails));
    let report = ending.returned();
    assert_eq!(outcome_of(&report, Method::Incomplete), Outcome::Failed("no network".into()));
    let ending = Simulation::seeded(1).run(|world| shut_down(world, Method::Conclude, &fails));
    let report = ending.returned();
    assert!(matches!(outcome_of(&report, Method::Conclude), Outcome::Done(_)));
}

#[test]
fn who_takes_over_the_first_takes_no_more() {
    let ending = Simulation::seeded(1).run(|world| {
        let (jobs, taker) = (Jobs::new(), TakesOver::first(2));
        let builder = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone());
        let shutdown = builder.hand_over_to(taker.clone()).start().unwrap();
        let _held: Vec<_> = (0..5).map(|n| jobs.begin(format!("job-{n}"), n).unwrap()).collect();
        shutdown.begin("a test");
        shutdown.hurry();
        let report = shutdown.finished_blocking();
        assert_eq!((report.jobs.handed_over.len(), report.jobs.unacknowledged.len()), (2, 3));
        assert_eq!(taker.taken().len(), 2);
        assert!(report.notifiers[0].incomplete.is_failure(), "{report}");
    });
    ending.returned();
}

/// On a real runtime, and real threads.
#[test]
fn a_step_is_held_while_a_test_looks_and_goes_on_when_it_lets_go() {
    let service = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = Tokio::of(service.handle().clone());
    let (events, jobs) = (Recorder::on(&runtime), Jobs::new());
    let part = Faulty::new(runtime.clone(), jobs.clone()).recorded("jobs", &events);
    let taker = Faulty::new(runtime.clone(), TakesOver::all()).recorded("taker", &events);
    let shutdown =
        Shutdown::embedded(runtime).component("jobs", part).hand_over_to(taker).grace(GRACE).start().unwrap();
    let _job = jobs.begin("image-17", ()).unwrap();

    let (claim, force) = (events.hold("jobs claim ended"), events.hold("jobs force"));
    shutdown.begin("a test");
    shutdown.hurry();
    assert!(claim.reached_within(GRACE));
    assert!(!events.has("taker incomplete"), "{events}");
    claim.release();
    assert!(force.reached_within(GRACE));
    assert!(events.has("jobs conclude ended"), "{events}");
    drop(force);
    let report = shutdown.finished_blocking();
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    events.assert_order(&["jobs close", "jobs claim", "taker incomplete", "jobs conclude", "jobs force"]);
}

#[test]
fn an_event_that_does_not_come_is_not_waited_for_beyond_the_bound() {
    let service = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = Recorder::on(&Tokio::of(service.handle().clone()));
    let hold = events.hold("the moon falls");
    assert!(!hold.reached_within(Duration::from_millis(5)));
    drop(hold);
    events.note("the moon falls"); // is not held any more
    assert!(events.has("the moon falls"));
}

/// On real threads a fault keeps its thread, and that one alone.
#[test]
fn a_thread_that_a_fault_keeps_is_kept() {
    let service = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = Tokio::of(service.handle().clone());
    let began = runtime.now();
    Fault::BlocksFor(Duration::from_millis(20)).happen(&runtime);
    assert!(runtime.now() - began >= Duration::from_millis(20));
    let (send, returned) = mpsc::channel();
    let kept = thread::spawn(move || {
        Fault::Blocks.happen(&runtime);
        send.send(()).unwrap();
    });
    kept.thread().unpark(); // even if somebody wakes it
    assert_eq!(returned.recv_timeout(Duration::from_millis(50)), Err(mpsc::RecvTimeoutError::Timeout));
}
