//! Claim against begin, complete, commit and drop: of each job exactly one says how it ended, and none is lost.

use std::sync::Arc;

use super::{Data, block_on, every, join, spawn};
use crate::{Claims, Fate, Jobs, JobsReport, Taken, host::System, ledger::Ledger};

/// A store, and the shutdown's side of it.
#[derive(Clone)]
struct Service {
    jobs: Jobs<()>,
    ledger: Arc<Ledger>,
}

impl Service {
    fn new(jobs: Jobs<()>) -> Self {
        Service { jobs, ledger: Ledger::new(System::shared()) }
    }

    fn claim(&self) {
        self.jobs.claim(&Claims::new(self.ledger.clone(), "jobs".into()));
    }
}

/// How many jobs the report has, in all its parts.
fn all(report: &JobsReport) -> u64 {
    let named = report.handed_over.len() + report.unacknowledged.len() + report.in_doubt.len();
    report.completed + report.failed + report.unnamed_in_doubt + named as u64
}

/// What the worker was told is what the report says.
fn complete_against_claim(jobs: Jobs<()>) {
    let service = Service::new(jobs);
    let job = service.jobs.begin_unnamed(()).expect("it is open");
    let worker = loom::thread::spawn(move || job.complete());
    service.claim();
    let completed = join(worker).is_ok();
    let report = service.ledger.close();
    assert_eq!(report.completed, u64::from(completed), "{report:?}");
    assert_eq!(report.unacknowledged.len(), usize::from(!completed), "{report:?}");
    assert_eq!(all(&report), 1, "{report:?}");
}

/// Fails if `claim` takes the slots and the counts in two steps.
#[test]
fn a_job_that_completes_while_it_is_claimed_is_the_workers_or_the_shutdowns() {
    every(|| complete_against_claim(Jobs::new()));
}

/// The mutant that is always there: a word that looks first and marks later.
#[test]
#[should_panic(expected = "assertion")]
fn a_torn_word_is_found_out() {
    every(|| complete_against_claim(Jobs::torn()));
}

/// Fails if `begin` counts in the gate and lists in the shard without looking whether the claim has been, and if `claim`
/// pushes before it has shut the shard.
#[test]
fn a_job_that_begins_while_its_store_is_claimed_is_refused_or_claimed() {
    every(|| {
        let service = Service::new(Jobs::new());
        let begins = spawn(&service.jobs, |jobs| jobs.begin_unnamed(()).map(|job| job.complete()));
        service.claim();
        let begun = join(begins);
        let report = service.ledger.close();
        match begun {
            Err(_) => assert_eq!(all(&report), 0, "{report:?}"),
            Ok(Ok(())) => assert_eq!((report.completed, all(&report)), (1, 1), "{report:?}"),
            Ok(Err(Taken)) => assert_eq!((report.unacknowledged.len(), all(&report)), (1, 1), "{report:?}"),
        }
    });
}

/// Fails if `begin_promised` is refused after the claim, or not told that it was taken.
#[test]
fn a_job_that_was_promised_is_begun_or_taken_at_birth() {
    every(|| {
        let service = Service::new(Jobs::new());
        let promise = service.jobs.reserve().expect("it is open");
        let begins = loom::thread::spawn(move || {
            let job = promise.begin("image-17", ()).expect("the id is valid");
            let ticket = job.ticket();
            let completed = job.complete().is_ok();
            // It is decided either way, and somebody says so.
            block_on(ticket.decided());
            completed
        });
        service.claim();
        let completed = join(begins);
        let report = service.ledger.close();
        assert_eq!((report.completed, all(&report)), (u64::from(completed), 1), "{report:?}");
    });
}

/// Fails with the two steps of `Word::take` the other way round.
#[test]
fn a_job_that_is_dropped_around_the_claim_is_in_the_report_once() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        let drops = loom::thread::spawn(move || drop(job));
        service.claim();
        join(drops);
        let offered = service.ledger.offered().len();
        let report = service.ledger.close();
        assert_eq!(report.unacknowledged.len(), offered, "somebody is asked to take it over");
        assert_eq!(report.failed as usize + offered, 1, "{report:?}");
        assert_eq!(all(&report), 1, "{report:?}");
    });
}

/// Fails if `Job::drop` does not ask whether a shutdown is there.
#[test]
fn a_job_that_is_dropped_while_draining_is_never_lost() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        service.jobs.close();
        let drops = loom::thread::spawn(move || drop(job));
        service.claim();
        join(drops);
        assert_eq!(service.ledger.offered().len(), 1);
    });
}

