//! The wait until nothing is in flight.

use std::{future::poll_fn, pin::pin, sync::mpsc::RecvTimeoutError, task::Poll, time::Duration};

use sundown::Runtime;

use super::stage::{Fresh, ids};
use crate::conformance::trial::{Checked, OrBroken, Trial, require};

pub(super) fn a_drain_with_nothing_in_flight_ends_at_once(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    trial.close(&subject)?;
    trial.wait(&subject.drained()?.over, "`drained` to resolve with nothing in flight")
}

pub(super) fn a_drain_waits_for_all_that_is_in_flight(trial: &Trial<Fresh>) -> Checked {
    // What does not happen has no event. A wrong drain ends well within this, on any but the busiest machine.
    const LOOK: Duration = Duration::from_millis(50);
    let subject = trial.fresh();
    let mut work = subject.works(&ids(3))?;
    trial.close(&subject)?;
    let drained = subject.drained()?;
    for left in (1..=3).rev() {
        let seen = drained.over.recv_timeout(LOOK);
        require(seen == Err(RecvTimeoutError::Timeout), || {
            format!("expected `drained` to wait for {left} pieces of work, it resolved")
        })?;
        work.pop().map(|piece| piece.commit());
    }
    Ok(())
}

pub(super) fn a_drain_ends_with_the_last_piece_of_work(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let work = subject.works(&ids(3))?;
    trial.close(&subject)?;
    let drained = subject.drained()?;
    trial.wait(&drained.pending, "`drained` to be pending while work is in flight")?;
    for piece in work {
        piece.commit();
    }
    trial.wait(&drained.over, "`drained` to be woken by the end of the last piece of work")
}

pub(super) fn a_drain_sees_what_ended_before_it_was_polled(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let (first, second) = (subject.work("first")?, subject.work("second")?);
    first.commit();
    trial.close(&subject)?;
    second.commit();
    trial.wait(&subject.drained()?.over, "`drained` to resolve though all work ended before it was polled")
}

pub(super) fn a_dropped_drain_can_be_asked_again(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let work = subject.work("one")?;
    trial.close(&subject)?;
    let component = subject.component.clone();
    let mut place = subject.runtime.private().or_broken("`private`")?;
    trial.off_thread("a drain that is polled once and dropped", move || {
        let mut drained = component.drained();
        place.drive(pin!(poll_fn(|cx| {
            let _ = drained.as_mut().poll(cx);
            Poll::Ready(())
        })));
    })?;
    let drained = subject.drained()?;
    trial.wait(&drained.pending, "`drained` to be pending while work is in flight")?;
    work.commit();
    trial.wait(&drained.over, "`drained` to resolve the second time it is asked")
}
