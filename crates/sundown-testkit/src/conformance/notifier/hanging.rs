//! An outside that says nothing, and a call that is given up.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    task::{Context, Waker},
};

use sundown::{HandOver, Notifier, NotifyError, Outcome, panic_message};

use super::{
    Outside,
    accepting::{as_taken, only_taken},
    notifying::Fresh,
    stage::{SHORT, jobs},
};
use crate::conformance::trial::{Checked, OrBroken, Trial, require};

pub(super) fn a_hanging_outside_does_not_hold_the_call_past_its_deadline(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Hangs)?;
    let report = trial.go_down(&notifying, SHORT, jobs(3))?;
    let outcome = &report.notifiers[0].incomplete;
    require(matches!(outcome, Outcome::Done(_) | Outcome::Failed(_)), || {
        format!(
            "expected `incomplete` to return by its deadline, {SHORT:?} after its beginning: it {outcome}"
        )
    })
}

pub(super) fn nothing_is_acknowledged_while_the_outside_hangs(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Hangs)?;
    let report = trial.go_down(&notifying, SHORT, jobs(3))?;
    only_taken(&notifying, &report)
}

pub(super) fn what_was_accepted_before_a_hang_counts(trial: &Trial<Fresh>) -> Checked {
    const PART: usize = 2;
    let notifying = trial.fresh(Outside::HangsAfter(PART))?;
    let report = trial.go_down(&notifying, SHORT, jobs(5))?;
    let taken = notifying.taken().len();
    require(taken == PART, || {
        format!("expected the outside to accept {PART} jobs and hang, it says {taken}")
    })?;
    as_taken(&notifying, &report)
}

pub(super) fn a_dropped_call_does_not_panic(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Hangs)?;
    let (tell, dropped) = channel();
    let dropping = Dropping(notifying.notifier.clone(), tell);
    let report = trial.go_down_to(dropping, &notifying, SHORT, jobs(3))?;
    let dropped = trial.wait(&dropped, "`incomplete` to be dropped where it waits")?;
    dropped.or_broken("dropping `incomplete` where it waits")?;
    only_taken(&notifying, &report)
}

/// Gives the call up where it first waits, and tells what it panicked with.
struct Dropping(Arc<dyn Notifier>, Sender<Result<(), String>>);

#[sundown::async_trait]
impl Notifier for Dropping {
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.0.prepare().await
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            let mut call = self.0.incomplete(hand_over);
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }));
        let _ = self.1.send(dropped.map_err(|panic| format!("it panicked: {}", panic_message(panic))));
        Ok(())
    }
}
