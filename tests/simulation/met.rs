//! What a sweep is worth is what it meets: nothing that can happen may be so rare that it is never drawn.

use std::collections::BTreeMap;

use sundown::{ComponentReport, Outcome, Overdue};
use sundown_testkit::simulation::Exit;

use crate::{scenario::Scenario, stage::Played};

/// How often each thing was met.
#[derive(Default)]
pub(crate) struct Met {
    seeds: u64,
    times: BTreeMap<&'static str, u64>,
}

/// Each of these is met at least once in five hundred seeds.
const ALL: [&str; 20] = [
    "main returned",
    "the shutdown exited",
    "a third interrupt",
    "job completed",
    "job failed",
    "job handed over",
    "job unacknowledged",
    "job in doubt",
    "job unnamed in doubt",
    "something lost",
    "clean",
    "hurried",
    "late",
    "failed",
    "panicked",
    "one thread shared",
    "calm",
    "no longer waited for",
    "forced before the others",
    "stopped the rest",
];

impl Met {
    pub(crate) fn note(&mut self, scenario: &Scenario, played: &Played) {
        self.seeds += 1;
        let mut note = |what: &'static str, met: bool| *self.times.entry(what).or_default() += u64::from(met);
        note("calm", scenario.is_calm());
        note("main returned", matches!(played.ending.exit, Exit::Returned(())));
        note("the shutdown exited", matches!(played.ending.exit, Exit::Exited(0 | 1)));
        note("a third interrupt", matches!(played.ending.exit, Exit::Exited(130 | 131)));
        let Some(said) = &played.said else { return };
        let (report, jobs) = (&said.report, &said.report.jobs);
        note("job completed", jobs.completed > 0);
        note("job failed", jobs.failed > 0);
        note("job handed over", !jobs.handed_over.is_empty());
        note("job unacknowledged", !jobs.unacknowledged.is_empty());
        note("job in doubt", !jobs.in_doubt.is_empty());
        note("job unnamed in doubt", jobs.unnamed_in_doubt > 0);
        note("something lost", report.components.iter().any(|part| part.lost > 0));
        note("clean", report.is_clean());
        note("hurried", report.steps.iter().any(|step| step.step == "hurried"));
        note("one thread shared", report.warnings.iter().any(|warning| warning.contains("share one thread")));
        let cut =
            |then: Overdue| report.components.iter().filter_map(|part| part.cut).any(|cut| cut.then == then);
        note("no longer waited for", cut(Overdue::StopWaiting));
        note("stopped the rest", cut(Overdue::StopTheRest));
        let claim = report.steps.iter().find(|step| step.step == "claim").map(|step| step.at);
        let early = |part: &ComponentReport| {
            part.cut.is_some_and(|cut| cut.then == Overdue::Force && Some(cut.at) < claim)
        };
        note("forced before the others", report.components.iter().any(early));
        let parts = report.components.iter();
        let outcomes: Vec<_> = parts
            .flat_map(|part| [&part.closed, &part.drained, &part.claim, &part.conclude, &part.force])
            .collect();
        note("late", outcomes.iter().any(|outcome| **outcome == Outcome::Late));
        note("panicked", outcomes.iter().any(|outcome| matches!(outcome, Outcome::Panicked(_))));
        let told = report.notifiers.iter();
        note("failed", told.into_iter().any(|told| matches!(told.incomplete, Outcome::Failed(_))));
    }

    pub(crate) fn assert_all(&self) {
        for what in ALL {
            let times = self.times.get(what).copied().unwrap_or_default();
            assert!(times >= self.seeds / 500, "{what:?} is too rare: {:?} of {}", self.times, self.seeds);
        }
    }
}
