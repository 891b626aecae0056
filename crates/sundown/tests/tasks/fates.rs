//! Every end of a task is counted once, and known to whoever waits.

use std::{
    future::{Future, pending, ready},
    panic::panic_any,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use sundown::{JoinError, Tasks};

use crate::bare::{Bare, Woken, ended, now, poll};

const ABORTED: [u64; 4] = [0, 0, 0, 1];
const PANICKED: [u64; 4] = [0, 0, 1, 0];

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on purpose, when dropped");
        }
    }
}

/// Holds something until it is dropped, and ends with the output, if there is one.
struct Holds<T>(Option<T>, #[allow(dead_code, reason = "it is kept for its destructor")] Bomb);

impl<T: Unpin> Future for Holds<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        self.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

#[test]
fn a_task_that_returns_has_completed() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("seventeen", async { 17 }).unwrap();
    assert_eq!((tasks.counts().running, task.is_finished()), (1, false));
    bare.poll();
    assert!(task.is_finished());
    assert_eq!(now(task), Ok(17));
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 0]);
}

#[test]
fn a_task_that_returns_an_error_has_failed_and_its_handle_has_the_error() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.try_spawn("fails", ready(Err::<(), _>("no such table"))).unwrap();
    bare.poll();
    assert_eq!(now(task), Ok(Err("no such table")));
    assert_eq!(ended(tasks.counts()), [0, 1, 0, 0]);
}

#[test]
fn a_result_that_is_spawned_as_it_is_is_a_value() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("returns", ready(Err::<(), _>("no such table"))).unwrap();
    bare.poll();
    assert_eq!(now(task), Ok(Err("no such table")));
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 0]);
}

#[test]
fn a_panic_is_told_and_goes_no_further() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("panics", async { panic!("on purpose, {}", 17) }).unwrap();
    bare.poll();
    assert_eq!(now(task), Err::<(), _>(JoinError::Panicked("on purpose, 17".into())));
    assert_eq!(ended(tasks.counts()), PANICKED);
}

#[test]
fn what_was_thrown_may_throw_again() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("throws", async { panic_any(Bomb) }).unwrap();
    bare.poll();
    assert_eq!(now(task), Err::<(), _>(JoinError::Panicked("no message".into())));
    assert_eq!(ended(tasks.counts()), PANICKED);
}

#[test]
fn an_error_whose_text_panics_is_a_panic() {
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.try_spawn("fails", ready(Err::<(), _>(Mute))).unwrap();
    bare.poll();
    assert_eq!(now(task).err(), Some(JoinError::Panicked("no words".into())));
    assert_eq!(ended(tasks.counts()), PANICKED);
}

#[test]
fn a_task_that_is_aborted_before_its_first_poll_never_runs() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("never", async { panic!("it runs") }).unwrap();
    task.abort();
    bare.poll();
    assert_eq!(now(task), Err::<(), _>(JoinError::Aborted));
    assert_eq!(ended(tasks.counts()), ABORTED);
}

#[test]
fn a_task_that_is_aborted_while_it_runs_is_woken_and_dropped_by_whoever_polls_it() {
    let (bare, tasks) = Bare::with_tasks();
    let (held, woken) = (Arc::new(()), Arc::new(Woken::default()));
    let theirs = held.clone();
    let task = tasks.spawn("runs", async move { (pending::<()>().await, theirs).0 }).unwrap();
    bare.poll_by(&woken.clone().into());
    task.abort_handle().abort();
    assert_eq!((woken.times(), Arc::strong_count(&held)), (1, 2));
    bare.poll();
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(now(task), Err(JoinError::Aborted));
    assert_eq!(ended(tasks.counts()), ABORTED);
}

#[test]
fn a_task_that_aborts_itself_ends_at_its_next_suspension() {
    let (bare, tasks) = Bare::with_tasks();
    let theirs = tasks.clone();
    let task = tasks.spawn("aborts all", async move {
        theirs.abort();
        pending::<()>().await;
    });
    bare.poll();
    assert_eq!(now(task.unwrap()), Err(JoinError::Aborted));
    assert_eq!(ended(tasks.counts()), ABORTED);
}

#[test]
fn a_task_that_ends_though_it_was_aborted_has_ended_as_it_did() {
    let (bare, tasks) = Bare::with_tasks();
    let theirs = tasks.clone();
    let task = tasks.spawn("aborts all", async move { theirs.abort() }).unwrap();
    bare.poll();
    assert_eq!(now(task), Ok(()));
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 0]);
}

