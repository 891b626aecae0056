//! Promises 6, 7 and 10: in this order, none skipped, and all of it said.

use std::time::Duration;

use sundown::{ComponentReport, NotifierReport, Outcome, Overdue, Report};
use sundown_testkit::{Fault, Method, simulation::Exit};

use super::{Checks, SAW_CLAIMED, SAW_DRAINING};
use crate::{scenario::Mishap, stage::Said};

impl Checks<'_> {
    /// Promises 6 and 7: hand over, then answer, then force; and no step skips a later one.
    pub(super) fn every_step_in_order(&self, said: &Said) {
        let steps: Vec<_> =
            said.report.steps.iter().map(|step| step.step).filter(|step| *step != "hurried").collect();
        let all = ["announce", "drain", "claim", "hand over", "answer", "force", "release", "finish"];
        assert_eq!(steps, all, "promise 7: {self}");
        assert!(said.report.steps.is_sorted_by_key(|step| step.at), "promise 7: {self}");
        if !self.scenario.has_threads() || !self.scenario.is_roomy() {
            return;
        }
        for (at, _) in self.scenario.parts.iter().enumerate() {
            for method in [Method::Close, Method::Claim, Method::Conclude, Method::Force] {
                assert!(
                    self.happened(&format!("part-{at} {method}")),
                    "promise 7: part-{at} {method}: {self}"
                );
            }
        }
        let places = |method: &'static str| {
            let names = self.played.events.iter().enumerate();
            names.filter(move |(_, event)| event.what.ends_with(method)).map(|(at, _)| at)
        };
        let offered = places("taker incomplete").next();
        for (before, after) in [(places(" claim").max(), offered), (offered, places(" conclude").min())]
            .into_iter()
            .filter_map(both)
        {
            assert!(before < after, "promise 6: {self}");
        }
        // Who was to be forced when its allowance was over, was.
        let early = |part: &&ComponentReport| part.cut.is_some_and(|cut| cut.then == Overdue::Force);
        let in_order = said.report.components.iter().filter(|part| !early(part));
        let force = in_order.filter_map(|part| {
            let force = format!("{} force", part.name);
            self.played.events.iter().position(|event| event.what == force)
        });
        let (answered, forced) = (places(" conclude").max(), force.min());
        assert!(
            both((answered, forced)).is_none_or(|(answered, forced)| answered < forced),
            "promise 6: {self}"
        );
    }

    /// Promise 7: the report says what happened, by name.
    pub(super) fn culprits_are_named(&self, report: &Report) {
        if !self.scenario.has_threads() {
            return;
        }
        for (part, said) in self.scenario.parts.iter().zip(&report.components) {
            for mishap in &part.mishaps {
                self.is_named(mishap, &said.name, &outcomes_of_component(said, mishap.method));
            }
            for method in [Method::InFlight, Method::Claim, Method::Conclude, Method::Force] {
                let innocent = !part.is_wrong_in(method) && !part.is_wrong_in(Method::Close);
                let fine = match &outcomes_of_component(said, method)[0] {
                    Outcome::Done(_) | Outcome::NotCalled => true,
                    // It waits for commits, which may not end.
                    Outcome::Late if method == Method::Conclude => self.scenario.commits_in(&said.name),
                    _ => false,
                };
                assert!(
                    !innocent || fine || !self.scenario.is_roomy(),
                    "promise 7: {} {method}: {self}",
                    said.name
                );
            }
        }
        let taker = self.scenario.taker.iter().map(|taker| &taker.mishaps);
        for (mishaps, said) in taker.chain(&self.scenario.told).zip(&report.notifiers) {
            for mishap in mishaps {
                let name = if said.name == "take-over" { "taker" } else { &said.name };
                self.is_named(mishap, name, &outcomes_of_notifier(said, mishap.method));
            }
        }
    }

    /// A fault that came true is an outcome that is a failure.
    fn is_named(&self, mishap: &Mishap, name: &str, outcomes: &[Outcome]) {
        let fatal = match mishap.fault {
            Fault::Hangs | Fault::Blocks | Fault::Panics(_) => true,
            Fault::Fails(_) => Method::OF_NOTIFIERS.contains(&mishap.method),
            _ => false,
        };
        let called = self.happened(&format!("{name} {}", mishap.method));
        if fatal && called && mishap.before {
            let named = outcomes.iter().any(Outcome::is_failure);
            assert!(named, "promise 7: {name} {}: {outcomes:?}: {self}", mishap.method);
        }
        // (A drain, or the news of one, that panics as the claim comes is late.)
        let hasty = matches!(mishap.method, Method::Drained | Method::Draining);
        let panics = matches!(mishap.fault, Fault::Panics(_)) && !hasty;
        if panics && called && mishap.before && self.scenario.is_roomy() {
            let panicked = outcomes.contains(&Outcome::Panicked("on purpose".into()));
            assert!(panicked, "promise 7: {name} {}: {outcomes:?}: {self}", mishap.method);
        }
    }

    /// Promise 7: nobody is forgotten.
    pub(super) fn everybody_is_called(&self, said: &Said) {
        if !self.scenario.has_threads() || !self.scenario.is_roomy() {
            return;
        }
        for event in [SAW_DRAINING, SAW_CLAIMED] {
            assert!(self.happened(event), "promise 7: not so that {event}: {self}");
        }
        for at in 0..self.scenario.hooks.len() {
            assert!(self.happened(&format!("hook-{at}")), "promise 7: hook-{at}: {self}");
        }
        let taker = self.scenario.taker.iter().map(|_| "taker".to_owned());
        let told = (1..=self.scenario.told.len()).map(|at| format!("told-{at}"));
        for name in taker.chain(told) {
            for method in [Method::Draining, Method::Finished] {
                assert!(self.happened(&format!("{name} {method}")), "promise 7: {name} {method}: {self}");
            }
        }
        self.comes_after_those_named(said);
    }

    /// A component that is closed at the very beginning waits for nobody: those it comes after have drained by then.
    fn comes_after_those_named(&self, said: &Said) {
        let place = |event: &str| self.played.events.iter().position(|happened| happened.what == event);
        let claim = said.report.steps.iter().find(|step| step.step == "claim").map(|step| step.at);
        if claim == Some(Duration::ZERO) {
            return; // The claim closes all.
        }
        for (at, part) in self.scenario.parts.iter().enumerate() {
            let Some(closed) = place(&format!("part-{at} close")) else { continue };
            if self.played.events[closed].at > self.played.begun {
                continue; // Those before it may be overdue.
            }
            for before in part.after.iter().filter(|before| !self.scenario.parts[**before].is_wrong()) {
                let drained = place(&format!("part-{before} drained ended"));
                assert!(drained.is_some_and(|drained| drained < closed), "the order of part-{at}: {self}");
            }
        }
    }

    /// Promises 3 and 10: who was cut is named, with what happened; and nobody is forced before it is claimed.
    pub(super) fn who_is_cut_is_named(&self, report: &Report) {
        let place = |event: String| self.played.events.iter().position(|happened| happened.what == event);
        for (part, said) in self.scenario.parts.iter().zip(&report.components) {
            if let Some(cut) = said.cut {
                let (allowed, overdue) = part.within.unwrap_or_else(|| panic!("promise 10: {self}"));
                assert_eq!(cut.then, overdue, "promise 10: {self}");
                let roomy = self.scenario.is_roomy() && self.scenario.parts.len() == 1;
                assert!(cut.at >= allowed || !roomy, "promise 10: {} at {:?}: {self}", said.name, cut.at);
                assert!(overdue != Overdue::StopTheRest || hurried(report), "promise 10: {self}");
            }
            let (claim, force) = (format!("{} claim", said.name), format!("{} force", said.name));
            let claimed_first = both((place(claim), place(force))).is_none_or(|(claim, force)| claim < force);
            let could = self.scenario.has_threads() && self.scenario.is_roomy();
            assert!(claimed_first || !could, "promise 3: {}: {self}", said.name);
        }
    }

    /// Promise 10: every component, notifier and hook is in the report.
    pub(super) fn report_is_whole(&self, report: &Report) {
        let names: Vec<_> = report.components.iter().map(|part| part.name.clone()).collect();
        let parts: Vec<_> = (0..self.scenario.parts.len()).map(|at| format!("part-{at}")).collect();
        assert_eq!(names, parts, "promise 10: {self}");
        let notifiers = usize::from(self.scenario.taker.is_some()) + self.scenario.told.len();
        assert_eq!(report.notifiers.len(), notifiers, "promise 10: {self}");
        assert_eq!(report.release.len(), self.scenario.hooks.len(), "promise 10: {self}");
        let limited = report.warnings.iter().any(|warning| warning.contains("share one thread"));
        assert!(!limited || !self.scenario.has_threads(), "promise 10: {self}");
        let jobs = &report.jobs;
        let lost = jobs.unacknowledged.len() + jobs.in_doubt.len() + jobs.unnamed_in_doubt as usize;
        assert!(lost == 0 || !report.is_clean(), "promise 10: {self}");
        if let Exit::Exited(status @ (0 | 1)) = self.played.ending.exit {
            assert_eq!(status, i32::from(!report.is_clean()), "promise 10: {self}");
        }
    }
}

fn hurried(report: &Report) -> bool {
    report.steps.iter().any(|step| step.step == "hurried")
}

fn both<T>((one, other): (Option<T>, Option<T>)) -> Option<(T, T)> {
    one.zip(other)
}

fn outcomes_of_component(said: &ComponentReport, method: Method) -> Vec<Outcome> {
    match method {
        Method::Close => vec![said.closed.clone()],
        Method::Drained => vec![said.drained.clone()],
        Method::InFlight => vec![said.in_flight.clone()],
        Method::Claim => vec![said.claim.clone()],
        Method::Conclude => vec![said.conclude.clone()],
        _ => vec![said.force.clone()],
    }
}

fn outcomes_of_notifier(said: &NotifierReport, method: Method) -> Vec<Outcome> {
    vec![match method {
        Method::Draining => said.draining.clone(),
        Method::Incomplete => said.incomplete.clone(),
        _ => said.finished.clone(),
    }]
}
