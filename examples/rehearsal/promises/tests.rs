//! Each check is shown evidence that is as it should be, and then the same evidence with one thing broken: a
//! check that cannot fail is worth nothing. The ambiguous cases are here too, so that strictness stays true.

use super::*;
use crate::clock::Stamp;
use crate::monitor::{INCOMPLETE, Notice};
use crate::process::Departure;

/// A stamp `ms` after the signal.
fn at(ms: i64) -> Stamp {
    let signal: Stamp = serde_json::from_str("1000000000000000000").unwrap();
    let time = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { signal.minus(time) } else { signal.plus(time) }
}

fn answer(status: u16, fate: Option<Fate>, body: &str, ms: i64) -> Outcome {
    let (retry_after, body) = (status == 503, body.to_owned());
    let job = (fate == Some(Fate::HandedOver)).then(|| "long".to_owned());
    let first_byte = at(ms);
    Outcome::Answered(Answer { status, fate, job, retry_after, body, first_byte, extra: 0, is_last: true })
}

fn visit(kind: Kind, job: &str, outcome: Outcome) -> Visit {
    let (connected, sent, ended) = (Some(at(-100)), Some(at(-100)), at(3300));
    Visit { kind, job: Some(job.into()), reused: false, connected, sent, ended, outcome }
}

fn notice(id: &str, job: &str, ms: i64) -> Notice {
    Notice { kind: INCOMPLETE.into(), id: id.into(), subject: Some(job.into()), acknowledged: at(ms) }
}

fn started(id: &str) -> Entry {
    Entry::Started(id.into())
}

fn done(id: &str) -> Entry {
    Entry::Done(id.into())
}

/// A rehearsal in which every promise held: one job done, one handed over, one refused, one stream cut.
fn good() -> Evidence {
    Evidence {
        grace: Duration::from_secs(5),
        signal: at(0),
        departure: Departure { at: at(3500), code: Some(0), signal: None, killed: false },
        visits: vec![
            visit(Kind::Medium, "medium", answer(200, None, "done medium\n", 900)),
            visit(Kind::Long, "long", answer(200, Some(Fate::HandedOver), "handed over\n", 3200)),
            visit(Kind::Newcomer, "late", answer(503, Some(Fate::NotStarted), "", 3200)),
            visit(Kind::LongStream, "cut", Outcome::Cut),
        ],
        notices: vec![notice("1", "long", 3190), notice("2", "cut", 3190)],
        entries: vec![started("medium"), started("long"), started("cut"), done("medium")],
        report: "all is well\n".into(),
    }
}

const NOTHING: [u8; 0] = [];

/// The numbers of the promises that `change` breaks.
fn broken_by(change: impl FnOnce(&mut Evidence)) -> Vec<u8> {
    let mut evidence = good();
    change(&mut evidence);
    check(&evidence).iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.number).collect()
}

/// The answer of the visit at `index` in [`good`].
fn answer_of(evidence: &mut Evidence, index: usize) -> &mut Answer {
    match &mut evidence.visits[index].outcome {
        Outcome::Answered(answer) => answer,
        other => panic!("not answered: {other:?}"),
    }
}

/// Replaces what happened to the long job: what the log and the monitor say of it, and what its client got.
fn long(evidence: &mut Evidence, log: &[Entry], acknowledged: Option<i64>, outcome: Outcome) {
    evidence.entries.retain(|entry| !matches!(entry, Entry::Started(id) | Entry::Done(id) if id == "long"));
    evidence.entries.extend_from_slice(log);
    evidence.notices.retain(|notice| notice.subject.as_deref() != Some("long"));
    evidence.notices.extend(acknowledged.map(|ms| notice("1", "long", ms)));
    evidence.visits[1].outcome = outcome;
}

fn refused(fate: Fate) -> Outcome {
    answer(503, Some(fate), "", 3300)
}

#[test]
fn nothing_is_broken_when_all_is_well() {
    assert_eq!(broken_by(|_| {}), NOTHING);
}

#[test]
fn leaving_late_breaks_promise_one() {
    assert_eq!(broken_by(|e| e.departure.at = at(4840)), NOTHING);
    assert_eq!(broken_by(|e| e.departure.at = at(4860)), [1]);
}

#[test]
fn having_to_be_killed_breaks_promise_one() {
    let killed = Departure { at: at(5000), code: None, signal: Some(9), killed: true };
    assert_eq!(broken_by(|e| e.departure = killed), [1]);
}

#[test]
fn a_job_done_twice_breaks_promise_three() {
    assert_eq!(broken_by(|e| e.entries.push(done("medium"))), [3]);
}

#[test]
fn a_job_started_twice_breaks_promise_three() {
    assert_eq!(broken_by(|e| e.entries.push(started("long"))), [3]);
}

