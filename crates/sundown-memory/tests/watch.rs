//! A watch on made-up groups, and the shutdown that it begins.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but tests

mod tree;

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use sundown::{Jobs, Reason, Report, Shutdown};
use sundown_memory::{MemoryWatch, StartError, Status, Trouble, Watching};
use sundown_tokio::Tokio;
use tokio::runtime::{Builder, Runtime};

use self::tree::Tree;

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 256 * MIB;

/// How long anything is waited for.
const BOUND: Duration = Duration::from_secs(20);

/// A service whose runtime does nothing at all.
struct Service {
    jobs: Jobs<String>,
    shutdown: Shutdown,
    _runtime: Runtime,
}

fn service() -> Service {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone()))
        .component("jobs", jobs.clone())
        .grace(Duration::from_secs(30))
        .start()
        .unwrap();
    Service { jobs, shutdown, _runtime: runtime }
}

/// Whether somebody was in a hurry.
fn was_hurried(report: &Report) -> bool {
    report.steps.iter().any(|step| step.step == "hurried")
}

/// A watch of this tree that sends what it tells. Its thread has ended when the channel is closed.
fn telling(tree: &Tree) -> (MemoryWatch, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let watch = MemoryWatch::at(tree.root()).on_trouble(move |trouble: &Trouble| {
        let _ = tell.send(trouble.to_string());
    });
    (watch, told)
}

fn assert_ended(told: &Receiver<String>) {
    assert_eq!(told.recv_timeout(BOUND), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn near_the_limit_it_begins_and_hurries_while_the_runtime_is_blocked() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let (watch, told) = telling(&tree);
    let watch = watch.start(&service.shutdown).unwrap();
    let group = tree.path("sys/fs/cgroup/service");
    assert_eq!(watch.status().to_string(), format!("memory is limited to 256 MiB by {}", group.display()));

    let _job = service.jobs.begin("image-17", "resize".to_owned()).unwrap();
    tree.set_usage(250 * MIB, 0);
    let report = service.shutdown.finished_blocking();
    assert_eq!(report.reason, Reason::Memory);
    assert!(was_hurried(&report), "nobody waits for the drain: {report}");
    assert_ended(&told);
}

#[test]
fn a_shutdown_that_is_draining_is_hurried() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let _watch = telling(&tree).0.start(&service.shutdown).unwrap();
    let _job = service.jobs.begin("image-17", "resize".to_owned()).unwrap();
    service.shutdown.begin("a deployment");
    tree.set_usage(250 * MIB, 0);
    let report = service.shutdown.finished_blocking();
    assert_eq!(report.reason.to_string(), "requested: a deployment");
    assert!(was_hurried(&report), "{report}");
}

#[test]
fn a_limit_that_is_lowered_below_the_use_is_an_alarm() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let _watch = telling(&tree).0.start(&service.shutdown).unwrap();
    tree.set_limit("104857600");
    service.shutdown.finished_blocking();
}

#[test]
fn a_limit_further_up_is_an_alarm_too() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    tree.write("proc/self/cgroup", "0::/service/worker\n");
    tree.write("sys/fs/cgroup/service/worker/memory.max", "max\n");
    tree.write("sys/fs/cgroup/service/worker/memory.current", "1\n");
    tree.write("sys/fs/cgroup/service/worker/memory.stat", "inactive_file 0\n");
    let watch = telling(&tree).0.start(&service.shutdown).unwrap();
    assert!(matches!(watch.status(), Status::Limited { limit: LIMIT, .. }), "{:?}", watch.status());
    tree.set_usage(250 * MIB, 0);
    service.shutdown.finished_blocking();
}

#[test]
fn it_ends_with_the_shutdown_that_it_did_not_begin() {
    let (service, tree) = (service(), Tree::with_group("max", 0, 0));
    let (watch, told) = telling(&tree);
    let watch = watch.start(&service.shutdown).unwrap();
    assert!(matches!(watch.status(), Status::Unlimited));
    service.shutdown.begin("a test");
    assert_ended(&told);
    drop(watch);
}

#[test]
fn no_alarm_is_raised_after_it_was_dropped() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let (watch, told) = telling(&tree);
    drop(watch.start(&service.shutdown).unwrap());
    tree.set_usage(250 * MIB, 0);
    assert_ended(&told);
    assert!(!service.shutdown.watch().is_draining());
}

#[test]
fn a_shutdown_that_is_over_is_not_watched() {
    let (service, tree) = (service(), Tree::with_group("268435456", 256 * MIB, 0));
    service.shutdown.begin("a test");
    let report = service.shutdown.finished_blocking();
    let (watch, told) = telling(&tree);
    let _watch = watch.start(&service.shutdown).unwrap();
    assert_ended(&told);
    assert_eq!(report.reason.to_string(), "requested: a test");
}

