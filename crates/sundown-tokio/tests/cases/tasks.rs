//! What groups of tasks do on a real runtime: the same for every adapter, whose test says which.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::mpsc,
    thread,
    time::Duration,
};

use sundown::{JoinError, Outcome, Restart, Runtime, Shutdown, Tasks, Then};

use super::runtime;

/// How long anything is waited for.
const BOUND: Duration = Duration::from_secs(10);

/// Drives a future in a private place, and returns what it has.
fn wait_for<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (send, output) = mpsc::channel();
    thread::spawn(move || {
        let future = async { send.send(future.await).unwrap() };
        runtime().private().unwrap().drive(pin!(future));
    });
    output.recv_timeout(BOUND).expect("it ends")
}

/// A shutdown of these tasks alone.
fn serving(tasks: &Tasks) -> Shutdown {
    Shutdown::embedded(runtime()).component("tasks", tasks.clone()).grace(BOUND).start().unwrap()
}

#[test]
fn a_service_of_tasks_is_told_waited_for_and_reported() {
    let tasks = Tasks::new(runtime()).keep_ends(8);
    let shutdown = serving(&tasks);

    let watch = tasks.watch();
    let ticker = tasks.spawn("ticker", async move { watch.draining().await.remaining() < BOUND }).unwrap();

    let (restart, watch) = (Restart::default().backoff(Duration::ZERO, Duration::ZERO), tasks.watch());
    let mut runs = 0;
    let reading = tasks.restarting(restart, move || {
        runs += 1;
        let (run, watch) = (runs, watch.clone());
        async move {
            match run {
                1 => Err("no such host"),
                2 => panic!("on purpose"),
                _ => {
                    watch.draining().await;
                    Ok(())
                }
            }
        }
    });
    let reader = tasks.task("reader").on_error(Then::Shutdown).try_spawn(reading).unwrap();

    let brief = tasks.group("brief").within(Duration::from_millis(20));
    let endless = brief.spawn("endless", pending::<()>()).unwrap();

    let done = tasks.spawn("done", async { 17 }).unwrap();
    assert_eq!(wait_for(done), Ok(17));
    while tasks.counts().restarted < 2 {
        thread::yield_now();
    }
    shutdown.begin("the test is over");
    let report = shutdown.finished_blocking();
    assert!(report.is_clean(), "{report}");
    assert!(matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
    let notes: Vec<_> = report.components[0].notes.iter().map(|(what, count)| (&**what, *count)).collect();
    assert_eq!(
        notes,
        [
            ("tasks completed", 3),
            ("tasks failed", 0),
            ("tasks panicked", 0),
            ("tasks aborted", 1),
            ("tasks restarted", 2)
        ]
    );
    assert_eq!(wait_for(ticker), Ok(true));
    assert_eq!(wait_for(reader), Ok(Ok(())));
    assert_eq!(wait_for(endless), Err(JoinError::Aborted));
    let first = wait_for(async move { tasks.next_end().await });
    assert_eq!(first.unwrap().name, "done");
}

#[test]
fn a_vital_task_that_panics_ends_the_service() {
    let tasks = Tasks::new(runtime());
    let shutdown = serving(&tasks);
    let task = tasks.task("reader").vital(Then::Shutdown).spawn(async { panic!("on purpose") }).unwrap();
    let report = shutdown.finished_blocking();
    assert_eq!(report.reason.to_string(), "requested: task reader panicked: on purpose");
    assert!(!report.is_clean());
    assert_eq!(wait_for(task), Err::<(), _>(JoinError::Panicked("on purpose".into())));
}

#[test]
fn a_task_that_is_aborted_alone_leaves_the_others() {
    let tasks = Tasks::new(runtime());
    let (one, other) = (tasks.spawn("one", pending::<()>()), tasks.spawn("other", pending::<()>()));
    let one = one.unwrap();
    one.abort();
    assert_eq!(wait_for(one), Err(JoinError::Aborted));
    assert_eq!((tasks.counts().running, tasks.counts().aborted), (1, 1));
    tasks.abort();
    assert_eq!(wait_for(other.unwrap()), Err(JoinError::Aborted));
    wait_for(async move { tasks.empty().await });
}
