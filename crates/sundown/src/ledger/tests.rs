//! The claim race, on real threads: jobs commit at the very moment of the claim.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use serde::Serialize;
use uuid::Uuid;

use super::*;
use crate::{HandOver, Jobs, Past, host::System};

/// How many jobs one round begins on each of two threads, which then commit them while a third claims.
const PER_THREAD: u64 = 500;

struct Outcome {
    committed: HashSet<u64>,
    listed: Vec<u64>,
    tally: u64,
}

fn race(jobs: &Jobs<u64>) -> Outcome {
    let ledger = Ledger::new(System::shared());
    let start = Barrier::new(3);
    let committed = thread::scope(|scope| {
        let worker = |offset: u64| {
            let start = &start;
            move || {
                let begun: Vec<_> = (0..PER_THREAD)
                    .map(|n| jobs.begin(format!("job-{}", offset + n), offset + n).unwrap())
                    .collect();
                start.wait();
                begun
                    .into_iter()
                    .filter_map(|job| {
                        let n = *job.payload();
                        job.commit().ok().map(|commit| {
                            commit.done();
                            n
                        })
                    })
                    .collect::<Vec<_>>()
            }
        };
        let workers = [scope.spawn(worker(0)), scope.spawn(worker(PER_THREAD))];
        start.wait();
        // Into the middle of the commits, wherever that is on this machine and in this round.
        for _ in 0..fastrand() % 20_000 {
            std::hint::spin_loop();
        }
        jobs.claim(&Claims::new(ledger.clone(), "race".into()));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let report = ledger.close();
    let number = |line: &JobLine| line.id.as_str()["job-".len()..].parse().unwrap();
    Outcome { committed, listed: report.unacknowledged.iter().map(number).collect(), tally: report.completed }
}

fn fastrand() -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(0x9E37_79B9_7F4A_7C15);
    let mut x = STATE.load(Ordering::Relaxed);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    STATE.store(x, Ordering::Relaxed);
    x
}

impl Outcome {
    fn breach(&self) -> Option<String> {
        let listed: HashSet<_> = self.listed.iter().copied().collect();
        if listed.len() != self.listed.len() {
            return Some("a job is listed twice".into());
        }
        if let Some(twice) = self.committed.intersection(&listed).next() {
            return Some(format!("job {twice} committed and was taken"));
        }
        if (self.committed.len() + listed.len()) as u64 != 2 * PER_THREAD {
            return Some(format!("{} committed, {} taken", self.committed.len(), listed.len()));
        }
        (self.tally != self.committed.len() as u64).then(|| "the count is off".into())
    }
}

#[test]
fn a_hundred_thousand_jobs_racing_the_claim_are_each_accounted_for_once() {
    let mut taken = 0;
    for _ in 0..100_000 / (2 * PER_THREAD) {
        let outcome = race(&Jobs::new());
        assert_eq!(outcome.breach(), None);
        taken += outcome.listed.len();
    }
    assert!(taken > 0, "no claim ever hit a running job: the race did not happen");
}

#[test]
fn a_claim_that_looks_first_and_marks_later_fails_that_test() {
    let breach = (0..1_000).find_map(|_| race(&Jobs::torn()).breach());
    assert!(breach.is_some(), "a non-atomic claim went unnoticed");
}

#[test]
fn however_a_job_ends_around_the_claim_it_is_accounted_for_once() {
    const JOBS: u64 = 300;
    for round in 0..400 {
        let jobs = Jobs::new();
        let ledger = Ledger::new(System::shared());
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                let (jobs, start) = (&jobs, &start);
                scope.spawn(move || {
                    let begun: Vec<_> = (0..JOBS).map(|n| jobs.begin_unnamed(n).unwrap()).collect();
                    start.wait();
                    for job in begun {
                        match job.payload() % 5 {
                            0 => drop(job),
                            1 => drop(job.commit()),
                            2 => job.complete().unwrap_or(()),
                            3 => job.fail().unwrap_or(()),
                            _ => std::mem::forget(job),
                        }
                    }
                });
            }
            start.wait();
            for _ in 0..fastrand() % 10_000 {
                std::hint::spin_loop();
            }
            if round % 2 == 0 {
                jobs.close();
            }
            jobs.claim(&Claims::new(ledger.clone(), "race".into()));
        });
        let report = ledger.close();
        let sum = report.completed
            + report.failed
            + report.unnamed_in_doubt
            + (report.unacknowledged.len() + report.in_doubt.len()) as u64;
        assert_eq!(sum, 2 * JOBS, "{report:?}");
    }
}

