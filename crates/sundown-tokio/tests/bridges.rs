//! What else tokio's services wait for, as components: sets, trackers and tokens.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{future::pending, panic::resume_unwind, sync::LazyLock, time::Duration};

use sundown::{Drainable, Outcome, Report, Shutdown, on_drain};
use sundown_tokio::Tokio;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const BOUND: Duration = Duration::from_secs(10);

static SERVICE: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("the system has threads"));

/// The report of a shutdown of this component alone; in a hurry, it ends with the claim.
fn end(component: impl Drainable, in_a_hurry: bool) -> Report {
    let runtime = Tokio::of(SERVICE.handle().clone());
    let shutdown = Shutdown::embedded(runtime).component("tasks", component).grace(BOUND).start().unwrap();
    shutdown.begin("the test is over");
    if in_a_hurry {
        shutdown.hurry();
    }
    shutdown.finished_blocking()
}

#[test]
fn a_set_whose_tasks_end_is_drained() {
    let (stop, mut set) = (CancellationToken::new(), JoinSet::new());
    for _ in 0..3 {
        set.spawn_on(stop.clone().cancelled_owned(), SERVICE.handle());
    }
    let joined = on_drain(async move |_| {
        stop.cancel();
        while let Some(ended) = set.join_next().await {
            ended.unwrap();
        }
    });
    let report = end(joined, false);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_set_of_which_one_panics_is_joined_to_the_end_and_reported() {
    let (stop, mut set) = (CancellationToken::new(), JoinSet::new());
    let (tells, others) = (stop.clone(), TaskTracker::new());
    for _ in 0..3 {
        set.spawn_on(others.track_future(stop.clone().cancelled_owned()), SERVICE.handle());
    }
    // The others are told when it has been joined.
    set.spawn_on(async { panic!("one of them") }, SERVICE.handle());
    let left = others.clone();
    let joined = on_drain(async move |_| {
        let mut thrown = None;
        while let Some(ended) = set.join_next().await {
            tells.cancel();
            thrown = ended.err().and_then(|error| error.try_into_panic().ok()).or(thrown);
        }
        assert!(left.is_empty());
        if let Some(panic) = thrown {
            resume_unwind(panic);
        }
    });
    assert_eq!(end(joined, false).components[0].drained, Outcome::Panicked("one of them".into()));
}

#[test]
fn a_set_that_does_not_end_is_aborted_when_it_is_forced() {
    let (inside, mut set) = (TaskTracker::new(), JoinSet::new());
    set.spawn_on(inside.track_future(pending::<()>()), SERVICE.handle());
    let joined = on_drain(async move |_| while set.join_next().await.is_some() {});
    let report = end(joined, true);
    assert_eq!((&report.components[0].drained, report.components[0].lost), (&Outcome::Late, 1), "{report}");
    inside.close();
    SERVICE.block_on(async { tokio::time::timeout(BOUND, inside.wait()).await }).expect("it is aborted");
}

#[test]
fn a_tracker_says_how_many_are_left_and_its_token_ends_them() {
    let (tasks, abort) = (TaskTracker::new(), CancellationToken::new());
    for _ in 0..3 {
        tasks.spawn_on(abort.clone().cancelled_owned(), SERVICE.handle());
    }
    let (draining, running) = (tasks.clone(), tasks.clone());
    let component = on_drain(async move |_| {
        draining.close();
        draining.wait().await;
    });
    let report = end(component.counted(move || running.len()).on_force(move || abort.cancel()), true);
    assert_eq!((&report.components[0].drained, report.components[0].lost), (&Outcome::Late, 3), "{report}");
    // In a hurry the closure may not have run.
    tasks.close();
    SERVICE.block_on(async { tokio::time::timeout(BOUND, tasks.wait()).await }).expect("they are cancelled");
}

#[test]
fn a_token_begins_the_shutdown_and_another_is_cancelled_by_it() {
    let shutdown = Shutdown::embedded(Tokio::of(SERVICE.handle().clone())).grace(BOUND).start().unwrap();
    let (begins, told) = (CancellationToken::new(), CancellationToken::new());
    let (cancelled, handle) = (begins.clone().cancelled_owned(), shutdown.handle());
    SERVICE.spawn(async move {
        cancelled.await;
        handle.begin("a token was cancelled");
    });
    let (watch, tells) = (shutdown.watch(), told.clone());
    SERVICE.spawn(async move {
        watch.announced().await;
        tells.cancel();
    });
    begins.cancel();
    SERVICE.block_on(async { tokio::time::timeout(BOUND, told.cancelled()).await }).expect("it is told");
    assert_eq!(shutdown.finished_blocking().reason.to_string(), "requested: a token was cancelled");
}
