//! The promises, checked from the outside: one pure function from what was seen to a verdict on each. Strict
//! where the evidence is clear, and silent where an honest service could have shown the same. Where that is:
//!
//! * *In doubt* says that a commit had begun: its effect may or may not have taken place, and it may have
//!   been handed over. So an effect contradicts every other refusal, but not this one.
//! * A cut stream could not be told the fate of its job. Without effect and hand-over the service must then
//!   at least admit, with its exit code, that something is left.
//! * An acknowledgement sent just before the answer may not have arrived in time to be believed ([`ROOM`]).
//! * On a kept connection a request can cross a close that came first. That is no fault, unless it was sent
//!   so early that the service had no reason to close yet ([`EARLY`]), or its work had begun.
//! * A connection made as the door was shut may be one that only the kernel has seen ([`DOOR`]).

use std::{io::ErrorKind, time::Duration};

use serde::Serialize;

use crate::cast::Kind;
use crate::client::{Answer, Fate, Outcome, Visit};
use crate::ledger::{Entry, Evidence, Job};

/// Room for measuring: what two processes see of one event differs by a few scheduling delays.
const ROOM: Duration = Duration::from_millis(100);

/// What was sent this soon after the signal was on its way when it came, and is owed an answer.
const EARLY: Duration = Duration::from_millis(50);

/// How near to the closing of the door a connection is made that nobody could accept any more. (Clients knock every 50 ms
/// or so, and the first refusal is what shows that it is shut.)
const DOOR: Duration = Duration::from_millis(50);

/// The verdict on one promise.
#[derive(Serialize)]
pub struct Verdict {
    pub number: u8,
    pub name: &'static str,
    pub holds: bool,
    /// What it rests on, in one line.
    pub detail: String,
    /// Each breach, naming the job or the client.
    pub breaches: Vec<String>,
}

impl Verdict {
    fn new(number: u8, name: &'static str, detail: String, breaches: Vec<String>) -> Self {
        Self { number, name, holds: breaches.is_empty(), detail, breaches }
    }
}

pub fn check(evidence: &Evidence) -> Vec<Verdict> {
    vec![
        on_time(evidence),
        accounted_for(evidence),
        answered_once(evidence),
        no_false_success(evidence),
        hand_over_first(evidence),
        says_what_it_did(evidence),
    ]
}

fn on_time(evidence: &Evidence) -> Verdict {
    let departure = &evidence.departure;
    let (left, bound) = (evidence.at(departure.at), evidence.at(evidence.exit_bound()));
    let mut breaches = Vec::new();
    if departure.killed {
        breaches.push(format!("still there when the grace of {:?} was over, and killed", evidence.grace));
    } else if left > bound + ROOM.as_secs_f64() {
        breaches.push(format!("left {:.2} s after the time by which it had to", left - bound));
    }
    let detail = format!("gone {left:.2} s after the signal, of {bound:.2} s allowed");
    Verdict::new(1, "on time", detail, breaches)
}

fn accounted_for(evidence: &Evidence) -> Verdict {
    let jobs = evidence.jobs();
    let breaches = jobs
        .iter()
        .flat_map(|(id, job)| {
            let found = miscounted(job).into_iter().chain(misplaced(job, evidence));
            found.map(move |what| format!("{id}: {what}"))
        })
        .collect();
    let started = jobs.values().filter(|job| job.started > 0);
    let done = started.clone().filter(|job| job.is_done()).count();
    let taken = started.clone().filter(|job| !job.is_done() && job.acknowledged().is_some()).count();
    let all = started.count();
    let mut detail = format!("{all} jobs started: {done} completed, {taken} handed over");
    if done + taken < all {
        detail += &format!(", {} neither", all - done - taken);
    }
    Verdict::new(3, "every job accounted for once", detail, breaches)
}

/// What one job cannot have more than once, or without the other.
fn miscounted(job: &Job<'_>) -> Vec<String> {
    let mut breaches = Vec::new();
    if job.started > 1 {
        breaches.push(format!("started {} times", job.started));
    }
    if job.done > 1 {
        breaches.push(format!("done {} times", job.done));
    }
    if job.done > 0 && job.started == 0 {
        breaches.push("done without having started".into());
    }
    if job.hand_overs.len() > 1 {
        breaches.push(format!("handed over {} times, as events of different ids", job.hand_overs.len()));
    }
    breaches
}