/// Fails if `commit` says in the word that it is under way before it has entered `committing`, and if `end` leaves that
/// before the word says how it ended.
#[test]
fn a_commit_that_the_claim_has_found_is_waited_for() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        let ticket = job.ticket();
        let worker = loom::thread::spawn(move || job.commit().map(|commit| commit.done()));
        service.claim();
        if ticket.fate() == Fate::Committing {
            block_on(service.jobs.conclude());
            assert_eq!(ticket.fate(), Fate::Completed);
        }
        let completed = join(worker).is_ok();
        let report = service.ledger.close();
        assert_eq!((report.completed, all(&report)), (u64::from(completed), 1), "{report:?}");
    });
}

/// Fails if the guard of a job is dropped before its slot is given back, or with less than `Release` in `Guard::drop`.
#[test]
fn a_store_that_has_drained_has_counted_all() {
    every(|| {
        let (service, work) = (Service::new(Jobs::new()), Data::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        let worker = spawn(&work, |work| {
            work.write();
            job.complete()
        });
        service.jobs.close();
        block_on(service.jobs.empty());
        assert_eq!(work.seen(), 1);
        service.claim();
        assert!(service.ledger.offered().is_empty(), "it is known how each has ended");
        assert!(join(worker).is_ok());
        let report = service.ledger.close();
        assert_eq!((report.completed, all(&report)), (1, 1), "{report:?}");
    });
}

/// Fails if `tell_taken` says so after it has opened the latch (then it waits for ever), or if the claim does not tell.
#[test]
fn who_works_on_a_job_that_is_taken_hears_of_it() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        let worker = loom::thread::spawn(move || {
            block_on(job.taken());
            assert_eq!(job.ticket().fate(), Fate::Taken);
            assert_eq!(job.complete(), Err(Taken));
        });
        service.claim();
        join(worker);
    });
}

/// Fails with less than `Release` in `Word::advance`, or less than `Acquire` in `Word::fate`.
#[test]
fn who_sees_a_job_completed_sees_its_effect() {
    every(|| {
        let (jobs, effect) = (Jobs::new(), Data::new());
        let job = jobs.begin_unnamed(()).expect("it is open");
        let ticket = job.ticket();
        let worker = spawn(&effect, |effect| {
            let commit = job.commit().expect("there is no claim");
            effect.write();
            commit.done();
        });
        if ticket.fate() == Fate::Completed {
            assert_eq!(effect.seen(), 1);
        }
        join(worker);
    });
}

/// Fails if `Word::settle` or `Word::acknowledge` looks first and marks later.
#[test]
fn an_acknowledgement_at_the_end_of_the_hand_over_counts_or_comes_too_late() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        service.claim();
        let offered = service.ledger.offered();
        let listed = offered.clone();
        let notifier = loom::thread::spawn(move || {
            listed[0].doubt();
            listed[0].acknowledge()
        });
        service.ledger.settle(&offered, false);
        let counts = join(notifier);
        let report = service.ledger.close();
        assert_eq!(report.handed_over.len(), usize::from(counts), "{report:?}");
        assert_eq!(all(&report), 1, "{report:?}");
        drop(job);
    });
}

/// Fails with the two steps of `Word::acknowledge` the other way round.
#[test]
fn of_a_doubt_and_an_acknowledgement_the_acknowledgement_counts() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        service.claim();
        let offered = service.ledger.offered();
        let doubts = spawn(&offered, |offered| offered[0].doubt());
        assert!(offered[0].acknowledge());
        join(doubts);
        service.ledger.settle(&offered, false);
        assert_eq!(service.ledger.close().handed_over.len(), 1);
        drop(job);
    });
}

/// Fails if the slot of a job that has ended is given back before it is counted, or if `in_flight` notes what it has
/// seen as ended without those that are just ending.
#[test]
fn of_those_in_flight_when_somebody_looked_all_are_accounted_for() {
    every(|| {
        let service = Service::new(Jobs::new());
        let job = service.jobs.begin_unnamed(()).expect("it is open");
        let worker = loom::thread::spawn(move || job.complete());
        let seen = service.jobs.in_flight();
        service.claim();
        let _ = join(worker);
        assert!(service.ledger.accounted("jobs", seen.ended()) >= seen.total().expect("it counts"));
    });
}
