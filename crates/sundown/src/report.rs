//! What a shutdown did, for people and for machines.

mod exit;

use std::{fmt, time::Duration};

use serde::Serialize;
use uuid::Uuid;

pub(crate) use self::exit::ExitCodes;
use crate::{Grace, InFlight, JobsReport, Overdue, Reason};

/// What a shutdown did: every component, straggler, job and note, with times counted from its beginning.
///
/// Whoever must see it even when `main` cannot print it (its runtime is blocked) prints it from
/// [`Notifier::finished`](crate::Notifier::finished), which runs outside the runtime.
///
/// `Display` is the text for people, `Serialize` the record for machines.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Names this shutdown in all that is sent about it.
    pub shutdown: Uuid,
    /// Why it began.
    pub reason: Reason,
    /// How much time the platform gives, and how that is known.
    pub grace: Grace,
    /// From the beginning to the end of the last step.
    pub took: Duration,
    /// How much of the time until the margin was left; of the tightened time, if it was tightened or hurried.
    pub unused: Duration,
    /// When each step began, in their order.
    pub steps: Vec<StepReport>,
    /// Every component.
    pub components: Vec<ComponentReport>,
    /// Every job.
    pub jobs: JobsReport,
    /// Those of them that are in the ledger of no shutdown but one inside, which has handed them over itself.
    #[serde(skip)]
    pub(crate) apart: JobsReport,
    /// Every notifier.
    pub notifiers: Vec<NotifierReport>,
    /// Every release hook.
    pub release: Vec<CallReport>,
    /// What is worth knowing besides.
    pub warnings: Vec<String>,
    /// What it comes to as an exit code.
    #[serde(skip)]
    pub(crate) exit_code: ExitCodes,
}

/// One step of the timeline.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// What it is called.
    pub step: &'static str,
    /// When it began.
    pub at: Duration,
}

/// One call into somebody's code.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CallReport {
    /// Whose it is, or what it does.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call into somebody's code ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was not called: there was no need, or no time.
    NotCalled,
    /// It had been called, and may still end well: it is not over when this is written.
    Pending,
    /// It ended in time, after so long.
    Done(Duration),
    /// It returned an error.
    Failed(String),
    /// It panicked, with this message.
    Panicked(String),
    /// It had not ended when its time was over.
    Late,
}

impl Outcome {
    /// Whether something went wrong.
    pub fn is_failure(&self) -> bool {
        matches!(self, Outcome::Failed(_) | Outcome::Panicked(_) | Outcome::Late)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::NotCalled => f.write_str("not called"),
            Outcome::Pending => f.write_str("still under way"),
            Outcome::Done(took) => write!(f, "done after {}", Short(*took)),
            Outcome::Failed(error) => write!(f, "failed: {error}"),
            Outcome::Panicked(message) => write!(f, "panicked: {message}"),
            Outcome::Late => f.write_str("did not end in its time"),
        }
    }
}

/// One component.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ComponentReport {
    /// What it is called.
    pub name: String,
    /// When its turn came, counted from the beginning; `None` if it never did, and the claim closed it.
    pub turn: Option<Duration>,
    /// `Drainable::close`.
    pub closed: Outcome,
    /// `Drainable::drained`, counted from the moment at which `close` came back. Not called of one whose turn never came or
    /// whose `close` panicked.
    pub drained: Outcome,
    /// Its allowance was over before it had drained.
    pub cut: Option<CutReport>,
    /// What it still had in flight at the claim, if it had not drained.
    pub stragglers: Option<InFlight>,
    /// `Drainable::in_flight`, which is asked for that.
    pub in_flight: Outcome,
    /// `Drainable::claim`.
    pub claim: Outcome,
    /// `Drainable::conclude`.
    pub conclude: Outcome,
    /// `Drainable::force`.
    pub force: Outcome,
    /// Whether it said that whatever was in flight has been seen to.
    pub seen_to: bool,
    /// How much of what was in flight nobody has seen to: no job stands for it, and the component did not say so.
    pub lost: u64,
    /// What it noted on its receipt.
    pub notes: Vec<(String, u64)>,
    /// What it did, if it is a shutdown of its own. Its jobs are among those of the whole, under `<this name>/<its own>`.
    pub inner: Option<Box<Report>>,
}

/// A component whose [allowance](crate::Order::within) was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CutReport {
    /// When that was.
    pub at: Duration,
    /// What happened then.
    pub then: Overdue,
}

/// One notifier.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NotifierReport {
    /// `take-over`, or `told-1` and so on, in their order.
    pub name: String,
    /// `Notifier::draining`.
    pub draining: Outcome,
    /// `Notifier::incomplete`.
    pub incomplete: Outcome,
    /// `Notifier::finished`.
    pub finished: Outcome,
}