/// A job on two lists, or on none.
fn misplaced(job: &Job<'_>, evidence: &Evidence) -> Option<String> {
    match job.acknowledged() {
        Some(_) if job.is_done() => {
            let unclear = job.is_in_doubt() || job.is_cut();
            (!unclear).then(|| "both done and handed over".into())
        }
        Some(acknowledged) => {
            let answer = job.visit?.answer()?;
            let early = acknowledged.plus(ROOM) < answer.first_byte;
            let denied = answer.status == 503 && !job.is_in_doubt();
            (denied && early).then(|| {
                let later = answer.first_byte.since(acknowledged);
                format!("acknowledged, yet its client was told otherwise {later:.2} s later")
            })
        }
        None if job.is_done() || job.started == 0 => None,
        None => lost(job, evidence),
    }
}

/// A job that started, had no effect and was not handed over: its client must have been told so.
fn lost(job: &Job<'_>, evidence: &Evidence) -> Option<String> {
    let Some(visit) = job.visit else {
        return Some("started, then lost, and no client of ours had asked for it".into());
    };
    match visit.fate(503) {
        Some(Fate::Unacknowledged | Fate::InDoubt) => None,
        _ if job.is_cut() && evidence.departure.code != Some(0) => None,
        _ => Some(format!("started, but neither done nor handed over, and its client got {visit}")),
    }
}

fn answered_once(evidence: &Evidence) -> Verdict {
    let breaches = evidence
        .visits
        .iter()
        .filter_map(|visit| unanswered(visit, evidence).map(|what| name(visit, &what)))
        .collect();
    let sent = evidence.visits.iter().filter(|visit| visit.sent.is_some());
    let answered = sent.clone().filter(|visit| visit.answer().is_some()).count();
    let cut = sent.clone().filter(|visit| matches!(visit.outcome, Outcome::Cut)).count();
    let detail = format!("{} requests: {answered} whole answers, {cut} visible cuts", sent.count());
    Verdict::new(4, "every exchange answered once", detail, breaches)
}

/// What is wrong with the way in which a client was answered, whatever the answer says.
fn unanswered(visit: &Visit, evidence: &Evidence) -> Option<String> {
    match &visit.outcome {
        Outcome::Answered(Answer { extra: 0, .. }) | Outcome::NoWayIn(_) => None,
        Outcome::Answered(answer) => Some(format!("{} bytes after the end of its answer", answer.extra)),
        Outcome::Unsolicited(_) => Some(format!("got {visit}")),
        _ if visit.sent.is_none() => None,
        Outcome::Cut if visit.kind.is_stream() => None,
        Outcome::Silent if is_crossing(visit, evidence) => None,
        Outcome::Silent | Outcome::Reset if is_at_the_door(visit, evidence) => None,
        _ => Some(format!("sent a request and got {visit}")),
    }
}

/// A request on a kept connection that met the close coming the other way: the service never read it.
pub fn is_crossing(visit: &Visit, evidence: &Evidence) -> bool {
    let late = visit.sent.is_some_and(|sent| sent > evidence.signal.plus(EARLY));
    let was_read = || {
        let started = visit.job.clone().map(Entry::Started);
        started.is_some_and(|started| evidence.entries.contains(&started))
    };
    visit.reused && late && matches!(visit.outcome, Outcome::Silent) && !was_read()
}

/// A new connection that came as the door was shut: between the last look into the accept queue and that there is a
/// moment which no system call closes. It shuts when newcomers begin to be refused, or with the process.
pub fn is_at_the_door(visit: &Visit, evidence: &Evidence) -> bool {
    let refused = |visit: &&Visit| {
        matches!(visit.outcome, Outcome::NoWayIn(ErrorKind::ConnectionRefused))
            && visit.ended > evidence.signal
    };
    let refusals = evidence.visits.iter().filter(refused).map(|visit| visit.ended);
    let shut = refusals.min().map_or(evidence.departure.at, |first| first.min(evidence.departure.at));
    let late = visit.connected.is_some_and(|made| made > shut.minus(DOOR));
    !visit.reused && late && matches!(visit.outcome, Outcome::Silent | Outcome::Reset)
}