#[test]
fn an_effect_without_a_start_breaks_promise_three() {
    assert_eq!(broken_by(|e| e.entries.retain(|entry| *entry != started("medium"))), [3]);
}

#[test]
fn a_job_handed_over_as_two_events_breaks_promise_three() {
    assert_eq!(broken_by(|e| e.notices.push(notice("3", "long", 3195))), [3]);
}

#[test]
fn a_retry_of_the_same_event_is_no_second_hand_over() {
    assert_eq!(broken_by(|e| e.notices.push(notice("1", "long", 3250))), NOTHING);
}

#[test]
fn a_job_on_no_list_breaks_promise_three() {
    assert_eq!(broken_by(|e| long(e, &[started("long")], None, refused(Fate::Unacknowledged))), NOTHING);
    assert_eq!(broken_by(|e| long(e, &[started("long")], None, refused(Fate::InDoubt))), NOTHING);
    assert_eq!(broken_by(|e| long(e, &[started("long")], None, refused(Fate::NotStarted))), [3]);
    assert_eq!(broken_by(|e| long(e, &[started("long")], None, refused(Fate::NoJob))), [3]);
    assert_eq!(broken_by(|e| long(e, &[started("long")], None, Outcome::Reset)), [3, 4]);
}

#[test]
fn a_job_started_for_nobody_and_lost_breaks_promise_three() {
    assert_eq!(broken_by(|e| e.entries.push(started("stray"))), [3]);
}

#[test]
fn a_job_done_and_handed_over_breaks_promise_three() {
    assert_eq!(broken_by(|e| e.notices.push(notice("3", "medium", 3190))), [3]);
}

#[test]
fn a_job_in_doubt_may_be_both_done_and_handed_over() {
    let log = [started("long"), done("long")];
    assert_eq!(broken_by(|e| long(e, &log, Some(3190), refused(Fate::InDoubt))), NOTHING);
}

#[test]
fn an_acknowledgement_denied_long_after_breaks_promise_three() {
    let log = [started("long")];
    assert_eq!(broken_by(|e| long(e, &log, Some(3190), refused(Fate::Unacknowledged))), [3]);
    assert_eq!(broken_by(|e| long(e, &log, Some(3250), refused(Fate::Unacknowledged))), NOTHING);
}

#[test]
fn a_cut_stream_whose_job_nobody_took_must_show_in_the_exit_code() {
    let untaken = |e: &mut Evidence| e.notices.retain(|notice| notice.id != "2");
    assert_eq!(broken_by(untaken), [3]);
    assert_eq!(
        broken_by(|e| {
            untaken(e);
            e.departure.code = Some(1);
        }),
        NOTHING
    );
}

#[test]
fn a_request_without_an_answer_breaks_promise_four() {
    for outcome in [
        Outcome::Reset,
        Outcome::Silent,
        Outcome::Late,
        Outcome::HalfHead,
        Outcome::Cut,
        Outcome::Garbled("x".into()),
    ] {
        let shown = format!("{outcome:?}");
        assert_eq!(broken_by(|e| e.visits[2].outcome = outcome), [4], "{shown}");
    }
}

#[test]
fn bytes_after_the_end_of_an_answer_break_promise_four() {
    assert_eq!(broken_by(|e| answer_of(e, 0).extra = 1), [4]);
}

#[test]
fn bytes_that_nobody_asked_for_break_promise_four() {
    let idle = Visit { sent: None, job: None, ..visit(Kind::Idle, "", Outcome::Unsolicited(5)) };
    assert_eq!(broken_by(|e| e.visits.push(idle)), [4]);
}

#[test]
fn an_idle_connection_may_be_closed() {
    let idle = Visit { sent: None, job: None, ..visit(Kind::Idle, "", Outcome::Silent) };
    assert_eq!(broken_by(|e| e.visits.push(idle)), NOTHING);
}

