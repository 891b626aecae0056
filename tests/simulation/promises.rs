//! What was promised, checked against what was seen. Each check names the promise.

use std::{collections::BTreeSet, time::Duration};

use sundown::{ComponentReport, NotifierReport, Outcome, Report};
use sundown_testkit::{Fault, Method, simulation::Exit};

use crate::{
    scenario::{Main, Mishap, Order, Scenario},
    stage::{Played, Said},
    witness::Seen,
};

pub(crate) fn check(scenario: &Scenario, played: &Played) {
    let checks = Checks { scenario, played };
    checks.on_time();
    assert!(!checks.happened("the deadline has moved away"), "promise 2: {checks}");
    assert!(!checks.happened("a receipt leaves a fate open"), "promise 3: {checks}");
    let Some(said) = &played.said else { return };
    checks.every_job_once(said);
    checks.no_false_success(said);
    checks.every_step_in_order(said);
    checks.culprits_are_named(&said.report);
    checks.leaves_as_soon_as_it_can(said);
    checks.report_is_whole(&said.report);
}

struct Checks<'a> {
    scenario: &'a Scenario,
    played: &'a Played,
}

impl Checks<'_> {
    /// Promise 1: gone by *signal + grace − margin*.
    fn on_time(&self) {
        assert_ne!(self.played.ending.exit, Exit::Killed, "promise 1: {self}");
        let latest = self.latest();
        if let Some(said) = &self.played.said {
            assert!(said.at <= latest, "promise 1: finished at {:?}, promised {latest:?}: {self}", said.at);
            let known = self.latest_of(|at| at < said.at);
            assert!(said.deadline <= known, "promise 2: {:?}, promised {known:?}: {self}", said.deadline);
        }
        // How long a main lives under an embedded shutdown is its own affair.
        if self.scenario.owns_process || self.scenario.main == Main::Waits {
            let ended = self.played.ending.took.saturating_sub(Duration::from_millis(1));
            assert!(ended <= latest, "promise 1: gone at {ended:?}, promised {latest:?}: {self}");
        }
    }

    fn latest(&self) -> Duration {
        self.latest_of(|_| true)
    }

    /// The earliest end that anybody asked for at such a time. A beginning that gives more than usual is tightened by who gives less.
    fn latest_of(&self, when: impl Fn(Duration) -> bool) -> Duration {
        let margin = |grace: Duration| match self.scenario.is_roomy() {
            true => (grace / 40).max(Duration::from_millis(250)),
            false => Duration::ZERO,
        };
        let end =
            |at: Duration, grace: Duration| (at + grace).saturating_sub(margin(grace)).max(self.played.begun);
        let ends = self.scenario.orders.iter().filter(|(at, _)| *at >= self.played.begun && when(*at));
        let ends = ends.filter_map(|(at, order)| match order {
            Order::Within(grace) => Some(end(*at, *grace)),
            Order::Signal(_) | Order::Begin => Some(end(*at, self.scenario.grace)),
            Order::Hurry => None,
        });
        let dropped = (self.scenario.main == Main::Drops && when(self.scenario.dropped()))
            .then(|| end(self.scenario.dropped(), self.scenario.grace));
        ends.chain(dropped).min().unwrap_or(Duration::MAX)
    }

    /// Promise 3: every job is accounted for exactly once.
    fn every_job_once(&self, said: &Said) {
        let jobs = &said.report.jobs;
        let lists = [&jobs.handed_over, &jobs.unacknowledged, &jobs.in_doubt];
        let listed: Vec<_> = lists.into_iter().flatten().collect();
        let named: BTreeSet<_> = listed.iter().map(|line| line.id.as_str()).collect();
        assert_eq!(named.len(), listed.len(), "promise 3: a job is listed twice: {self}");
        for line in &listed {
            assert!(line.id.as_str().starts_with(&format!("{}/", line.component)), "promise 3: {self}");
        }
        for (id, (seen, _)) in said.jobs.iter().filter(|(_, (_, at))| *at < said.at) {
            let may_be_listed = match seen {
                Seen::Begun | Seen::Committing | Seen::Taken | Seen::Forgotten => true,
                Seen::Dropped { draining } => *draining,
                Seen::Completed | Seen::Failed => false,
            };
            assert!(may_be_listed || !named.contains(id.as_str()), "promise 3: {id} was {seen:?}: {self}");
            let component = id.split('/').next().unwrap_or_default();
            let named_all = said.report.components.iter().any(|part| part.name == component && claimed(part));
            let incomplete = matches!(seen, Seen::Taken | Seen::Dropped { draining: true });
            let missed = incomplete && named_all && !named.contains(id.as_str());
            assert!(!missed, "promise 3: {id} was {seen:?} and is not listed: {self}");
        }
        if said.report.components.iter().all(claimed) {
            let counted = jobs.completed + jobs.failed + jobs.unnamed_in_doubt + listed.len() as u64;
            assert_eq!(counted, said.jobs.len() as u64, "promise 3: {counted} of {:?}: {self}", said.jobs);
        }
    }

    /// Promise 5: handed over is what the one that takes over has acknowledged, no more and no less.
    fn no_false_success(&self, said: &Said) {
        let handed_over: BTreeSet<_> =
            said.report.jobs.handed_over.iter().map(|line| line.id.as_str()).collect();
        let acknowledged: BTreeSet<_> = self.played.acknowledged.iter().map(|id| id.as_str()).collect();
        assert_eq!(handed_over, acknowledged, "promise 5: {self}");
    }

    /// Promises 6 and 7: hand over, then answer, then force; and no step skips a later one.
    fn every_step_in_order(&self, said: &Said) {
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
        let (answered, forced) = (places(" conclude").max(), places(" force").min());
        assert!(
            both((answered, forced)).is_none_or(|(answered, forced)| answered < forced),
            "promise 6: {self}"
        );
    }

    /// Promise 7: the report says what happened, by name.
    fn culprits_are_named(&self, report: &Report) {
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
    }

    /// Promise 8: event-driven to the end.
    fn leaves_as_soon_as_it_can(&self, said: &Said) {
        if !self.scenario.is_calm() {
            return;
        }
        let at = |name| said.report.steps.iter().find(|step| step.step == name).map(|step| step.at);
        let (claim, answer, force) = (at("claim"), at("answer"), at("force"));
        assert_eq!((claim, force), (answer, at("finish")), "promise 8: with nobody to wait for: {self}");
        let concluded = said.report.components.iter().map(|part| match part.conclude {
            Outcome::Done(took) => took,
            _ => Duration::MAX, // A commit that does not end: for as long as there is time to answer.
        });
        if let Some(longest) = concluded.max().filter(|longest| *longest != Duration::MAX) {
            assert_eq!(
                force.zip(answer).map(|(force, answer)| force - answer),
                Some(longest),
                "promise 8: {self}"
            );
        }
        if said.report.components.iter().all(|part| matches!(part.drained, Outcome::Done(_))) {
            let drained = self.played.events.iter().filter(|event| event.what.ends_with(" drained ended"));
            let last = drained.map(|event| event.at).max().unwrap_or(self.played.begun);
            let claimed = said.at - said.report.took + claim.expect("every step was begun");
            assert_eq!(claimed, last.max(claimed - claim.unwrap_or_default()), "promise 8: {self}");
        }
    }

    /// Promise 10: every component, notifier and hook is in the report.
    fn report_is_whole(&self, report: &Report) {
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
    }

    fn happened(&self, event: &str) -> bool {
        self.played.events.iter().any(|happened| happened.what == event)
    }
}

/// Whether a component's claim has come back: then all its jobs are in the ledger.
fn claimed(part: &ComponentReport) -> bool {
    matches!(part.claim, Outcome::Done(_))
}

fn both<T>((one, other): (Option<T>, Option<T>)) -> Option<(T, T)> {
    one.zip(other)
}

fn outcomes_of_component(said: &ComponentReport, method: Method) -> Vec<Outcome> {
    match method {
        // A component whose turn never came is closed with its claim.
        Method::Close => vec![said.drained.clone(), said.claim.clone()],
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

/// For the message of a failure: all that there is to know.
impl std::fmt::Display for Checks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\n{:#?}\n{:?}", self.scenario, self.played.ending)?;
        for event in &self.played.events {
            writeln!(f, "{:>14.6?} {}", event.at, event.what)?;
        }
        match &self.played.said {
            Some(said) => writeln!(f, "{:?} seen at {:?}\n{}", said.jobs, said.at, said.report),
            None => writeln!(f, "it said nothing"),
        }
    }
}
