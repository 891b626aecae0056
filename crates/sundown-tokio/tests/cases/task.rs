//! What a runtime's own task does as a component: the same for every adapter, whose test says what a task is.

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Barrier, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
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

/// Polls a wait, for the first time, by the one that drives it: the task has not ended.
async fn begin(drained: &mut (impl Future<Output = ()> + Unpin)) {
    assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut *drained).poll(cx))).await.is_pending());
}

/// Polls a wait that is given up then.
fn poll_and_give_up(task: &Task) -> Poll<()> {
    task.drained().as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until the task is in flight no longer, which nobody is woken by.
fn ended_by_itself(task: &Task) {
    let bound = Instant::now() + BOUND;
    while task.in_flight().total() != Some(0) {
        assert!(Instant::now() < bound, "it is in flight for ever");
        thread::yield_now();
    }
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
    let task = Arc::new(task);
    let (forced, began) = (task.clone(), Gate::new());
    let begins = began.clone();
    let forcing = thread::spawn(move || {
        drive(async move { begins.closed().await });
        forced.force();
    });
    drive(async move {
        let mut drained = task.drained();
        begin(&mut drained).await;
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
    assert!(poll_and_give_up(&task).is_pending());
    assert_eq!(task.in_flight().total(), Some(1));
    stop.close();
    drive(async move {
        task.drained().await;
        assert_eq!(task.in_flight().total(), Some(0));
    });
}

#[test]
fn a_task_that_runs_is_drained_for_none_of_two_who_ask() {
    let (task, alive) = endless();
    let together = Barrier::new(2);
    let asks = || {
        together.wait();
        (0..100_000).filter(|_| poll_and_give_up(&task).is_ready()).count()
    };
    let ended = thread::scope(|scope| {
        let other = scope.spawn(asks);
        asks() + other.join().unwrap()
    });
    assert_eq!(ended, 0);
    task.force();
    drive(async move { alive.empty().await });
}

#[test]
fn all_who_wait_are_woken_by_the_end() {
    /// Says whose waker it is. A wait is polled only when it was woken: that is what is tested.
    struct Woken(usize, mpsc::Sender<usize>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            let _ = self.1.send(self.0);
        }
    }
    let (stop, (wakes, woken)) = (Gate::new(), mpsc::channel());
    let stopped = stop.clone();
    let task = spawn(async move { stopped.closed().await });
    let wakers = [0, 1].map(|who| Waker::from(Arc::new(Woken(who, wakes.clone()))));
    let mut waits = [task.drained(), task.drained()];
    let mut poll = |who: usize| waits[who].as_mut().poll(&mut Context::from_waker(&wakers[who]));
    assert!(poll(0).is_pending() && poll(1).is_pending());
    // Who gives up takes nobody's place.
    assert!(poll_and_give_up(&task).is_pending());
    stop.close();
    let mut ended = [false; 2];
    while ended != [true; 2] {
        let who = woken.recv_timeout(BOUND).expect("both are woken");
        ended[who] = ended[who] || poll(who).is_ready();
    }
}

#[test]
fn a_task_that_has_ended_is_not_in_flight_though_nobody_waits_for_it() {
    let task = spawn(async {});
    ended_by_itself(&task);
    assert!(end(task, false).is_clean());
}

#[test]
fn what_a_task_has_panicked_with_is_kept_for_who_waits_for_it() {
    let task = spawn(async { panic!("before its turn") });
    ended_by_itself(&task);
    let report = end(task, false);
    assert_eq!(report.components[0].drained, Outcome::Panicked("before its turn".into()));
}
