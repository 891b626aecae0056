//! What happened when, as a person would tell it: many small events of one sort become one moment with a
//! beginning and an end.

use serde::Serialize;

use crate::cast::Kind;
use crate::client::{Fate, Outcome, Visit};
use crate::clock::Stamp;
use crate::ledger::Evidence;
use crate::monitor::{DRAINING, FINISHED};

/// Something that happened; times in seconds after the signal.
#[derive(Serialize)]
pub struct Moment {
    pub at: f64,
    pub until: f64,
    pub what: String,
    pub weight: Weight,
}

/// How much it matters to a reader.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// A turn of the play.
    Turn,
    Event,
    /// A time that was set, not something that happened.
    Bound,
}

pub fn of(evidence: &Evidence) -> Vec<Moment> {
    let mut timeline = Timeline { evidence, moments: Vec::new() };
    timeline.before();
    timeline.drain();
    timeline.hand_over();
    timeline.answers();
    timeline.end();
    let mut moments = timeline.moments;
    moments.sort_by(|a, b| a.at.total_cmp(&b.at));
    moments
}

struct Timeline<'a> {
    evidence: &'a Evidence,
    moments: Vec<Moment>,
}

impl Timeline<'_> {
    fn before(&mut self) {
        let signal = self.evidence.signal;
        let early = |visit: &&Visit| visit.sent.is_some_and(|sent| sent < signal);
        let requests = self.evidence.visits.iter().filter(early).count();
        let first = self.evidence.visits.iter().filter_map(|visit| visit.sent).min();
        self.add(Weight::Event, first, |_| {
            format!("the crowd arrives: {requests} requests before the signal")
        });
        let blocked = self.evidence.visits.iter().filter(|visit| visit.kind == Kind::Blocked);
        let sent: Vec<_> = blocked.filter_map(|visit| visit.sent).collect();
        self.add(Weight::Event, sent, |_| "one handler blocks its thread and will not let go of it".into());
        let waiting = self.evidence.visits.iter().filter(|visit| visit.kind != Kind::Probe);
        let waiting = waiting.filter(early).filter(|visit| visit.ended > signal).count();
        self.add(Weight::Turn, [signal], |_| {
            format!("SIGTERM, while {waiting} clients wait for their answer")
        });
    }

    fn drain(&mut self) {
        let signal = self.evidence.signal;
        self.notice(DRAINING, "the monitor hears that draining has begun");
        let red =
            self.first(|visit| visit.kind == Kind::Probe && visit.answer().is_some_and(|a| a.status == 503));
        self.add(Weight::Event, red, |_| "readiness goes red".into());
        let served = self.ended(|visit| {
            matches!(visit.kind, Kind::Quick | Kind::Kept | Kind::AtSignal | Kind::Returning | Kind::Newcomer)
                && visit.sent.is_some_and(|sent| sent >= signal)
                && is_done(visit)
        });
        self.add(Weight::Event, served, |n| {
            format!("{n} that came after the signal are served all the same")
        });
        let completed = self.ended(|visit| {
            matches!(visit.kind, Kind::Medium | Kind::Upload | Kind::Stream)
                && visit.ended > signal
                && is_done(visit)
        });
        self.add(Weight::Event, completed, |n| {
            count(n, "job under way completes while draining", "jobs under way complete while draining")
        });
        let refused = self.ended(is_turned_away);
        let how = self.how_turned_away();
        self.add(Weight::Event, refused, |n| {
            count(n, "newcomer is turned away", "newcomers are turned away") + &how
        });
        let idle = self.ended(|visit| visit.sent.is_none() && matches!(visit.outcome, Outcome::Silent));
        self.add(Weight::Event, idle, |n| {
            count(n, "idle connection is closed", "idle connections are closed")
        });
    }

    fn hand_over(&mut self) {
        let taken: Vec<_> = self.evidence.hand_overs().map(|notice| notice.acknowledged).collect();
        self.add(Weight::Turn, taken, |n| {
            format!("hand over: the monitor takes {}", count(n, "job", "jobs"))
        });
    }

    fn answers(&mut self) {
        let told = self.begun(|visit| visit.fate(200) == Some(&Fate::HandedOver));
        self.add(Weight::Turn, told, |n| format!("answer: {} told so", count(n, "client is", "clients are")));
        let refused = self.begun(|visit| {
            matches!(visit.fate(503), Some(Fate::Unacknowledged | Fate::InDoubt | Fate::NoJob))
        });
        self.add(Weight::Event, refused, |n| {
            count(
                n,
                "waiting client is told 503, to come again",
                "waiting clients are told 503, to come again",
            )
        });
        let cut = self.ended(|visit| matches!(visit.outcome, Outcome::Cut));
        self.add(Weight::Event, cut, |n| {
            count(
                n,
                "stream that cannot end is cut, for all to see",
                "streams that cannot end are cut, for all to see",
            )
        });
    }

    fn end(&mut self) {
        self.notice(FINISHED, "the monitor hears how it ended");
        let departure = &self.evidence.departure;
        let unused = self.evidence.grace.as_secs_f64() - self.evidence.at(departure.at);
        self.add(Weight::Turn, [departure.at], |_| match departure.killed {
            true => format!("the process is {departure}"),
            false => format!("the process leaves: {departure}, {:.2} s of the grace unused", unused.max(0.0)),
        });
        let bounds = [
            (self.evidence.exit_bound(), "until here it could have stayed"),
            (self.evidence.signal.plus(self.evidence.grace), "here the platform would have sent SIGKILL"),
        ];
        for (at, what) in bounds.into_iter().filter(|(at, _)| *at > departure.at) {
            self.add(Weight::Bound, [at], |_| what.into());
        }
    }

    fn how_turned_away(&self) -> String {
        let turned = self.evidence.visits.iter().filter(|visit| is_turned_away(visit));
        let closed = turned.clone().filter(|visit| visit.answer().is_none()).count();
        let told = turned.count() - closed;
        match (told, closed) {
            (told, 0) => format!(": {told} told 503"),
            (0, closed) => format!(": {closed} found the door shut"),
            (told, closed) => format!(": {told} told 503, {closed} found the door shut"),
        }
    }

    fn notice(&mut self, kind: &str, what: &str) {
        let first = self.evidence.notices.iter().find(|notice| notice.kind == kind);
        self.add(Weight::Event, first.map(|notice| notice.acknowledged), |_| what.into());
    }

    fn first(&self, wanted: impl Fn(&Visit) -> bool) -> Option<Stamp> {
        self.ended(wanted).into_iter().min()
    }

    fn ended(&self, wanted: impl Fn(&Visit) -> bool) -> Vec<Stamp> {
        let visits = self.evidence.visits.iter().filter(|visit| wanted(visit));
        visits.map(|visit| visit.ended).filter(|ended| *ended >= self.evidence.signal).collect()
    }

    fn begun(&self, wanted: impl Fn(&Visit) -> bool) -> Vec<Stamp> {
        let visits = self.evidence.visits.iter().filter(|visit| wanted(visit));
        visits.filter_map(|visit| visit.answer()).map(|answer| answer.first_byte).collect()
    }

    /// Makes one moment of all `stamps`, or none if there are none.
    fn add(
        &mut self,
        weight: Weight,
        stamps: impl IntoIterator<Item = Stamp>,
        what: impl FnOnce(usize) -> String,
    ) {
        let times: Vec<_> = stamps.into_iter().map(|stamp| self.evidence.at(stamp)).collect();
        let at = times.iter().copied().reduce(f64::min);
        let until = times.iter().copied().reduce(f64::max);
        if let (Some(at), Some(until)) = (at, until) {
            self.moments.push(Moment { at, until, what: what(times.len()), weight });
        }
    }
}

fn is_done(visit: &Visit) -> bool {
    visit.answer().is_some_and(|answer| answer.status == 200 && answer.fate.is_none())
}

fn is_turned_away(visit: &Visit) -> bool {
    let refused =
        matches!(visit.outcome, Outcome::NoWayIn(_)) || visit.answer().is_some_and(|a| a.status == 503);
    visit.kind == Kind::Newcomer && refused
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
