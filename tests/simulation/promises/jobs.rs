//! Promises 3 and 5: every job once, and no success for what nobody knows of.

use std::collections::BTreeSet;

use sundown::{Fate, InFlight, JobLine, Outcome};
use sundown_testkit::Method;

use super::{Checks, claimed};
use crate::{scenario::Kind, stage::Said, witness::Seen};

impl Checks<'_> {
    /// Promise 3: every job is accounted for exactly once.
    pub(super) fn every_job_once(&self, said: &Said) {
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
            // A reservation may become a job in the very moment of the report, where it is lost as a reservation.
            let at_last = said.jobs.iter().filter(|(id, seen)| {
                **seen == (Seen::Begun, said.at)
                    && self.scenario.is_reserved(id)
                    && !named.contains(id.as_str())
            });
            let begun = (said.jobs.len() - at_last.count()) as u64;
            assert_eq!(counted, begun, "promise 3: {counted} of {:?}: {self}", said.jobs);
        }
    }

    /// Promise 5: handed over is what the one that takes over has acknowledged, no more and no less; but of what was in
    /// doubt it is known no better for that.
    pub(super) fn no_false_success(&self, said: &Said) {
        let jobs = &said.report.jobs;
        let ids = |lines: &[JobLine]| -> BTreeSet<_> { lines.iter().map(|line| line.id.clone()).collect() };
        let acknowledged: BTreeSet<_> = self.played.acknowledged.iter().cloned().collect();
        assert!(ids(&jobs.handed_over).is_subset(&acknowledged), "promise 5: {self}");
        assert!(ids(&jobs.unacknowledged).is_disjoint(&acknowledged), "promise 5: {self}");
        for line in &jobs.in_doubt {
            assert_eq!(line.acknowledged, acknowledged.contains(&line.id), "promise 5: {}: {self}", line.id);
        }
        for (id, fate) in &self.played.tickets {
            // A commit that was under way may have ended after all.
            let may_be = matches!(fate, Fate::HandedOver | Fate::InDoubt | Fate::Completed | Fate::Failed);
            assert!(may_be || !acknowledged.contains(id), "promise 5: {id} is {fate}: {self}");
        }
    }

    /// Promise 3: what the report says of a job is what whoever holds it sees, then and ever after.
    pub(super) fn every_fate_stands(&self, said: &Said) {
        let jobs = &said.report.jobs;
        for (id, fate) in &self.played.tickets {
            let on = |list: &[sundown::JobLine]| list.iter().any(|line| line.id == *id);
            let listed = (on(&jobs.handed_over), on(&jobs.unacknowledged), on(&jobs.in_doubt));
            let expected = match fate {
                Fate::HandedOver => (true, false, false),
                Fate::Unacknowledged => (false, true, false),
                Fate::InDoubt => (false, false, true),
                Fate::Completed | Fate::Failed => (false, false, false),
                _ => panic!("promise 3: {id} is {fate} after the end: {self}"),
            };
            assert_eq!(listed, expected, "promise 3: {id} is {fate}: {self}");
        }
    }

    /// Promise 10: lost is what nobody has seen to: of a store, nothing that it has listed or that has ended; of a
    /// gate, all that was inside.
    pub(super) fn nothing_is_called_lost_that_is_not(&self, said: &Said) {
        for (part, told) in self.scenario.parts.iter().zip(&said.report.components) {
            let counted = matches!(told.in_flight, Outcome::Done(_));
            let lost = match part.kind {
                Kind::Gate if counted => {
                    told.stragglers.as_ref().and_then(InFlight::total).unwrap_or(0) as u64
                }
                Kind::Jobs | Kind::Store
                    if counted && claimed(told) && !self.scenario.reserves_in(&told.name) =>
                {
                    0
                }
                _ => told.lost,
            };
            assert_eq!(told.lost, lost, "promise 10: {}: {self}", told.name);
        }
    }

    /// Promise 3: in doubt is what nobody can know, and nothing that could have been waited for.
    pub(super) fn nothing_is_in_doubt_that_could_be_known(&self, said: &Said) {
        if !self.scenario.is_roomy() || !self.scenario.has_threads() {
            return;
        }
        let report = &said.report;
        for (part, told) in self.scenario.parts.iter().zip(&report.components) {
            let asked = told.drained != Outcome::Late || told.stragglers.is_some();
            assert!(asked, "promise 10: {} was not asked: {self}", told.name);
            let commits = |line: &sundown::JobLine| {
                let seen = said.jobs.get(line.id.as_str()).map(|(seen, _)| *seen);
                line.component == told.name && seen == Some(Seen::Committing)
            };
            let unended = report.jobs.in_doubt.iter().any(commits);
            let waited = told.conclude == Outcome::Late || part.is_wrong_in(Method::Conclude);
            assert!(!unended || waited || !claimed(told), "promise 3: {} had time: {self}", told.name);
        }
        let hung =
            |told: &sundown::NotifierReport| told.name == "take-over" && told.incomplete == Outcome::Late;
        // Who came when the hand-over had begun was offered to nobody.
        let late = |line: &sundown::JobLine| {
            let own = report.components.iter().find(|part| part.name == line.component);
            self.scenario.is_reserved(line.id.as_str()) || !own.is_some_and(claimed)
        };
        let known = report.jobs.unacknowledged.iter().all(late);
        let hung = report.notifiers.iter().any(hung);
        assert!(!hung || known, "promise 3: who takes over hung, and nobody can know: {self}");
    }
}
