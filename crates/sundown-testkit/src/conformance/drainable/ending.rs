//! How a component concludes and ends.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sundown::{Claims, Deadline, Drainable, Gate, Guard, InFlight, Outcome, Overdue, Receipt, Watch};

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

pub(super) fn who_is_forced_before_the_others_concludes_with_them(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let _work = subject.works(&ids(3))?;
    let others = Gate::new();
    let guard = Mutex::new(Some(others.enter().or_broken("to enter a gate")?));
    let frees = FreesOthers { component: subject.component.clone(), guard };
    // The others drain until it has been forced.
    let builder = subject.shutdown_of(frees).within(Duration::from_nanos(1), Overdue::Force);
    let builder = builder.component("others", others).hand_over_to(TakesAll);
    let shutdown = builder.start().or_broken("a shutdown")?;
    shutdown.begin("a rule is checked");
    let report = trial.report(shutdown)?;
    ended_well("force", &report.components[0].force)?;
    ended_well("conclude", &report.components[0].conclude)?;
    let claimed = claimed(&report);
    let all = if subject.named { ids(3) } else { Vec::new() };
    require(claimed == all, || format!("expected {all:?} to be claimed before `force`, saw {claimed:?}"))
}

/// The component, which lets the last one out of another's gate when it has been forced.
struct FreesOthers {
    component: Arc<dyn Drainable>,
    guard: Mutex<Option<Guard>>,
}

#[sundown::async_trait]
impl Drainable for FreesOthers {
    fn joined(&self, watch: &Watch) {
        self.component.joined(watch);
    }

    fn close(&self, deadline: &Deadline) {
        self.component.close(deadline);
    }

    async fn drained(&self) {
        self.component.drained().await;
    }

    fn in_flight(&self) -> InFlight {
        self.component.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.component.claim(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.component.conclude(receipt).await;
    }

    fn force(&self) {
        self.component.force();
        drop(self.guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
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
