//! How a component concludes and ends.

use std::sync::Arc;

use sundown::Outcome;

use super::stage::{Fresh, TakesAll, claimed, ids};
use crate::conformance::{
    bare::block_on,
    trial::{Checked, OrBroken, Trial, require},
};

pub(super) fn conclude_ends_when_nothing_was_taken_over(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _work = subject.works(&ids(3))?;
    let report = trial.finish(subject.shutdown().start().or_broken("a shutdown")?)?;
    ended_well("conclude", &report.components[0].conclude)
}

pub(super) fn conclude_ends_when_everything_was_taken_over(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _work = subject.works(&ids(3))?;
    let shutdown = subject.shutdown().hand_over_to(TakesAll).start().or_broken("a shutdown")?;
    ended_well("conclude", &trial.finish(shutdown)?.components[0].conclude)
}

pub(super) fn force_returns_at_once(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _work = subject.works(&ids(3))?;
    trial.close(&subject)?;
    let component = subject.component.clone();
    trial.at_once("`force` with work in flight", move || component.force())
}

pub(super) fn force_can_come_first_and_again(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let component = subject.component.clone();
    trial.at_once("`force` before everything else, and again", move || {
        component.force();
        component.force();
    })?;
    trial.close(&subject)
}

pub(super) fn a_shutdown_that_drains_is_clean(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let work = subject.works(&ids(3))?;
    let shutdown = subject.shutdown().start().or_broken("a shutdown")?;
    let watch = shutdown.watch();
    shutdown.begin("a rule is checked");
    trial.off_thread("the announcement", move || drop(block_on(watch.draining())))?;
    let committed: Vec<_> = work.into_iter().map(|piece| piece.commit()).collect();
    require(!committed.contains(&false), || {
        "expected work to commit while the component drains, it could not".into()
    })?;
    let report = trial.report(shutdown)?;
    require(report.is_clean(), || format!("expected a clean report, saw\n{report}"))
}

pub(super) fn another_shutdown_finds_nothing(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _work = subject.works(&ids(3))?;
    trial.finish(subject.shutdown().start().or_broken("a shutdown")?)?;
    let again = Arc::clone(&subject.component);
    let shutdown = trial.off_thread("`joined` a second time", {
        let builder = subject.shutdown_of(again);
        move || builder.start().map_err(|error| error.to_string())
    })?;
    let report = trial.finish(shutdown.or_broken("a second shutdown")?)?;
    let component = &report.components[0];
    for (method, outcome) in [
        ("close", &component.closed),
        ("drained", &component.drained),
        ("in_flight", &component.in_flight),
        ("claim", &component.claim),
        ("conclude", &component.conclude),
        ("force", &component.force),
    ] {
        require(!matches!(outcome, Outcome::Panicked(_)), || {
            format!("expected no panic in a second shutdown, `{method}` {outcome}")
        })?;
    }
    let again = claimed(&report);
    require(again.is_empty(), || format!("expected no job in a second shutdown, saw {again:?}"))
}

/// It returned, without a panic.
fn ended_well(method: &str, outcome: &Outcome) -> Checked {
    require(matches!(outcome, Outcome::Done(_)), || {
        format!("expected `{method}` to return in time: it {outcome}")
    })
}
