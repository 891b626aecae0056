//! What the outside says, and what may be acknowledged then.

use std::collections::BTreeSet;

use sundown::{Outcome, Report};

use super::{
    Notifying, Outside,
    notifying::Fresh,
    stage::{SLICE, acknowledged, jobs},
};
use crate::conformance::trial::{Checked, Trial, require};

pub(super) fn everything_accepted_is_acknowledged(trial: &Trial<Fresh>) -> Checked {
    const COUNT: usize = 20;
    let notifying = trial.fresh(Outside::Accepts)?;
    let report = trial.go_down(&notifying, SLICE, jobs(COUNT))?;
    as_taken(&notifying, &report)?;
    let count = acknowledged(&report).len();
    require(count == COUNT, || {
        format!("expected all {COUNT} jobs to be acknowledged, saw {count}:\n{report}")
    })?;
    let outcome = &report.notifiers[0].incomplete;
    require(matches!(outcome, Outcome::Done(_)), || format!("expected `incomplete` to succeed: it {outcome}"))
}

/// What was acknowledged is what the outside has taken.
pub(super) fn as_taken(notifying: &Notifying, report: &Report) -> Checked {
    only_taken(notifying, report)?;
    let (taken, acknowledged) = (notifying.taken(), acknowledged(report));
    let forgotten = taken.difference(&acknowledged).count();
    require(forgotten == 0, || {
        format!(
            "expected what the outside accepted to be acknowledged, saw {forgotten} that are not:\n{report}"
        )
    })
}

/// What was acknowledged the outside has taken.
pub(super) fn only_taken(notifying: &Notifying, report: &Report) -> Checked {
    let (taken, acknowledged) = (notifying.taken(), acknowledged(report));
    let unknown: BTreeSet<_> = acknowledged.difference(&taken).collect();
    require(unknown.is_empty(), || {
        let count = unknown.len();
        format!("expected only what the outside accepted to be acknowledged, saw {count} besides:\n{report}")
    })
}

pub(super) fn nothing_refused_is_acknowledged(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Refuses)?;
    let report = trial.go_down(&notifying, SLICE, jobs(5))?;
    only_taken(&notifying, &report)
}

pub(super) fn a_refusal_is_an_error_of_the_call(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Refuses)?;
    let report = trial.go_down(&notifying, SLICE, jobs(5))?;
    let outcome = &report.notifiers[0].incomplete;
    require(matches!(outcome, Outcome::Failed(_)), || {
        format!("expected `incomplete` to fail when the outside refuses: it {outcome}")
    })
}

pub(super) fn a_part_accepted_is_acknowledged_to_the_job(trial: &Trial<Fresh>) -> Checked {
    const PART: usize = 3;
    let notifying = trial.fresh(Outside::AcceptsOnly(PART))?;
    let report = trial.go_down(&notifying, SLICE, jobs(8))?;
    let taken = notifying.taken().len();
    require(taken == PART, || format!("expected the outside to accept {PART} of 8 jobs, it says {taken}"))?;
    as_taken(&notifying, &report)
}
