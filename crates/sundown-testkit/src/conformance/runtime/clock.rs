//! Time: the clock, and timers wherever they are polled.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use super::{Start, stage::drive};
use crate::conformance::trial::{Checked, Trial, Unmet, require};

const SHORT: Duration = Duration::from_millis(30);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

type Timer = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

pub(super) fn now_never_goes_back(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let samples = move || {
        let mut before = runtime.now();
        for _ in 0..1000 {
            let now = runtime.now();
            require(now >= before, || {
                format!("expected later moments, saw one {:?} before the last", before - now)
            })?;
            before = now;
        }
        Ok(())
    };
    samples.clone()()?;
    stage.run("a task that reads the clock", async move { samples() })?
}

pub(super) fn now_follows_real_time(trial: &Trial<Start>) -> Checked {
    // Between two readings of ours, whatever the machine does meanwhile.
    const ROOM: Duration = Duration::from_millis(5);
    let stage = trial.stage();
    let runtime = stage.runtime();
    for _ in 0..3 {
        let before = Instant::now();
        let now = runtime.now();
        let after = Instant::now();
        require(now + ROOM >= before && now <= after + ROOM, || {
            format!("expected the system's monotonic time, saw {}", apart(now, before, after))
        })?;
        // Time must pass for this: there is no event to wait for.
        thread::sleep(SHORT);
    }
    Ok(())
}

fn apart(now: Instant, before: Instant, after: Instant) -> String {
    match before.checked_duration_since(now) {
        Some(late) => format!("a moment {late:?} in the past"),
        None => format!("a moment {:?} ahead", now.saturating_duration_since(after)),
    }
}

pub(super) fn a_timer_does_not_resolve_before_its_time(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let at = Instant::now() + SHORT;
    let early = |resolved: Instant| {
        require(resolved >= at, || {
            format!("expected the timer at its time, it came {:?} early", at - resolved)
        })
    };
    let timer = runtime.sleep_until(at);
    early(stage.run("a timer in a task", async move { resolved(timer).await })?)?;
    let at = Instant::now() + SHORT;
    let (timer, mut place) = (runtime.sleep_until(at), stage.place()?);
    let when = trial.off_thread("a timer in a place", move || drive(&mut *place, resolved(timer)))?;
    when.map_or(Ok(()), |when| {
        require(when >= at, || format!("expected the timer at its time, it came {:?} early", at - when))
    })
}

async fn resolved(timer: Timer) -> Instant {
    timer.await;
    Instant::now()
}

pub(super) fn a_timer_resolves_when_its_time_has_come(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let timer = runtime.sleep_until(Instant::now() + SHORT);
    stage.run("a timer of 30 ms in a task", timer)?;
    let (timer, mut place) = (runtime.sleep_until(Instant::now() + SHORT), stage.place()?);
    trial.off_thread("a timer of 30 ms in a place", move || place.drive(std::pin::pin!(timer)))
}

pub(super) fn a_moment_that_has_passed_resolves_at_once(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let now = Instant::now();
    let long_ago = now.checked_sub(Duration::from_secs(3600)).unwrap_or(now);
    for past in [now, long_ago] {
        stage.run("a timer for the past, in a task", runtime.sleep_until(past))?;
        let (timer, mut place) = (runtime.sleep_until(past), stage.place()?);
        trial.off_thread("a timer for the past, in a place", move || place.drive(std::pin::pin!(timer)))?;
    }
    Ok(())
}

pub(super) fn a_timer_of_a_year_stays_pending(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let long = runtime.sleep_until(Instant::now() + YEAR);
    let short = runtime.sleep_until(Instant::now() + SHORT);
    let early = stage.run("a short timer beside one of a year", first(long, short))?;
    require(!early, || "expected a timer of a year to stay pending, it resolved".into())
}

/// Whether the first ends before the second.
async fn first(mut one: Timer, mut other: Timer) -> bool {
    poll_fn(|cx| match (one.as_mut().poll(cx), other.as_mut().poll(cx)) {
        (Poll::Ready(()), _) => Poll::Ready(true),
        (_, other) => other.map(|()| false),
    })
    .await
}

pub(super) fn a_timer_can_be_dropped_unfinished(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let far = || runtime.sleep_until(Instant::now() + YEAR);
    let never_polled = far();
    trial.off_thread("dropping a timer that was never polled", move || drop(never_polled))?;
    let in_task = far();
    let polled = stage.run("a task that polls a timer", polled_once(in_task))?;
    trial.off_thread("dropping a task's timer on another thread", move || drop(polled))?;
    let (in_place, mut place) = (far(), stage.place()?);
    trial.off_thread("dropping a timer in a place, and then the place", move || {
        drop(drive(&mut *place, polled_once(in_place)));
    })
}

async fn polled_once(mut timer: Timer) -> Timer {
    poll_fn(|cx| {
        let _ = timer.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    timer
}

pub(super) fn a_timer_taken_up_by_another_task_wakes_that_one(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    // Long enough for the first task to find it pending.
    let timer = stage.runtime().sleep_until(Instant::now() + SHORT * 10);
    let polled = stage.run("a task that polls a timer and ends", polled_once(timer))?;
    stage.run("the task that polled a timer last to be woken by it", polled)
}

pub(super) fn a_timer_polled_in_a_place_runs_while_the_runtime_is_blocked(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let mut place = stage.place()?;
    let blocked = stage.block()?;
    let timer = runtime.sleep_until(Instant::now() + SHORT);
    let ended = trial.off_thread("a timer in a place, beside a blocked runtime,", move || {
        drive(&mut *place, timer).is_some()
    })?;
    if !ended {
        return Err(Unmet::broken("expected the place to drive a timer to its end, it returned before"));
    }
    blocked.held()
}
