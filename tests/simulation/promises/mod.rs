//! What was promised, checked against what was seen. Each check names the promise.

mod jobs;
mod steps;
mod time;

use sundown::{ComponentReport, Outcome};

use crate::{scenario::Scenario, stage::Played};

/// What nobody must ever see. Whoever sees it records it.
pub(crate) mod never {
    pub(crate) const LATER_DEADLINE: &str = "promise 2: the deadline has moved away";
    pub(crate) const EARLY_CLAIM: &str = "promise 2: a component is claimed before its deadline";
    pub(crate) const OPEN_FATE: &str = "promise 3: a receipt leaves a fate open";
    pub(crate) const FOREIGN_JOB: &str = "promise 3: a receipt has another component's job";
}

/// Recorded by those who wait for the announcement, and for the claim.
pub(crate) const SAW_DRAINING: &str = "the announcement was seen";
pub(crate) const SAW_CLAIMED: &str = "the claim was seen";

pub(crate) fn check(scenario: &Scenario, played: &Played) {
    let checks = Checks { scenario, played };
    for event in [never::LATER_DEADLINE, never::EARLY_CLAIM, never::OPEN_FATE, never::FOREIGN_JOB] {
        assert!(!checks.happened(event), "{event}: {checks}");
    }
    checks.on_time();
    let Some(said) = &played.said else { return };
    checks.every_job_once(said);
    checks.every_fate_stands(said);
    checks.nothing_is_called_lost_that_is_not(said);
    checks.nothing_is_in_doubt_that_could_be_known(said);
    checks.no_false_success(said);
    checks.every_step_in_order(said);
    checks.everybody_is_called(said);
    checks.culprits_are_named(&said.report);
    checks.who_is_cut_is_named(&said.report);
    checks.leaves_as_soon_as_it_can(said);
    checks.report_is_whole(&said.report);
}

struct Checks<'a> {
    scenario: &'a Scenario,
    played: &'a Played,
}

impl Checks<'_> {
    fn happened(&self, event: &str) -> bool {
        self.played.events.iter().any(|happened| happened.what == event)
    }
}

/// Whether a component's claim has come back: then all its jobs are in the ledger.
fn claimed(part: &ComponentReport) -> bool {
    matches!(part.claim, Outcome::Done(_))
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
