//! What is worth a remark although it breaks no promise: where the play went otherwise than it was written.
//! On a slow or busy machine some of these are to be expected.

use crate::cast::Kind;
use crate::client::{Fate, Outcome, Visit};
use crate::ledger::Evidence;
use crate::monitor::{DRAINING, FINISHED};
use crate::promises::{is_at_the_door, is_crossing};

pub fn of(evidence: &Evidence) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(crossings(evidence));
    notes.extend(unfinished(evidence));
    notes.extend(untaken(evidence));
    notes.extend(unheard(evidence));
    notes.extend(early_doors(evidence));
    notes.extend(rudeness(evidence));
    notes.extend(modesty(evidence));
    notes
}

fn crossings(evidence: &Evidence) -> Vec<String> {
    let crossed = count(evidence, |visit| is_crossing(visit, evidence));
    let knocked = count(evidence, |visit| is_at_the_door(visit, evidence));
    let mut notes = Vec::new();
    if crossed > 0 {
        notes.push(format!(
            "{crossed} requests crossed the close of their kept connection, well after the signal"
        ));
    }
    if knocked > 0 {
        notes.push(format!("{knocked} newcomers connected in the last moment, to nobody"));
    }
    notes
}

/// Those who were given time to finish, and did not.
fn unfinished(evidence: &Evidence) -> Vec<String> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.can_finish());
    kinds
        .filter_map(|kind| {
            let in_time =
                |visit: &&Visit| visit.kind == kind && visit.sent.is_some_and(|sent| sent < evidence.signal);
            let done = |visit: &&Visit| visit.answer().is_some_and(|a| a.status == 200 && a.fate.is_none());
            let others = evidence.visits.iter().filter(in_time).filter(|visit| !done(visit));
            let first = others.clone().next()?;
            let who = kind.describe();
            Some(format!(
                "{} of \"{who}\" had time to finish and did not; the first got {first}",
                others.count()
            ))
        })
        .collect()
}

/// Those who could not finish, and were not handed over although the monitor was well.
fn untaken(evidence: &Evidence) -> Option<String> {
    let untaken = count(evidence, |visit| {
        visit.kind.cannot_finish()
            && matches!(visit.fate(503), Some(Fate::Unacknowledged | Fate::InDoubt | Fate::NotStarted))
    });
    (untaken > 0).then(|| format!("{untaken} long jobs were not handed over, although the monitor was well"))
}

/// News that somebody should have had.
fn unheard(evidence: &Evidence) -> Vec<String> {
    let heard = |kind: &str| evidence.notices.iter().any(|notice| notice.kind == kind);
    let red = count(evidence, |visit| {
        visit.kind == Kind::Probe && visit.answer().is_some_and(|answer| answer.status == 503)
    });
    [
        (heard(DRAINING), "the monitor was never told that draining had begun"),
        (heard(FINISHED), "the monitor was never told how it ended"),
        (red > 0, "readiness was never seen to go red"),
    ]
    .into_iter()
    .filter(|(happened, _)| !happened)
    .map(|(_, note)| note.to_owned())
    .collect()
}

/// A door that was shut while clients could not yet know.
fn early_doors(evidence: &Evidence) -> Option<String> {
    let early = count(evidence, |visit| {
        matches!(visit.outcome, Outcome::NoWayIn(_))
            && visit.kind != Kind::Newcomer
            && visit.ended < evidence.signal.plus(std::time::Duration::from_millis(50))
    });
    (early > 0).then(|| format!("{early} clients found the door shut before the signal could be known"))
}

fn rudeness(evidence: &Evidence) -> Option<String> {
    let reset = count(evidence, |visit| visit.sent.is_none() && matches!(visit.outcome, Outcome::Reset));
    (reset > 0).then(|| format!("{reset} idle connections were reset instead of closed"))
}

/// A service that says it failed where nothing of it is to be seen, or the other way round.
fn modesty(evidence: &Evidence) -> Option<String> {
    let jobs = evidence.jobs();
    let mut started = jobs.values().filter(|job| job.started > 0);
    let all_well = started.all(|job| job.is_done() || job.acknowledged().is_some());
    match (evidence.departure.code, all_well) {
        (Some(1), true) => {
            Some("it left with 1 although every job was completed or taken; its report says why".into())
        }
        (Some(0), false) => Some("it left with 0 although not every job was completed or taken".into()),
        _ => None,
    }
}

fn count(evidence: &Evidence, wanted: impl Fn(&Visit) -> bool) -> usize {
    evidence.visits.iter().filter(|visit| wanted(visit)).count()
}
