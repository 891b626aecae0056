//! What was seen, condensed to what a reader wants: the same numbers for the story on the terminal and for
//! `--json`.

use std::time::Duration;

use serde::Serialize;

use crate::cast::Kind;
use crate::client::{Fate, Outcome, Visit};
use crate::ledger::Evidence;
use crate::notes;
use crate::options::Options;
use crate::promises::{self, Verdict};
use crate::timeline::{self, Moment};

#[derive(Serialize)]
pub struct Summary {
    pub held: bool,
    pub seed: u64,
    pub runtime: String,
    pub threads: usize,
    pub exit: Exit,
    pub jobs: Jobs,
    pub clients: Vec<Row>,
    pub timeline: Vec<Moment>,
    pub notes: Vec<String>,
    pub promises: Vec<Verdict>,
    /// The service's own report, as it wrote it.
    pub report: String,
}

/// How the process left; times in seconds after the signal.
#[derive(Serialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub killed: bool,
    pub left: f64,
    pub bound: f64,
    pub grace: f64,
    pub unused: f64,
    /// When the first job was handed over, and when the last client had its answer.
    pub handed_over: Option<f64>,
    pub answered: Option<f64>,
}

/// The fates of the jobs whose work had begun.
#[derive(Default, Serialize)]
pub struct Jobs {
    pub started: usize,
    pub completed: usize,
    pub handed_over: usize,
    pub unacknowledged: usize,
    pub in_doubt: usize,
    pub lost: usize,
}

/// What the clients of one kind got.
#[derive(Serialize)]
pub struct Row {
    pub kind: Kind,
    pub who: &'static str,
    #[serde(flatten)]
    pub counts: Counts,
    /// When the last of them had what it got, in seconds after the signal.
    pub last: Option<f64>,
}

#[derive(Default, Serialize)]
pub struct Counts {
    pub requests: usize,
    /// Answered by the handler, or known to be completed.
    pub done: usize,
    pub handed_over: usize,
    pub refused: usize,
    pub cut: usize,
    pub no_way_in: usize,
    /// Closed without a byte and with every right: idle connections, and requests that crossed the close.
    pub closed: usize,
    pub other: usize,
}

impl Summary {
    pub fn of(evidence: &Evidence, options: &Options) -> Self {
        let promises = promises::check(evidence);
        Self {
            held: promises.iter().all(|verdict| verdict.holds),
            seed: options.seed,
            runtime: options.runtime.clone(),
            threads: options.threads,
            exit: Exit::of(evidence),
            jobs: Jobs::of(evidence),
            clients: Kind::ALL.iter().filter_map(|kind| Row::of(*kind, evidence)).collect(),
            timeline: timeline::of(evidence),
            notes: notes::of(evidence),
            promises,
            report: evidence.report.clone(),
        }
    }
}

impl Exit {
    fn of(evidence: &Evidence) -> Self {
        let departure = &evidence.departure;
        let grace = evidence.grace.as_secs_f64();
        let left = evidence.at(departure.at);
        let waiting =
            evidence.visits.iter().filter(|visit| visit.kind != Kind::Probe && visit.sent.is_some());
        Self {
            code: departure.code,
            signal: departure.signal,
            killed: departure.killed,
            left,
            bound: evidence.at(evidence.exit_bound()),
            grace,
            unused: (grace - left).max(0.0),
            handed_over: evidence
                .hand_overs()
                .map(|notice| evidence.at(notice.acknowledged))
                .reduce(f64::min),
            answered: waiting
                .filter_map(|visit| visit.answer())
                .map(|answer| evidence.at(answer.first_byte))
                .reduce(f64::max),
        }
    }
}

impl Jobs {
    fn of(evidence: &Evidence) -> Self {
        let mut jobs = Self::default();
        for job in evidence.jobs().values().filter(|job| job.started > 0) {
            jobs.started += 1;
            let fate = job.visit.and_then(|visit| visit.fate(503));
            let count = match fate {
                _ if job.is_done() => &mut jobs.completed,
                _ if job.acknowledged().is_some() => &mut jobs.handed_over,
                Some(Fate::Unacknowledged) => &mut jobs.unacknowledged,
                Some(Fate::InDoubt) => &mut jobs.in_doubt,
                _ => &mut jobs.lost,
            };
            *count += 1;
        }
        jobs
    }
}

impl Row {
    fn of(kind: Kind, evidence: &Evidence) -> Option<Self> {
        let visits = evidence.visits.iter().filter(|visit| visit.kind == kind);
        let mut counts = Counts::default();
        for visit in visits.clone() {
            counts.requests += usize::from(visit.sent.is_some() || visit.connected.is_none());
            *counts.column(visit, evidence) += 1;
        }
        let last = visits.map(|visit| evidence.at(visit.ended)).reduce(f64::max);
        last.is_some().then(|| Self { kind, who: kind.describe(), counts, last })
    }
}

impl Counts {
    fn column(&mut self, visit: &Visit, evidence: &Evidence) -> &mut usize {
        match &visit.outcome {
            Outcome::Answered(answer) => match (answer.status, &answer.fate) {
                (200, None | Some(Fate::Completed)) => &mut self.done,
                (200, Some(Fate::HandedOver)) => &mut self.handed_over,
                (503, _) => &mut self.refused,
                _ => &mut self.other,
            },
            Outcome::Cut => &mut self.cut,
            Outcome::NoWayIn(_) => &mut self.no_way_in,
            Outcome::Silent if visit.sent.is_none() => &mut self.closed,
            _ if promises::is_crossing(visit, evidence) => &mut self.closed,
            _ => &mut self.other,
        }
    }
}

/// Seconds for people: two decimals, and the sign that a timeline needs.
pub fn seconds(time: f64) -> String {
    let rounded = (time * 100.0).round() / 100.0;
    if rounded < 0.0 {
        format!("−{:.2}", -rounded)
    } else if rounded > 0.0 {
        format!("+{rounded:.2}")
    } else {
        "0.00".into()
    }
}

/// The same for a duration, without a sign.
pub fn short(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