#[test]
fn an_abort_after_the_end_changes_nothing() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("ends", async { 17 }).unwrap();
    bare.poll();
    task.abort();
    tasks.abort();
    assert_eq!(now(task), Ok(17));
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 0]);
}

#[test]
fn tasks_that_go_with_their_runtime_are_aborted_polled_or_not() {
    let (bare, tasks) = Bare::with_tasks();
    let polled = tasks.spawn("polled", pending::<()>()).unwrap();
    bare.poll();
    let fresh = tasks.spawn("fresh", pending::<()>()).unwrap();
    bare.end();
    assert_eq!((now(polled), now(fresh)), (Err(JoinError::Aborted), Err(JoinError::Aborted)));
    assert_eq!(ended(tasks.counts()), [0, 0, 0, 2]);
}

#[test]
fn a_tracked_future_is_in_flight_until_it_resolves_or_is_dropped() {
    let (_, tasks) = Bare::with_tasks();
    let unspawned = tasks.track("unspawned", pending::<()>()).unwrap();
    let mut resolves = Box::pin(tasks.track("resolves", ready(17)).unwrap());
    assert_eq!(tasks.counts().running, 2);
    drop(unspawned);
    assert_eq!(poll(&mut resolves), Poll::Ready(Ok(17)));
    // It is there, and it has ended.
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 1]);
    tasks.stop("the test is over");
    now(tasks.empty());
    drop(resolves);
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 1]);
}

#[test]
fn a_tracked_future_need_not_be_send_and_passes_its_panic_on_as_an_error() {
    let (_, tasks) = Bare::with_tasks();
    let rc = std::rc::Rc::new(17);
    assert_eq!(now(tasks.track("local", async move { rc }).unwrap()).as_deref(), Ok(&17));
    let panics = tasks.track("panics", async { panic!("on purpose") }).unwrap();
    assert_eq!(now(panics), Err::<(), _>(JoinError::Panicked("on purpose".into())));
    let fails = tasks.task("fails").try_track(ready(Err::<(), _>("no such table"))).unwrap();
    assert_eq!(now(fails), Ok(Err("no such table")));
    assert_eq!(ended(tasks.counts()), [1, 1, 1, 0]);
}

/// How the tasks of a group ended, one of which panics when it is dropped.
fn with_a_bomb(end: impl Fn(&Bare, &Tasks)) -> ([u64; 4], Result<u8, JoinError>) {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("bomb", Holds::<u8>(None, Bomb)).unwrap();
    bare.poll();
    end(&bare, &tasks);
    tasks.stop("the test is over");
    now(tasks.empty());
    (ended(tasks.counts()), now(task))
}

#[test]
fn a_task_whose_drop_panics_has_panicked_whoever_drops_it() {
    let message = || Err(JoinError::Panicked("on purpose, when dropped".into()));
    let aborted = with_a_bomb(|bare, tasks| {
        tasks.abort();
        bare.poll();
    });
    assert_eq!(aborted, (PANICKED, message()));
    assert_eq!(with_a_bomb(|bare, _| bare.end()), (PANICKED, message()));
}

#[test]
fn a_task_that_returns_and_whose_drop_panics_has_panicked() {
    let (bare, tasks) = Bare::with_tasks();
    let task = tasks.spawn("bomb", Holds(Some(17), Bomb)).unwrap();
    bare.poll();
    assert_eq!(now(task), Err(JoinError::Panicked("on purpose, when dropped".into())));
    assert_eq!(ended(tasks.counts()), PANICKED);
}

#[test]
fn an_output_that_nobody_wants_is_dropped_by_its_task_and_may_panic() {
    let (bare, tasks) = Bare::with_tasks();
    drop(tasks.spawn("bomb", async { Bomb }).unwrap());
    bare.poll();
    assert_eq!(ended(tasks.counts()), [1, 0, 0, 0]);
}

#[test]
fn a_dropped_handle_leaves_its_task_running_and_takes_the_output_with_it() {
    let (bare, tasks) = Bare::with_tasks();
    let output = Arc::new(());
    let theirs = output.clone();
    let ends_first = tasks.spawn("ends first", ready(output.clone())).unwrap();
    drop(tasks.spawn("goes on", async move { theirs }).unwrap());
    bare.poll();
    assert_eq!(ended(tasks.counts()), [2, 0, 0, 0]);
    assert_eq!(Arc::strong_count(&output), 2);
    drop(ends_first);
    assert_eq!(Arc::strong_count(&output), 1);
}