#[test]
fn a_claim_that_comes_after_the_report_takes_nothing() {
    let ledger = Ledger::new(System::shared());
    let jobs = Jobs::new();
    let job = jobs.begin("late", ()).unwrap();
    assert_eq!(ledger.close().unacknowledged.len(), 0);
    jobs.claim(&Claims::new(ledger.clone(), "c".into()));
    assert_eq!(job.complete(), Ok(()));
}

#[test]
fn a_destructor_that_hangs_keeps_no_other_job_from_being_claimed() {
    use std::sync::mpsc;
    struct Hangs(mpsc::Receiver<()>);
    impl Serialize for Hangs {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    impl Drop for Hangs {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }
    // The receiver is not Sync; the mutex makes it so.
    let jobs = Jobs::new();
    let (let_go, hold) = mpsc::channel();
    let commit = jobs.begin("hangs", std::sync::Mutex::new(Hangs(hold))).unwrap().commit().unwrap();
    let others: Vec<_> = (0..100)
        .map(|n| jobs.begin(format!("{n}"), std::sync::Mutex::new(Hangs(mpsc::channel().1))).unwrap())
        .collect();
    let ledger = Ledger::new(System::shared());
    thread::scope(|scope| {
        scope.spawn(|| commit.done());
        jobs.claim(&Claims::new(ledger.clone(), "c".into()));
        let taken = ledger.offered().into_iter().filter(|job| job.fate() == Fate::Taken);
        assert_eq!(taken.count(), 100);
        drop(let_go);
    });
    drop(others);
}

#[test]
fn a_job_that_comes_late_with_a_reservation_is_taken_at_birth() {
    let ledger = Ledger::new(System::shared());
    let jobs = Jobs::new();
    let reservation = jobs.reserve().unwrap();
    jobs.claim(&Claims::new(ledger.clone(), "late".into()));
    assert!(jobs.begin("no", ()).is_err());
    let job = reservation.begin("late", ()).unwrap();
    assert!(job.commit().is_err());
    assert_eq!(ledger.close().unacknowledged.len(), 1);
}

#[test]
fn the_end_of_a_job_depends_on_when_it_is_dropped() {
    let ledger = Ledger::new(System::shared());
    let jobs = Jobs::new();
    drop(jobs.begin("failed", ()).unwrap());
    drop(jobs.begin("doubtful", ()).unwrap().commit().unwrap());
    let (dropped, committing, unheard, completing, running) = (
        jobs.begin("dropped", ()).unwrap(),
        jobs.begin("committing", ()).unwrap().commit().unwrap(),
        jobs.begin("unheard", ()).unwrap().commit().unwrap(),
        jobs.begin("completing", ()).unwrap().commit().unwrap(),
        jobs.begin("running", ()).unwrap(),
    );
    jobs.close();
    drop((dropped, unheard));
    jobs.claim(&Claims::new(ledger.clone(), "c".into()));
    completing.done();
    let offered = ledger.offered();
    assert_eq!(
        offered.iter().map(|job| job.id().as_str()).collect::<HashSet<_>>(),
        ["dropped", "running", "committing", "unheard"].into()
    );
    for (id, in_doubt) in [("dropped", false), ("committing", true)] {
        let job = offered.iter().find(|job| job.id().as_str() == id).unwrap();
        assert_eq!(job.is_in_doubt(), in_doubt, "{id}");
        assert!(job.acknowledge());
        assert!(!job.acknowledge(), "an acknowledgement counts once");
    }
    ledger.settle(&offered, false);
    assert!(!offered.iter().any(IncompleteJob::acknowledge), "too late");
    assert!(running.complete().is_err());
    let report = ledger.close();
    committing.done();
    let ids = |lines: &[JobLine]| lines.iter().map(|line| line.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&report.handed_over), ["dropped"]);
    assert_eq!(ids(&report.unacknowledged), ["running"]);
    let in_doubt: HashMap<_, _> =
        report.in_doubt.iter().map(|line| (line.id.as_str(), line.acknowledged)).collect();
    assert_eq!(in_doubt, [("committing", true), ("unheard", false)].into());
    assert_eq!((report.completed, report.failed, report.unnamed_in_doubt), (1, 1, 1));
}

