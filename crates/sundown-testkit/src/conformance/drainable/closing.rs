//! No more work, and how much there is.

use super::stage::{Fresh, ids};
use crate::conformance::trial::{Checked, Trial, require};

pub(super) fn close_returns_at_once(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _work = subject.work("one")?;
    trial.close(&subject)
}

pub(super) fn close_can_be_repeated(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    trial.close(&subject)?;
    trial.close(&subject)
}

pub(super) fn no_work_begins_after_the_close(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _before = subject.work("before")?;
    trial.close(&subject)?;
    if subject.lame_duck {
        trial.wait(&subject.drained()?.pending, "`drained` to be pending while work is in flight")?;
    }
    let begin = subject.begin.clone();
    let begun = trial.off_thread("to begin work after `close`", move || begin("after").is_some())?;
    require(!begun, || "expected work to be refused after `close`, it began".into())
}

pub(super) fn in_flight_counts_what_has_begun(trial: &Trial<Fresh>) -> Checked {
    const COUNT: usize = 40;
    let subject = trial.fresh();
    let _work = subject.works(&ids(COUNT))?;
    let component = subject.component.clone();
    let in_flight = trial.at_once("`in_flight`", move || component.in_flight())?;
    let Some(total) = in_flight.total() else { return Ok(()) };
    require(total == COUNT, || format!("expected {COUNT} in flight, or unknown, saw {total}"))
}

pub(super) fn in_flight_is_zero_with_nothing(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let component = subject.component.clone();
    let in_flight = trial.at_once("`in_flight`", move || component.in_flight())?;
    let Some(total) = in_flight.total() else { return Ok(()) };
    require(total == 0, || format!("expected nothing in flight, or unknown, saw {total}"))?;
    drop(subject.works(&ids(3))?);
    trial.close(&subject)?;
    // The end of work may take its time: a response is still sent, say.
    trial.wait(&subject.drained()?.over, "the end of the drain after the work has ended")?;
    let total = subject.component.in_flight().total();
    require(total == Some(0), || format!("expected nothing in flight after the drain, saw {total:?}"))
}
