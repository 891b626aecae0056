//! The claim race, on real threads: jobs commit at the very moment of the claim.

use std::{
    collections::HashSet,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde::Serialize;

use super::*;
use crate::{Jobs, host::System};

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
        assert_eq!(ledger.taken().len(), 100);
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
    let (dropped, committing, completing, running) = (
        jobs.begin("dropped", ()).unwrap(),
        jobs.begin("committing", ()).unwrap().commit().unwrap(),
        jobs.begin("completing", ()).unwrap().commit().unwrap(),
        jobs.begin("running", ()).unwrap(),
    );
    jobs.close();
    drop(dropped);
    jobs.claim(&Claims::new(ledger.clone(), "c".into()));
    completing.done();
    let offered = ledger.taken();
    assert_eq!(
        offered.iter().map(|job| job.id().as_str()).collect::<HashSet<_>>(),
        ["dropped", "running"].into()
    );
    let dropped = offered.iter().find(|job| job.id().as_str() == "dropped").unwrap();
    assert!(dropped.acknowledge());
    assert!(!dropped.acknowledge(), "an acknowledgement counts once");
    ledger.settle(&offered, false);
    assert!(!offered.iter().any(IncompleteJob::acknowledge), "too late");
    assert!(running.complete().is_err());
    let report = ledger.close();
    committing.done();
    let ids = |lines: &[JobLine]| lines.iter().map(|line| line.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&report.handed_over), ["dropped"]);
    assert_eq!(ids(&report.unacknowledged), ["running"]);
    assert_eq!(ids(&report.in_doubt), ["committing"]);
    assert_eq!((report.completed, report.failed, report.unnamed_in_doubt), (1, 1, 1));
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
