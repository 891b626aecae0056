//! A fresh component, alone or in a shutdown.

use std::{
    pin::pin,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    task::Poll,
    thread,
    time::Duration,
};

use sundown::{
    Builder, Claims, Deadline, Drainable, HandOver, InFlight, JobLine, Notifier, NotifyError, Receipt,
    Report, Reserve, Runtime, Shutdown, Watch,
};

use super::{Piece, Subject};
use crate::conformance::{
    bare::Bare,
    trial::{Checked, OrBroken, Trial, Unmet},
};

/// What every rule begins with.
pub(super) type Fresh = Box<dyn Fn() -> Subject + Send + Sync>;

const GRACE: Duration = Duration::from_secs(10);

/// What `conclude` may take in these shutdowns.
const ANSWER: Duration = Duration::from_millis(500);

impl Trial<Fresh> {
    pub(super) fn fresh(&self) -> Subject {
        (*self.subject)()
    }

    /// One whose work is jobs.
    pub(super) fn fresh_store(&self) -> Checked<Subject> {
        let subject = self.fresh();
        if subject.named { Ok(subject) } else { Err(Unmet::skipped("nobody can take its work over")) }
    }

    pub(super) fn close(&self, subject: &Subject) -> Checked {
        let (component, deadline) = (subject.component.clone(), deadline()?);
        self.at_once("`close`", move || component.close(&deadline))
    }

    /// Hurries the shutdown to its claim, and on to its end.
    pub(super) fn finish(&self, shutdown: Shutdown) -> Checked<Report> {
        shutdown.begin("a rule is checked");
        shutdown.hurry();
        self.report(shutdown)
    }

    pub(super) fn report(&self, shutdown: Shutdown) -> Checked<Report> {
        let (tell, report) = channel();
        thread::spawn(move || drop(tell.send(shutdown.finished_blocking())));
        // The whole of a shutdown.
        let report = report.recv_timeout(self.patience * 3);
        report.or_broken("the end of the shutdown")
    }
}

impl Subject {
    /// Begins a piece of work, which must be possible.
    pub(super) fn work(&self, id: &str) -> Checked<Box<dyn Piece>> {
        (self.begin)(id)
            .ok_or_else(|| Unmet::broken("expected work to begin before the close, it was refused"))
    }

    pub(super) fn works(&self, ids: &[String]) -> Checked<Vec<Box<dyn Piece>>> {
        ids.iter().map(|id| self.work(id)).collect()
    }

    /// Asks for the drain, on a thread of its own.
    pub(super) fn drained(&self) -> Checked<Drained> {
        let component = self.component.clone();
        let mut place = self.runtime.private().or_broken("`private`")?;
        let ((waits, pending), (tell, over)) = (channel(), channel());
        thread::spawn(move || {
            let mut drained = component.drained();
            place.drive(pin!(std::future::poll_fn(|cx| told(drained.as_mut().poll(cx), &waits))));
            tell.send(())
        });
        Ok(Drained { pending, over })
    }

    /// A shutdown with this component alone.
    pub(super) fn shutdown(&self) -> Builder {
        self.shutdown_of(self.component.clone())
    }

    /// A shutdown with something in the component's place.
    pub(super) fn shutdown_of(&self, component: impl Drainable) -> Builder {
        self.embedded().component("subject", component)
    }

    pub(super) fn embedded(&self) -> Builder {
        Shutdown::embedded(self.runtime.clone()).grace(GRACE).reserve(Reserve::Answer, ANSWER)
    }
}

fn told(polled: Poll<()>, waits: &Sender<()>) -> Poll<()> {
    if polled.is_pending() {
        let _ = waits.send(());
    }
    polled
}

/// A drain under way.
pub(super) struct Drained {
    /// Tells each time that it has to wait.
    pub(super) pending: Receiver<()>,
    pub(super) over: Receiver<()>,
}

/// A deadline, which only a shutdown gives out.
pub(super) fn deadline() -> Checked<Deadline> {
    let shutdown = Shutdown::embedded(Bare).grace(GRACE).start().or_broken("a shutdown")?;
    shutdown.begin("its deadline is of use");
    shutdown.finished_blocking();
    shutdown.deadline().ok_or_else(|| Unmet::broken("a shutdown that has begun has a deadline"))
}

/// The ids of so many jobs.
pub(super) fn ids(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("job-{n:03}")).collect()
}

/// The ids in the three lists of a report, in order.
pub(super) fn claimed(report: &Report) -> Vec<String> {
    let jobs = &report.jobs;
    let lists = [&jobs.handed_over, &jobs.unacknowledged, &jobs.in_doubt];
    let mut ids: Vec<_> = lists.into_iter().flatten().map(|JobLine { id, .. }| id.to_string()).collect();
    ids.sort();
    ids
}

/// Takes over whatever it is offered.
pub(super) struct TakesAll;

#[sundown::async_trait]
impl Notifier for TakesAll {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        for job in hand_over.jobs() {
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

/// A component with another way to close and to claim.
pub(super) struct Staged<F> {
    pub(super) component: Arc<dyn Drainable>,
    pub(super) closes: bool,
    pub(super) claim: F,
}

#[sundown::async_trait]
impl<F: Fn(&dyn Drainable, &Claims) + Send + Sync + 'static> Drainable for Staged<F> {
    fn joined(&self, watch: &Watch) {
        self.component.joined(watch);
    }

    fn close(&self, deadline: &Deadline) {
        if self.closes {
            self.component.close(deadline);
        }
    }

    async fn drained(&self) {
        if self.closes {
            self.component.drained().await;
        }
    }

    fn in_flight(&self) -> InFlight {
        self.component.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        (self.claim)(&*self.component, claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.component.conclude(receipt).await;
    }
}