#[test]
fn without_control_groups_it_is_off_and_says_so_once() {
    let (service, tree) = (service(), Tree::new());
    let (watch, told) = telling(&tree);
    let watch = watch.start(&service.shutdown).unwrap();
    let line = told.recv_timeout(BOUND).unwrap();
    assert!(line.contains("proc/self/cgroup cannot be read: No such file"), "{line}");
    assert_eq!(watch.status().to_string(), format!("memory is not watched: {line}"));
    assert!(matches!(watch.status(), Status::Off(Trouble::Unreadable { .. })));
    assert_ended(&told);

    tree.write("proc/self/cgroup", "0::/\n");
    tree.write("proc/self/mountinfo", "");
    let watch = telling(&tree).0.start(&service.shutdown).unwrap();
    assert!(matches!(watch.status(), Status::Off(Trouble::NoGroup)));
}

#[test]
fn a_file_that_becomes_garbage_is_told_of_and_is_no_alarm_and_the_watch_goes_on() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let (watch, told) = telling(&tree);
    let _watch = watch.start(&service.shutdown).unwrap();
    tree.write("sys/fs/cgroup/service/memory.current", "999999999999 (not a number)\n");
    let line = told.recv_timeout(BOUND).unwrap();
    let group = tree.path("sys/fs/cgroup/service");
    let expected = format!("the limit of {} is not seen: memory.current holds no number", group.display());
    assert!(line.starts_with(&expected), "{line}");
    assert!(!service.shutdown.watch().is_draining());
    tree.set_usage(250 * MIB, 0);
    service.shutdown.finished_blocking();
    assert_ended(&told);
}

#[test]
fn who_panics_when_told_does_not_end_the_watch() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let (tell, told) = mpsc::channel();
    let watch = MemoryWatch::at(tree.root()).on_trouble(move |_| {
        let _ = tell.send(());
        panic!("on purpose");
    });
    let _watch = watch.start(&service.shutdown).unwrap();
    tree.write("sys/fs/cgroup/service/memory.current", "");
    assert_eq!(told.recv_timeout(BOUND), Ok(()));
    tree.set_usage(250 * MIB, 0);
    service.shutdown.finished_blocking();
}

#[test]
fn who_is_told_may_drop_the_watch() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let kept = Arc::new(Mutex::new(None));
    let (tell, told) = mpsc::channel();
    let theirs = kept.clone();
    let watch = MemoryWatch::at(tree.root()).on_trouble(move |_| {
        drop(theirs.lock().unwrap().take());
        let _ = tell.send(());
    });
    *kept.lock().unwrap() = Some(watch.start(&service.shutdown).unwrap());
    tree.write("sys/fs/cgroup/service/memory.max", "?");
    assert_eq!(told.recv_timeout(BOUND), Ok(()));
    assert!(kept.lock().unwrap().is_none());
}

/// A watch whose teller has been told of trouble, and does not return before the sender is dropped.
fn held_up(service: &Service, tree: &Tree) -> (Watching, mpsc::Sender<()>) {
    let ((release, held), (tell, told)) = (mpsc::channel::<()>(), mpsc::channel());
    let held = Mutex::new(held);
    let watch = MemoryWatch::at(tree.root()).on_trouble(move |_| {
        let _ = tell.send(());
        let _ = held.lock().unwrap().recv();
    });
    let watch = watch.start(&service.shutdown).unwrap();
    tree.write("sys/fs/cgroup/service/memory.current", "");
    assert_eq!(told.recv_timeout(BOUND), Ok(()));
    (watch, release)
}

#[test]
fn who_never_returns_when_told_does_not_hold_up_the_drop() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let (watch, _release) = held_up(&service, &tree);
    let (done, dropped) = mpsc::channel();
    thread::spawn(move || {
        drop(watch);
        let _ = done.send(());
    });
    assert_eq!(dropped.recv_timeout(BOUND), Ok(()));
}

#[test]
fn who_never_returns_when_told_does_not_hold_up_the_alarm() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    let (_watch, _release) = held_up(&service, &tree);
    tree.set_usage(250 * MIB, 0);
    let (send, report) = mpsc::channel();
    thread::spawn(move || send.send(service.shutdown.finished_blocking().reason));
    assert_eq!(report.recv_timeout(BOUND), Ok(Reason::Memory));
}

#[test]
fn what_cannot_work_is_refused_with_the_number() {
    let (service, tree) = (service(), Tree::with_group("268435456", 200 * MIB, 0));
    for percent in [0, 101] {
        let refused = MemoryWatch::at(tree.root()).full_at(percent).start(&service.shutdown);
        let expected = format!("a memory limit that is full at {percent} % makes no sense: 1 to 100 do");
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
    let refused = MemoryWatch::at(tree.root()).ballast(usize::MAX / 2).start(&service.shutdown);
    assert!(matches!(refused, Err(StartError::Ballast { .. })), "{refused:?}");
    let without = MemoryWatch::at(tree.root()).ballast(0).start(&service.shutdown);
    assert!(without.is_ok());
}