#[test]
fn nobody_who_finds_the_door_shut_was_left_without_an_answer() {
    let refused = Outcome::NoWayIn(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(broken_by(|e| e.visits[2].outcome = refused), NOTHING);
}

#[test]
fn a_request_may_cross_the_close_of_a_kept_connection_but_not_at_the_signal() {
    let crossing = |sent, reused| {
        let visit = Visit { sent: Some(at(sent)), reused, ..visit(Kind::Kept, "kept", Outcome::Silent) };
        broken_by(|e| e.visits.push(visit))
    };
    assert_eq!(crossing(400, true), NOTHING);
    assert_eq!(crossing(40, true), [4]);
    assert_eq!(crossing(-40, true), [4]);
    assert_eq!(crossing(400, false), [4]);
}

#[test]
fn a_request_whose_work_was_done_did_not_cross_the_close() {
    let visit = Visit { sent: Some(at(400)), reused: true, ..visit(Kind::Kept, "kept", Outcome::Silent) };
    assert_eq!(
        broken_by(|e| {
            e.visits.push(visit);
            e.entries.extend([started("kept"), done("kept")]);
        }),
        [4]
    );
}

#[test]
fn a_reset_on_a_kept_connection_breaks_promise_four_at_any_time() {
    let visit = Visit { sent: Some(at(400)), reused: true, ..visit(Kind::Kept, "kept", Outcome::Reset) };
    assert_eq!(broken_by(|e| e.visits.push(visit)), [4]);
}

#[test]
fn only_a_connection_made_as_the_process_left_may_be_reset() {
    let knock = |made| {
        let connected = Some(at(made));
        let visit = Visit { connected, sent: connected, ..visit(Kind::Newcomer, "new", Outcome::Reset) };
        broken_by(|e| e.visits.push(visit))
    };
    assert_eq!(knock(3490), NOTHING);
    assert_eq!(knock(3300), [4]);
}

#[test]
fn a_connection_made_as_the_door_was_shut_may_be_reset() {
    let knock = |made| {
        let connected = Some(at(made));
        let visit = Visit { connected, sent: connected, ..visit(Kind::Newcomer, "new", Outcome::Reset) };
        let refusal = Outcome::NoWayIn(std::io::ErrorKind::ConnectionRefused);
        let refused = Visit { ended: at(3100), ..self::visit(Kind::Newcomer, "refused", refusal) };
        broken_by(|e| e.visits.extend([visit, refused]))
    };
    assert_eq!(knock(3090), NOTHING);
    assert_eq!(knock(2900), [4]);
}

#[test]
fn a_success_without_effect_or_acknowledgement_breaks_promise_five() {
    let done = answer(200, None, "done long\n", 3200);
    let completed = answer(200, Some(Fate::Completed), "", 3200);
    let handed_over = answer(200, Some(Fate::HandedOver), "handed over\n", 3200);
    for outcome in [done, completed, handed_over] {
        let shown = format!("{outcome:?}");
        assert_eq!(broken_by(|e| long(e, &[], None, outcome)), [5], "{shown}");
    }
}

#[test]
fn done_for_a_job_that_was_only_handed_over_breaks_promise_five() {
    let outcome = answer(200, None, "done long\n", 3200);
    assert_eq!(broken_by(|e| long(e, &[started("long")], Some(3190), outcome)), [5]);
}

#[test]
fn handed_over_for_a_job_that_was_done_breaks_promises_three_and_five() {
    let log = [started("long"), done("long")];
    let outcome = answer(200, Some(Fate::HandedOver), "handed over\n", 3200);
    assert_eq!(broken_by(|e| long(e, &log, Some(3190), outcome)), [3, 5]);
}

#[test]
fn handed_over_without_the_id_of_the_job_breaks_promise_five() {
    assert_eq!(broken_by(|e| answer_of(e, 1).job = Some("somebody else".into())), [5]);
}

#[test]
fn an_answer_for_another_job_breaks_promise_five() {
    assert_eq!(broken_by(|e| answer_of(e, 0).body = "done other\n".into()), [5]);
}

#[test]
fn a_refusal_of_a_job_that_was_done_breaks_promise_five_unless_in_doubt() {
    let log = [started("long"), done("long")];
    for fate in [Fate::Unacknowledged, Fate::NotStarted, Fate::NoJob] {
        assert_eq!(broken_by(|e| long(e, &log, None, refused(fate))), [5]);
    }
    assert_eq!(broken_by(|e| long(e, &log, None, refused(Fate::InDoubt))), NOTHING);
}

#[test]
fn a_refusal_without_retry_after_breaks_promise_five() {
    assert_eq!(broken_by(|e| answer_of(e, 2).retry_after = false), [5]);
}

#[test]
fn a_status_that_contradicts_its_fate_breaks_promise_five() {
    assert_eq!(broken_by(|e| answer_of(e, 2).fate = Some(Fate::HandedOver)), [5]);
    assert_eq!(broken_by(|e| answer_of(e, 0).fate = Some(Fate::NotStarted)), [5]);
    assert_eq!(broken_by(|e| answer_of(e, 0).fate = Some(Fate::Unknown("lost".into()))), [5]);
}

#[test]
fn an_answer_before_the_acknowledgement_breaks_promise_six() {
    assert_eq!(broken_by(|e| answer_of(e, 1).first_byte = at(3189)), [6]);
}

#[test]
fn an_exit_that_says_nothing_breaks_promise_ten() {
    assert_eq!(broken_by(|e| e.departure.code = Some(101)), [10]);
    assert_eq!(broken_by(|e| e.report = "\n".into()), [10]);
    assert_eq!(broken_by(|e| e.departure.code = Some(1)), NOTHING);
}
