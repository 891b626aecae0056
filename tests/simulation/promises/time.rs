//! Promises 1, 2 and 8: on time, one deadline, no later than necessary.

use std::time::Duration;

use sundown::Outcome;
use sundown_testkit::simulation::Exit;

use super::Checks;
use crate::{
    scenario::{Main, Order},
    stage::Said,
};

impl Checks<'_> {
    /// Promise 1: gone by *signal + grace − margin*.
    pub(super) fn on_time(&self) {
        assert_ne!(self.played.ending.exit, Exit::Killed, "promise 1: {self}");
        let latest = self.latest();
        if let Some(said) = &self.played.said {
            assert!(said.at <= latest, "promise 1: finished at {:?}, promised {latest:?}: {self}", said.at);
            let known = self.latest_of(|at| at < said.at);
            assert!(said.deadline <= known, "promise 2: {:?}, promised {known:?}: {self}", said.deadline);
            let on_time = said.at <= said.deadline.max(self.played.begun);
            assert!(on_time || known == said.at, "promise 1: finished at {:?}: {self}", said.at);
            // Whatever the grace, something is left of it for the platform.
            let spare = said.deadline < self.kill(|at| at < said.at) || !self.scenario.reserves.is_empty();
            assert!(spare || said.deadline <= self.played.begun, "promise 1: no margin: {self}");
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

    fn latest_of(&self, when: impl Fn(Duration) -> bool) -> Duration {
        self.end(when, |grace| match self.scenario.is_roomy() {
            true => (grace / 40).max(Duration::from_millis(250)),
            false => Duration::ZERO,
        })
    }

    fn kill(&self, when: impl Fn(Duration) -> bool) -> Duration {
        self.end(when, |_| Duration::ZERO)
    }

    /// The earliest end that anybody asked for at such a time, less a margin. A beginning that gives more than usual is
    /// tightened by who gives less.
    fn end(&self, when: impl Fn(Duration) -> bool, margin: impl Fn(Duration) -> Duration) -> Duration {
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

    /// Promise 8: event-driven to the end.
    pub(super) fn leaves_as_soon_as_it_can(&self, said: &Said) {
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
}
