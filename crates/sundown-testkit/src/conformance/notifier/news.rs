//! What a notifier is told beside the jobs.

use std::pin::pin;

use sundown::{Outcome, Runtime};

use super::{
    Outside,
    accepting::only_taken,
    notifying::Fresh,
    stage::{SLICE, jobs},
};
use crate::conformance::trial::{Checked, OrBroken, Trial, Unmet, require};

pub(super) fn prepare_works_outside_the_services_runtime(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Accepts)?;
    let (notifier, place) = (notifying.notifier.clone(), notifying.runtime.private());
    let mut place = place.or_broken("`private`")?;
    let prepared = trial.off_thread("`prepare`", move || {
        let mut prepared = None;
        place.drive(pin!(async {
            prepared = Some(notifier.prepare().await.map_err(|error| error.to_string()))
        }));
        prepared
    })?;
    prepared
        .ok_or_else(|| Unmet::broken("the place did not drive `prepare` to its end"))?
        .or_broken("`prepare`")
}

pub(super) fn a_refusing_outside_breaks_no_news(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Refuses)?;
    let report = trial.go_down(&notifying, SLICE, jobs(2))?;
    let calls = &report.notifiers[0];
    for (call, outcome) in [("draining", &calls.draining), ("finished", &calls.finished)] {
        require(!matches!(outcome, Outcome::Panicked(_)), || {
            format!("expected `{call}` to return when the outside refuses: it {outcome}")
        })?;
    }
    only_taken(&notifying, &report)
}

pub(super) fn nothing_is_taken_where_nothing_is_offered(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Accepts)?;
    let report = trial.go_down(&notifying, SLICE, jobs(0))?;
    let taken = notifying.taken();
    require(taken.is_empty(), || format!("expected nothing to be taken without a job, saw {taken:?}"))?;
    require(report.is_clean(), || format!("expected a clean report without a job, saw\n{report}"))
}
