//! Groups inside groups: stopped together, or alone.

use std::{
    future::{Future, pending},
    sync::Arc,
    task::Context,
    time::Duration,
};

use sundown::{Draining, InFlight, Tasks};

use crate::bare::{Bare, Woken, ended, now, poll};

fn names(in_flight: &InFlight) -> Vec<&str> {
    in_flight.units().iter().map(|unit| &*unit.name).collect()
}

/// A task that ends when its group is stopped.
fn obedient(tasks: &Tasks, name: &'static str) {
    let watch = tasks.watch();
    drop(tasks.spawn(name, async move { drop(watch.draining().await) }).unwrap());
}

#[test]
fn an_inner_group_is_stopped_alone_and_its_parent_goes_on() {
    let (bare, tasks) = Bare::with_tasks();
    let tenant = tasks.group("tenant-7");
    obedient(&tasks, "server");
    obedient(&tenant, "mailer");
    bare.poll();
    assert_eq!(names(&tasks.in_flight()), ["server", "tenant-7/mailer"]);
    tenant.stop("the tenant has left");
    bare.poll();
    now(tenant.empty());
    assert_eq!(tenant.spawn("late", async {}).unwrap_err(), Draining);
    assert_eq!(tenant.watch().reason().unwrap().to_string(), "requested: the tenant has left");
    assert_eq!(names(&tasks.in_flight()), ["server"]);
    assert!(!tasks.is_stopped() && !tasks.watch().is_draining());
    obedient(&tasks, "another");
    assert_eq!(tasks.counts().running, 2);
    // Its ends are ours.
    assert_eq!((ended(tenant.counts())[0], tasks.counts().completed), (1, 1));
}

#[test]
fn a_group_stops_all_below_and_waits_for_them() {
    let (bare, tasks) = Bare::with_tasks();
    let deep = tasks.group("one").group("two");
    obedient(&deep, "deep");
    bare.poll();
    assert_eq!(deep.name(), "one/two");
    assert_eq!(names(&tasks.in_flight()), ["one/two/deep"]);
    let mut empty = Box::pin(tasks.empty());
    tasks.stop("the test is over");
    assert!(poll(&mut empty).is_pending());
    assert!(deep.is_stopped() && deep.watch().is_draining());
    assert_eq!(deep.spawn("late", async {}).unwrap_err(), Draining);
    bare.poll();
    assert!(poll(&mut empty).is_ready());
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 0]);
}

#[test]
fn an_abort_reaches_all_below() {
    let (bare, tasks) = Bare::with_tasks();
    let deep = tasks.group("one").group("two");
    let task = deep.spawn("deep", pending::<()>()).unwrap();
    tasks.abort();
    bare.poll();
    assert!(now(task).is_err());
    now(tasks.empty());
}

#[test]
fn a_group_that_is_made_late_is_as_far_as_its_parent() {
    let (_bare, tasks) = Bare::with_tasks();
    tasks.stop("the test is over");
    let late = tasks.group("late");
    assert!(late.is_stopped());
    assert_eq!(late.watch().reason(), tasks.watch().reason());
    let deadline = now(late.watch().draining());
    assert!(!deadline.has_passed());
    now(late.empty());
}

#[test]
fn a_group_whose_handles_and_tasks_are_gone_is_gone() {
    let (bare, tasks) = Bare::with_tasks();
    let held = Arc::new(());
    for _ in 0..10_000 {
        let group = tasks.group("tenant").keep_ends(1);
        let theirs = held.clone();
        drop(group.spawn("task", async move { drop(theirs) }).unwrap());
        drop(group);
        assert_eq!(tasks.in_flight().total(), Some(1), "a task keeps its group");
        bare.poll();
    }
    assert_eq!((Arc::strong_count(&held), ended(tasks.counts())[0]), (1, 10_000));
    // One that was never stopped, and is gone, is waited for by nobody.
    tasks.stop("the test is over");
    now(tasks.empty());
}

#[test]
fn a_watch_whose_group_is_gone_is_told() {
    let (bare, tasks) = Bare::with_tasks();
    let inner = tasks.group("inner");
    let (watch, woken) = (inner.watch(), Arc::new(Woken::default()));
    drop(inner.spawn("keeps it", pending::<()>()).unwrap());
    drop(inner);
    let mut draining = Box::pin(watch.draining());
    assert!(draining.as_mut().poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    bare.end();
    assert_eq!(woken.times(), 1);
    assert!(poll(&mut draining).is_ready());
    now(watch.claimed());
    assert_eq!(watch.reason().unwrap().to_string(), "requested: the group is gone");
    assert!(!tasks.is_stopped());
}

#[test]
fn a_group_that_is_dropped_lets_its_tasks_go_on() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("goes on", async { 17 }).unwrap();
    drop(tasks);
    bare.poll();
    assert_eq!(now(task), Ok(17));
}

#[test]
fn what_is_in_flight_has_names_and_ages_and_when_asked_for_call_sites() {
    let (_bare, tasks) = Bare::with_tasks();
    let inner = tasks.group("inner");
    for _ in 0..40 {
        drop(inner.spawn("mailer", pending::<()>()).unwrap());
    }
    let line = line!() + 1;
    let last = tasks.task(String::from("last")).spawn(pending::<()>()).unwrap();
    let in_flight = tasks.in_flight();
    assert_eq!((in_flight.total(), in_flight.units().len()), (Some(41), InFlight::NAMED));
    let ages: Vec<_> = in_flight.units().iter().map(|unit| unit.age.unwrap()).collect();
    assert!(ages.is_sorted_by(|one, next| one >= next), "the oldest is first: {ages:?}");
    assert_eq!(last.name(), "last");
    tasks.stop("the test is over");
    drop(inner);
    let tasks = tasks.with_call_sites();
    let named = tasks.in_flight();
    assert!(named.units()[0].name.starts_with(&format!("inner/mailer ({}:", file!())), "{named:?}");
    let (_bare, tasks) = Bare::with_tasks();
    let tasks = tasks.with_call_sites();
    let (here, task) = (line!(), tasks.spawn("last", pending::<()>()));
    assert!(task.is_ok() && here > line);
    assert_eq!(names(&tasks.in_flight()), [format!("last ({}:{here})", file!())]);
}

#[test]
fn a_stop_without_a_shutdown_has_no_end_and_the_first_reason_stands() {
    let (_bare, tasks) = Bare::with_tasks();
    tasks.stop("first");
    tasks.stop("second");
    assert_eq!(tasks.watch().reason().unwrap().to_string(), "requested: first");
    assert!(now(tasks.watch().draining()).remaining() > Duration::from_secs(300 * 24 * 3600));
}

#[test]
fn parts_of_any_length_are_borne() {
    for part in [Duration::ZERO, Duration::MAX] {
        let (bare, tasks) = Bare::with_tasks();
        let tasks = tasks.within(part);
        obedient(&tasks, "task");
        tasks.stop("the test is over");
        bare.poll();
        now(tasks.empty());
        assert_eq!(now(tasks.watch().draining()).has_passed(), part.is_zero());
    }
}
