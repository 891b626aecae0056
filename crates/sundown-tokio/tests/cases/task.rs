//! What a runtime's own task does as a component: the same for every adapter, whose test says what a task is.

use std::{
    future::{Future, pending},
    pin::{Pin, pin},
    sync::mpsc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use sundown::{Drainable, Gate, Outcome, Report, Runtime, Shutdown};

use super::{Task, runtime, spawn};

/// How long anything is waited for.
const BOUND: Duration = Duration::from_secs(10);

/// The report of a shutdown of the task alone; in a hurry, it ends with the claim.
fn end(task: Task, in_a_hurry: bool) -> Report {
    let shutdown = Shutdown::embedded(runtime()).component("task", task).grace(BOUND).start().unwrap();
    shutdown.begin("the test is over");
    if in_a_hurry {
        shutdown.hurry();
    }
    shutdown.finished_blocking()
}

/// Drives a future in a private place, as the shutdown does.
fn drive(future: impl Future<Output = ()> + Send + 'static) {
    let (send, done) = mpsc::channel();
    thread::spawn(move || {
        runtime().private().unwrap().drive(pin!(future));
        send.send(()).unwrap();
    });
    done.recv_timeout(BOUND).expect("it ends");
}

/// A task that never ends, and a gate that somebody is inside for as long as the task is there.
fn endless() -> (Task, Gate) {
    let alive = Gate::new();
    let guard = alive.enter().unwrap();
    alive.close();
    let task = spawn(async move {
        let _guard = guard;
        pending().await
    });
    (task, alive)
}

#[test]
fn a_task_that_is_told_to_end_ends_well() {
    let stop = Gate::new();
    let stopped = stop.clone();
    let task = spawn(async move { stopped.closed().await }).on_close(move || stop.close());
    let report = end(task, false);
    assert!(report.is_clean(), "{report}");
    assert!(matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
}

#[test]
fn a_task_that_has_panicked_is_reported_with_its_message() {
    let report = end(spawn(async { panic!("on purpose, {}", 17) }), false);
    assert_eq!(report.components[0].drained, Outcome::Panicked("on purpose, 17".into()));
    assert!(!report.is_clean());
}

#[test]
fn a_task_that_does_not_end_is_forced_and_lost() {
    let (task, alive) = endless();
    let report = end(task, true);
    assert_eq!(report.components[0].drained, Outcome::Late);
    assert_eq!(report.components[0].lost, 1);
    drive(async move { alive.empty().await });
}

#[test]
fn a_task_that_is_forced_is_waited_for_no_longer() {
    let (task, alive) = endless();
    let task = std::sync::Arc::new(task);
    let (forced, began) = (task.clone(), Gate::new());
    let begins = began.clone();
    let forcing = thread::spawn(move || {
        drive(async move { begins.closed().await });
        forced.force();
    });
    drive(async move {
        let drained = pin!(task.drained());
        began.close();
        drained.await;
    });
    forcing.join().unwrap();
    drive(async move { alive.empty().await });
}

#[test]
fn a_task_goes_on_when_its_component_is_dropped() {
    let go = Gate::new();
    let (gone_on, (send, done)) = (go.clone(), mpsc::channel());
    drop(spawn(async move {
        gone_on.closed().await;
        send.send(()).unwrap();
    }));
    go.close();
    done.recv_timeout(BOUND).expect("it goes on");
}

#[test]
fn a_wait_that_is_given_up_loses_nothing() {
    let stop = Gate::new();
    let stopped = stop.clone();
    let task = spawn(async move { stopped.closed().await });
    {
        let mut drained = task.drained();
        assert!(Pin::new(&mut drained).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(task.in_flight().total(), Some(1));
    stop.close();
    drive(async move {
        task.drained().await;
        assert_eq!(task.in_flight().total(), Some(0));
    });
}
