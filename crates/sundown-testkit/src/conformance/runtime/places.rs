//! Private places: where a shutdown runs what it must run itself.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc::channel,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use super::{Start, stage::drive};
use crate::conformance::{
    flag::wakeable,
    trial::{Checked, OrBroken, Trial, require},
};

pub(super) fn a_place_drives_on_the_calling_thread(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let mut place = stage.place()?;
    let (caller, driven) = trial.off_thread("a place", move || {
        let driven = drive(&mut *place, async { thread::current().id() });
        (thread::current().id(), driven)
    })?;
    require(driven.is_none_or(|driven| driven == caller), || {
        "expected the future to be polled on the thread that called `drive`, it was on another".into()
    })
}

pub(super) fn a_place_drives_a_future_to_its_end(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (mut place, runtime) = (stage.place()?, stage.runtime());
    let driven = trial.off_thread("a place", move || {
        drive(&mut *place, async move {
            for _ in 0..3 {
                runtime.sleep_until(Instant::now() + Duration::from_millis(5)).await;
            }
        })
    })?;
    require(driven.is_some(), || "expected `drive` to return at the future's end, it returned before".into())
}

pub(super) fn a_wake_from_another_thread_reaches_a_place(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let mut place = stage.place()?;
    let (go, going) = wakeable();
    let (polled, was_polled) = channel();
    let (tell, ended) = channel();
    thread::spawn(move || {
        drive(&mut *place, async move {
            going.telling(polled).await;
            let _ = tell.send(());
        });
    });
    trial.wait(&was_polled, "a future to be polled in a place")?;
    go.wake();
    trial.wait(&ended, "a future in a place to be woken by another thread")
}

pub(super) fn many_places_work_side_by_side(trial: &Trial<Start>) -> Checked {
    const PLACES: usize = 8;
    let stage = trial.stage();
    let (go, going) = wakeable();
    let ((polled, was_polled), (tell, ended)) = (channel(), channel());
    for _ in 0..PLACES {
        let (mut place, going) = (stage.place()?, going.clone());
        let (polled, tell) = (polled.clone(), tell.clone());
        thread::spawn(move || {
            drive(&mut *place, going.telling(polled));
            let _ = tell.send(());
        });
    }
    for _ in 0..PLACES {
        trial.wait(&was_polled, "each of 8 places to poll its future while the others wait")?;
    }
    go.wake();
    for _ in 0..PLACES {
        trial.wait(&ended, "each of 8 places to drive its future to its end")?;
    }
    Ok(())
}

pub(super) fn a_place_can_be_used_again(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (mut place, runtime) = (stage.place()?, stage.runtime());
    let again = trial.off_thread("a place that is used twice", move || {
        // What an errand leaves behind when it is cancelled.
        let mut left = runtime.sleep_until(Instant::now() + Duration::from_secs(3600));
        drive(
            &mut *place,
            poll_fn(|cx| {
                let _ = left.as_mut().poll(cx);
                Poll::Ready(())
            }),
        )?;
        let soon = runtime.sleep_until(Instant::now() + Duration::from_millis(5));
        drive(&mut *place, soon)
    })?;
    require(again.is_some(), || "expected a place to drive a second future to its end, it did not".into())
}

pub(super) fn a_panic_in_a_place_reaches_its_caller(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (mut broken, mut other) = (stage.place()?, stage.place()?);
    let unwound = trial.off_thread("a place whose future panics", move || {
        // Without the hook, which would print it.
        let panics = async { resume_unwind(Box::new("a future's panic, on purpose")) };
        let unwound = catch_unwind(AssertUnwindSafe(|| drive::<()>(&mut *broken, panics))).is_err();
        // What a shutdown does with a place that a panic broke.
        drop(broken);
        unwound
    })?;
    require(unwound, || "expected the future's panic to unwind out of `drive`, which returned".into())?;
    let driven = trial.off_thread("another place after that", move || drive(&mut *other, async {}))?;
    require(driven.is_some(), || "expected another place to go on after that, it did not".into())
}

pub(super) fn a_place_can_be_made_and_dropped_inside_a_task(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let made_outside = stage.place()?;
    let inside = async move {
        drop(made_outside);
        runtime.private().map(drop).map_err(|error| error.to_string())
    };
    stage.run("a task that makes a place and drops it", inside)?.or_broken("`private` inside a task")
}

pub(super) fn a_place_works_while_the_runtime_is_blocked(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let made_before = stage.place()?;
    let blocked = stage.block()?;
    let runtime = stage.runtime();
    let made_now = trial.off_thread("`private` beside a blocked runtime", move || runtime.private())?;
    let made_now = made_now.or_broken("`private` beside a blocked runtime")?;
    for mut place in [made_before, made_now] {
        let (go, going) = wakeable();
        let driven = trial.off_thread("a place beside a blocked runtime", move || {
            thread::spawn(move || go.wake());
            drive(&mut *place, going)
        })?;
        require(driven.is_some(), || "expected a place to drive a future to its end, it did not".into())?;
    }
    blocked.held()
}
