//! What has come of the shutdown so far: the report in the making.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::Desk;
use crate::{
    Grace, InFlight, JobsReport, Overdue, Reason,
    ledger::{Ledger, Notes},
    plan::Timeline,
    report::{
        CallReport, ComponentReport, CutReport, ExitCodes, NotifierReport, Outcome, Report, StepReport,
    },
    shutdown::{Component, Hook},
};

pub(super) struct Record {
    pub(super) shutdown: Uuid,
    pub(super) reason: Reason,
    pub(super) components: Vec<ComponentReport>,
    pub(super) notifiers: Vec<NotifierReport>,
    pub(super) hooks: Vec<CallReport>,
    pub(super) warnings: Vec<String>,
    grace: Grace,
    exit_code: ExitCodes,
    begun: Option<Instant>,
    steps: Vec<StepReport>,
}

impl Record {
    pub(super) fn new(
        shutdown: Uuid,
        grace: Grace,
        exit_code: ExitCodes,
        desks: &[Desk],
        hooks: &[Hook],
    ) -> Self {
        let not_told = |desk: &Desk| NotifierReport {
            name: desk.name.clone(),
            draining: Outcome::NotCalled,
            incomplete: Outcome::NotCalled,
            finished: Outcome::NotCalled,
        };
        let not_run = |hook: &Hook| CallReport { name: hook.name.clone(), outcome: Outcome::NotCalled };
        Record {
            shutdown,
            reason: Reason::Dropped,
            components: Vec::new(),
            notifiers: desks.iter().map(not_told).collect(),
            hooks: hooks.iter().map(not_run).collect(),
            warnings: grace.warning().into_iter().collect(),
            grace,
            exit_code,
            begun: None,
            steps: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, reason: Reason, components: &[Component]) {
        self.reason = reason;
        self.components = components.iter().map(|component| ComponentReport::new(&component.name)).collect();
    }

    /// A step begins.
    pub(super) fn step(&mut self, step: &'static str, now: Instant, timeline: &Timeline) {
        let begun = *self.begun.get_or_insert(timeline.begun);
        self.steps.push(StepReport { step, at: now.saturating_duration_since(begun) });
    }

    /// A component's allowance is over.
    pub(super) fn cut(&mut self, at: usize, then: Overdue, now: Instant, timeline: &Timeline) {
        let at_time = now.saturating_duration_since(timeline.begun);
        self.components[at].cut = Some(CutReport { at: at_time, then });
    }

    pub(super) fn report(
        &self,
        now: Instant,
        timeline: &Timeline,
        ledger: &Ledger,
        notes: impl Iterator<Item = Arc<Notes>>,
    ) -> Report {
        let mut jobs = ledger.summary();
        let (mut apart, mut counted) = (JobsReport::default(), HashSet::new());
        let mut components = self.components.clone();
        for (report, notes) in components.iter_mut().zip(notes) {
            report.notes = notes.read();
            report.seen_to = notes.seen_to();
            if let Some((inner, passed_on)) = notes.inner() {
                // It may be here under two names.
                if counted.insert(inner.shutdown) {
                    // Of one whose jobs are in this ledger, what is in none that it passes on.
                    let own = if *passed_on { &inner.apart } else { &inner.jobs };
                    jobs.add(&report.name, own);
                    apart.add(&report.name, own);
                    jobs.unnamed_in_doubt += inner.jobs.unnamed_in_doubt;
                }
                report.inner = Some(inner.clone());
            }
        }
        for report in &mut components {
            if let Some(inner) = &report.inner {
                // It knows best.
                report.lost = inner.components.iter().map(|component| component.lost).sum();
                continue;
            }
            let ended_then = report.stragglers.as_ref().and_then(InFlight::ended);
            let accounted = ledger.accounted(&report.name, ended_then);
            report.lost = lost(report, accounted);
            jobs.unnamed_in_doubt += unnamed(report, accounted);
        }
        Report {
            shutdown: self.shutdown,
            reason: self.reason.clone(),
            grace: self.grace.clone(),
            took: now.saturating_duration_since(timeline.begun),
            unused: timeline.exit.saturating_duration_since(now),
            steps: self.steps.clone(),
            components,
            jobs,
            apart,
            notifiers: self.notifiers.clone(),
            release: self.hooks.clone(),
            warnings: self.warnings.clone(),
            exit_code: self.exit_code.clone(),
        }
    }

    /// The report of a conductor that a defect of this crate has ended.
    pub(super) fn broken(mut self, now: Instant) -> Report {
        self.warnings.push("a defect of sundown ended this shutdown: its conductor panicked".into());
        Report {
            shutdown: self.shutdown,
            reason: self.reason,
            took: self.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun)),
            unused: Duration::ZERO,
            grace: self.grace,
            steps: self.steps,
            components: self.components,
            jobs: JobsReport::default(),
            apart: JobsReport::default(),
            notifiers: self.notifiers,
            release: self.hooks,
            warnings: self.warnings,
            exit_code: self.exit_code,
        }
    }
}

/// How many jobs a component had in flight, by its own word, that its claim hung before it could list.
fn unnamed(component: &ComponentReport, accounted: usize) -> u64 {
    if !component.claim.is_failure() {
        return 0;
    }
    component
        .stragglers
        .as_ref()
        .and_then(InFlight::total)
        .map_or(0, |total| total.saturating_sub(accounted) as u64)
}

/// What a component had in flight at the claim that nobody has seen to. Of one that does not count, and for which no job
/// stands, it is one at least.
fn lost(component: &ComponentReport, accounted: usize) -> u64 {
    match &component.stragglers {
        Some(stragglers) if !component.seen_to => {
            stragglers.total().unwrap_or(1).saturating_sub(accounted) as u64
        }
        _ => 0,
    }
}