impl ComponentReport {
    /// One that nothing has been asked of yet.
    pub(crate) fn new(name: &str) -> Self {
        ComponentReport {
            name: name.to_owned(),
            turn: None,
            closed: Outcome::NotCalled,
            drained: Outcome::NotCalled,
            cut: None,
            stragglers: None,
            in_flight: Outcome::NotCalled,
            claim: Outcome::NotCalled,
            conclude: Outcome::NotCalled,
            force: Outcome::NotCalled,
            seen_to: false,
            lost: 0,
            notes: Vec::new(),
            inner: None,
        }
    }
}

impl Report {
    /// Whether nothing was lost: every job ended by itself or was handed over, and nothing that a shutdown depends on
    /// panicked, failed or hung.
    ///
    /// A component that did not drain is no loss if its jobs were handed over, or it said that what was in flight has been
    /// [seen to](crate::Receipt::seen_to). Nor is a notifier that could not be told of the beginning or the end.
    pub fn is_clean(&self) -> bool {
        let failed = |outcome: &Outcome| outcome.is_failure();
        let panicked = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Panicked(_));
        let components = self.components.iter().any(|c| {
            c.lost > 0
                || c.inner.as_ref().is_some_and(|inner| !inner.is_clean())
                || [&c.closed, &c.drained].into_iter().any(panicked)
                || [&c.in_flight, &c.claim, &c.conclude, &c.force].into_iter().any(failed)
        });
        let notifiers = self.notifiers.iter().any(|n| failed(&n.incomplete));
        let jobs = &self.jobs;
        let jobs = jobs.unacknowledged.is_empty() && jobs.in_doubt.is_empty() && jobs.unnamed_in_doubt == 0;
        jobs && !components && !notifiers && !self.release.iter().any(|hook| failed(&hook.outcome))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "shutdown {} ({})", if self.is_clean() { "clean" } else { "with losses" }, self.reason)?;
        writeln!(f, "  took {}, {} unused; grace {}", Short(self.took), Short(self.unused), self.grace)?;
        write!(f, "  steps")?;
        for step in &self.steps {
            write!(f, "  {} {}", step.step, Short(step.at))?;
        }
        writeln!(f)?;
        for component in &self.components {
            component.fmt_lines(f)?;
        }
        self.jobs.fmt_lines(f)?;
        for notifier in &self.notifiers {
            writeln!(
                f,
                "  notifier {}: draining {}; incomplete {}; finished {}",
                notifier.name, notifier.draining, notifier.incomplete, notifier.finished
            )?;
        }
        for hook in &self.release {
            writeln!(f, "  release hook {}: {}", hook.name, hook.outcome)?;
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

impl ComponentReport {
    fn fmt_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  component {}: ", self.name)?;
        match self.turn {
            Some(turn) => write!(f, "turn at {}; ", Short(turn))?,
            None => write!(f, "its turn never came; ")?,
        }
        // Who was closed well is spoken of no more.
        match &self.closed {
            Outcome::Done(_) => writeln!(f, "drain {}", self.drained)?,
            closed => writeln!(f, "close {closed}; drain {}", self.drained)?,
        }
        if let Some(CutReport { at, then }) = self.cut {
            writeln!(f, "    its allowance was over at {}: {}", Short(at), then.done())?;
        }
        if let Some(stragglers) = &self.stragglers {
            writeln!(f, "    at the claim {stragglers}")?;
        }
        let steps = [
            ("in flight", &self.in_flight),
            ("claim", &self.claim),
            ("conclude", &self.conclude),
            ("force", &self.force),
        ];
        for (step, outcome) in steps {
            if outcome.is_failure() {
                writeln!(f, "    {step} {outcome}")?;
            }
        }
        if self.lost > 0 {
            writeln!(f, "    lost: {}", self.lost)?;
        }
        for (what, count) in self.notes.iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "    {what}: {count}")?;
        }
        if let Some(inner) = &self.inner {
            for line in inner.to_string().lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

impl JobsReport {
    fn fmt_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  jobs: {} completed, {} failed, {} handed over, {} unacknowledged, {} in doubt",
            self.completed,
            self.failed,
            self.handed_over.len(),
            self.unacknowledged.len(),
            self.in_doubt.len() as u64 + self.unnamed_in_doubt,
        )?;
        let lists = [
            ("handed over", &self.handed_over),
            ("unacknowledged", &self.unacknowledged),
            ("in doubt", &self.in_doubt),
        ];
        for (fate, jobs) in lists {
            for job in jobs.iter().take(InFlight::NAMED) {
                writeln!(f, "    {fate}: {} of {}", job.id, job.component)?;
            }
            if let Some(more) = jobs.len().checked_sub(InFlight::NAMED).filter(|more| *more > 0) {
                writeln!(f, "    {fate}: {more} more")?;
            }
        }
        Ok(())
    }
}

/// A duration to the millisecond.
pub(crate) struct Short(pub(crate) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if ms < 1000 { write!(f, "{ms} ms") } else { write!(f, "{}.{:03} s", ms / 1000, ms % 1000) }
    }
}