#[test]
fn a_handle_that_is_polled_by_several_wakes_the_last_and_keeps_one_waker() {
    let (bare, tasks) = Bare::with_tasks();
    let mut task = tasks.spawn("ends", async { 17 }).unwrap();
    let wakers = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    for woken in &wakers {
        let waker = Waker::from(woken.clone());
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    // The first is forgotten: it is ours alone.
    assert_eq!((Arc::strong_count(&wakers[0]), Arc::strong_count(&wakers[1])), (1, 2));
    bare.poll();
    assert_eq!((wakers[0].times(), wakers[1].times()), (0, 1));
    assert_eq!((poll(&mut task), Arc::strong_count(&wakers[1])), (Poll::Ready(Ok(17)), 1));
}

#[test]
fn a_handle_that_is_given_up_forgets_whom_to_wake() {
    let (_bare, tasks) = Bare::with_tasks();
    let woken = Arc::new(Woken::default());
    let mut task = tasks.spawn("runs", pending::<()>()).unwrap();
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    drop(task);
    assert_eq!(Arc::strong_count(&woken), 1);
}

/// What a task does that is woken inline: it asks the group, and what it waits for, again.
struct Reenter(Tasks, Woken);

impl Wake for Reenter {
    fn wake(self: Arc<Self>) {
        assert!(self.0.is_stopped());
        self.0.abort();
        let _ = self.0.in_flight();
        drop(self.0.group("made while woken"));
        let _ = self.0.spawn("refused", async {}).unwrap_err();
        let mut empty = Box::pin(self.0.empty());
        let _ = poll(&mut empty);
        Arc::new(Woken::default()).wake();
        self.1.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn wakers_may_come_back_into_the_group() {
    let (bare, tasks) = Bare::with_tasks();
    let reenter = Arc::new(Reenter(tasks.clone(), Woken::default()));
    let waker = Waker::from(reenter.clone());
    let cx = &mut Context::from_waker(&waker);
    // A task that waits for its stop, somebody who waits for the task, and somebody who waits for the group.
    let watch = tasks.watch();
    let mut task = tasks.spawn("waits", async move { drop(watch.draining().await) }).unwrap();
    bare.poll_by(&waker);
    let mut empty = Box::pin(tasks.empty());
    assert!(Pin::new(&mut task).poll(cx).is_pending() && empty.as_mut().poll(cx).is_pending());
    tasks.stop("the test is over");
    assert!(reenter.1.times() >= 1, "the task is woken by its stop");
    bare.poll();
    assert!(reenter.1.times() >= 3, "so is who waits for it, and for the group");
    assert!(poll(&mut task).is_ready() && poll(&mut empty).is_ready());
}

#[test]
fn a_waker_that_panics_keeps_nobody_waiting() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let (bare, tasks) = Bare::with_tasks();
    let panics = Waker::from(Arc::new(Panics));
    let mut tasks_of_both = ["first", "second"].map(|name| tasks.spawn(name, pending::<()>()).unwrap());
    let mut empty = Box::pin(tasks.empty());
    bare.poll_by(&panics);
    for task in &mut tasks_of_both {
        assert!(Pin::new(task).poll(&mut Context::from_waker(&panics)).is_pending());
    }
    assert!(empty.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
    tasks.abort();
    bare.poll();
    assert!(poll(&mut empty).is_ready());
    assert_eq!(tasks_of_both.map(now), [Err(JoinError::Aborted), Err(JoinError::Aborted)]);
}

#[test]
fn a_million_short_tasks_leave_nothing_behind() {
    let (bare, tasks) = Bare::with_tasks();
    let held = Arc::new(());
    for n in 0..1_000_000_u32 {
        let theirs = held.clone();
        let task = tasks.spawn("short", async move { drop(theirs) }).unwrap();
        match n % 3 {
            0 => bare.poll(),
            1 => bare.end(),
            _ => {
                task.abort();
                bare.poll();
            }
        }
    }
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(ended(tasks.counts()), [333_334, 0, 0, 666_666]);
    assert_eq!(tasks.in_flight().total(), Some(0));
    tasks.stop("the test is over");
    now(tasks.empty());
}