fn left_over(id: &str, sequence: u64) -> LeftOver {
    LeftOver::new(Key::new(Uuid::nil(), sequence), id.try_into().unwrap(), "journal", "its payload")
}

#[test]
fn what_an_earlier_process_left_is_offered_with_the_others_and_stands_for_none_of_them() {
    let ledger = Ledger::new(System::shared());
    ledger.begin(&Reason::Memory);
    let jobs = Jobs::new();
    let past = Past::default().and(Reason::Memory);
    let _job = jobs.reserve().unwrap().begin_again("again", (), past.clone()).unwrap();
    let claims = Claims::new(ledger.clone(), "jobs".into());
    claims.left_over(left_over("left", 1).past(past.and(Reason::Died)).in_doubt());
    jobs.claim(&claims);
    let known: Vec<_> = ledger
        .offered()
        .iter()
        .map(|job| (job.id().to_string(), job.attempts(), job.reason().clone(), job.is_in_doubt()))
        .collect();
    let left = ("left".to_owned(), 3, Reason::Died, true);
    assert_eq!(known, [left, ("again".to_owned(), 2, Reason::Memory, false)]);
    assert_eq!(ledger.accounted("jobs", None), 1, "the one of this process");
    let late = Claims::new(ledger.clone(), "jobs".into());
    ledger.settle(&ledger.offered(), false);
    late.left_over(left_over("late", 2));
    assert_eq!(ledger.close().unacknowledged.len(), 3);
    late.left_over(left_over("too late", 3));
    assert_eq!(ledger.empty().len(), 3);
}

#[test]
fn a_part_of_a_hand_over_has_what_nobody_has_acknowledged_and_an_end_of_its_own() {
    let second = std::time::Duration::from_secs(1);
    let until = Instant::now() + 60 * second;
    let whole = HandOver::of_left_over(
        [("a", 1), ("b", 2), ("c", 3)].map(|(id, sequence)| left_over(id, sequence)),
        until,
    );
    let keys: Vec<_> = whole.jobs().iter().map(IncompleteJob::key).collect();
    assert!(whole.acknowledge(keys[0]));
    let part = whole.rest(until - 30 * second);
    assert_eq!((part.id(), part.jobs().len()), (whole.id(), 2));
    assert_eq!(part.deadline().at(), until - 30 * second);
    assert_eq!(part.rest(until + second).deadline().at(), part.deadline().at());
    assert!(!part.acknowledge(keys[0]), "it is not in it");
    part.doubt(keys[1]);
    assert!(part.acknowledge(keys[1]), "a doubt ends with an acknowledgement");
    assert!(!whole.acknowledge(keys[1]), "that counted in the whole");
    assert_eq!(whole.rest(until).jobs()[0].key(), keys[2]);
    let json = serde_json::to_value(&whole.jobs()[2]).unwrap();
    assert_eq!((&json["attempts"], &json["reason"]), (&1.into(), &"the process died".into()), "{json}");
}

#[test]
fn a_job_is_acknowledged_once_however_doubtful() {
    let until = Instant::now() + std::time::Duration::from_secs(60);
    let whole = HandOver::of_left_over([left_over("a", 1).in_doubt(), left_over("b", 2)], until);
    whole.doubt(whole.jobs()[1].key());
    let part = whole.rest(until);
    assert!(part.jobs().iter().all(IncompleteJob::is_in_doubt));
    for job in part.jobs() {
        let counted = [&part, &part, &whole].map(|offer| offer.acknowledge(job.key()));
        assert_eq!(counted, [true, false, false], "{job:?}");
    }
}

#[test]
fn a_million_short_jobs_leave_nothing_behind() {
    let jobs = Jobs::new();
    for n in 0..1_000_000 {
        jobs.begin_unnamed(n).unwrap().complete().unwrap();
    }
    assert_eq!(jobs.in_flight().total(), Some(0));
    assert!(jobs.slots() <= 16 * 4);
}