fn no_false_success(evidence: &Evidence) -> Verdict {
    let jobs = evidence.jobs();
    let mut breaches = Vec::new();
    let mut successes = 0;
    for visit in evidence.visits.iter().filter(|visit| visit.kind != Kind::Probe) {
        let (Some(answer), Some(id)) = (visit.answer(), visit.job.as_deref()) else { continue };
        let Some(job) = jobs.get(id) else { continue };
        successes += usize::from(is_success(answer));
        breaches.extend(untrue(answer, id, job).map(|what| name(visit, &what)));
    }
    let detail = format!("{successes} times 200, each completed or acknowledged");
    Verdict::new(5, "no success for work nobody knows of", detail, breaches)
}

fn is_success(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

/// What an answer says that is not so.
fn untrue(answer: &Answer, id: &str, job: &Job<'_>) -> Option<String> {
    let taken = job.acknowledged().is_some();
    if let Some(Fate::Unknown(fate)) = &answer.fate {
        return Some(format!("told a fate that does not exist, {fate:?}"));
    }
    if answer.status == 503 {
        return untrue_refusal(answer, job);
    }
    if !is_success(answer) {
        return None;
    }
    match &answer.fate {
        Some(Fate::HandedOver) if job.is_done() => Some("told handed-over, but it was done".into()),
        Some(Fate::HandedOver) if !taken => Some("told handed-over, but nobody acknowledged it".into()),
        Some(Fate::HandedOver) if answer.job.as_deref() != Some(id) => {
            Some("told handed-over without its id".into())
        }
        Some(Fate::HandedOver) => None,
        Some(Fate::Completed) | None if !job.is_done() => {
            Some(format!("told {} and done, but it has had no effect", answer.status))
        }
        None if !answer.body.trim_end().ends_with(&format!("done {id}")) => {
            Some(format!("told 200, but the answer does not end with \"done {id}\""))
        }
        Some(Fate::Completed) | None => None,
        Some(fate) => Some(format!("told {} and {fate}, which contradict each other", answer.status)),
    }
}

fn untrue_refusal(answer: &Answer, job: &Job<'_>) -> Option<String> {
    match &answer.fate {
        _ if !answer.retry_after => Some("told 503 without Retry-After".into()),
        Some(Fate::InDoubt) => None,
        Some(fate @ (Fate::HandedOver | Fate::Completed)) => {
            Some(format!("told 503 and {fate}, which contradict each other"))
        }
        _ if job.is_done() => Some("told 503, but it was done".into()),
        _ => None,
    }
}

fn hand_over_first(evidence: &Evidence) -> Verdict {
    let jobs = evidence.jobs();
    let told = evidence.visits.iter().filter(|visit| visit.fate(200) == Some(&Fate::HandedOver));
    let waits: Vec<_> = told
        .filter_map(|visit| {
            let acknowledged = jobs.get(visit.job.as_deref()?)?.acknowledged()?;
            Some((visit, visit.answer()?.first_byte.since(acknowledged)))
        })
        .collect();
    let breaches = waits
        .iter()
        .filter(|(_, wait)| *wait < 0.0)
        .map(|(visit, wait)| {
            name(visit, &format!("told handed-over {:.1} ms before the acknowledgement", -wait * 1e3))
        })
        .collect();
    let soonest = waits.iter().map(|(_, wait)| *wait).min_by(f64::total_cmp);
    let detail = match soonest {
        Some(wait) if wait >= 0.0 => {
            let count = waits.len();
            format!("{count} told handed-over, the first {:.1} ms after the acknowledgement", wait * 1e3)
        }
        Some(_) => format!("{} told handed-over", waits.len()),
        None => "nobody was told handed-over".into(),
    };
    Verdict::new(6, "hand over, then answer", detail, breaches)
}

fn says_what_it_did(evidence: &Evidence) -> Verdict {
    let mut breaches = Vec::new();
    let departure = &evidence.departure;
    if !departure.killed && !matches!(departure.code, Some(0 | 1)) {
        breaches.push(format!("{departure}, which is neither success nor failure of a shutdown"));
    }
    if evidence.report.trim().is_empty() {
        breaches.push("left without a report on stderr".into());
    }
    let lines = evidence.report.lines().count();
    Verdict::new(10, "says what it did", format!("{departure}, a report of {lines} lines"), breaches)
}

/// The client of a breach: its job if it has one, else its kind.
fn name(visit: &Visit, what: &str) -> String {
    match &visit.job {
        Some(id) => format!("{id}: {what}"),
        None => format!("{}: {what}", visit.kind.describe()),
    }
}

#[cfg(test)]
mod tests;
