//! A shutdown with jobs in flight, which the notifier is to take over.

use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

use serde::Serialize;
use sundown::{HandOver, Jobs, Notice, Notifier, NotifyError, Report, Reserve, Shutdown};

use super::{Notifying, Outside, notifying::Fresh};
use crate::conformance::trial::{Checked, OrBroken, Trial, Unmet};

/// What a hand-over may take.
pub(super) const SLICE: Duration = Duration::from_secs(5);

/// The same, where it is used up.
pub(super) const SHORT: Duration = Duration::from_millis(700);

/// More than all the parts that a rule sets.
const GRACE: Duration = Duration::from_secs(60);

impl Trial<Fresh> {
    pub(super) fn fresh(&self, outside: Outside) -> Checked<Notifying> {
        let fresh = (*self.subject)(outside);
        fresh.ok_or_else(|| Unmet::skipped(format!("its outside cannot be told to do this: {outside:?}")))
    }

    /// Goes down with these jobs in flight.
    pub(super) fn go_down<P: Serialize + Send + Sync + 'static>(
        &self,
        notifying: &Notifying,
        slice: Duration,
        jobs: Vec<(String, P)>,
    ) -> Checked<Report> {
        self.go_down_to(Lending(notifying.notifier.clone()), notifying, slice, jobs)
    }

    /// The same, with something in the notifier's place.
    pub(super) fn go_down_to<P: Serialize + Send + Sync + 'static>(
        &self,
        notifier: impl Notifier,
        notifying: &Notifying,
        slice: Duration,
        in_flight: Vec<(String, P)>,
    ) -> Checked<Report> {
        let jobs = Jobs::new();
        let shutdown = Shutdown::embedded(notifying.runtime.clone())
            .component("jobs", jobs.clone())
            .hand_over_to(notifier)
            .grace(GRACE)
            .reserve(Reserve::HandOver, slice)
            .start()
            .or_broken("`start`")?;
        let begin = |(id, payload)| jobs.begin::<String>(id, payload).or_broken("to begin a job");
        let _work = in_flight.into_iter().map(begin).collect::<Checked<Vec<_>>>()?;
        shutdown.begin("a rule is checked");
        shutdown.hurry();
        let (tell, report) = channel();
        thread::spawn(move || drop(tell.send(shutdown.finished_blocking())));
        report.recv_timeout(self.patience * 3).or_broken("the end of the shutdown")
    }
}

/// So many jobs.
pub(super) fn jobs(count: usize) -> Vec<(String, usize)> {
    (0..count).map(|n| (format!("job-{n}"), n)).collect()
}

/// The keys of the jobs that were acknowledged.
pub(super) fn acknowledged(report: &Report) -> BTreeSet<String> {
    report.jobs.handed_over.iter().map(|line| line.key.to_string()).collect()
}

/// A notifier that belongs to a rule.
struct Lending(Arc<dyn Notifier>);

#[sundown::async_trait]
impl Notifier for Lending {
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.0.prepare().await
    }

    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        self.0.draining(notice).await
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        self.0.incomplete(hand_over).await
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        self.0.finished(report).await
    }
}
