//! The journal on a disk that does everything wrong, and at shutdowns.

use std::{
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use fastrand::Rng;
use sundown::{Drainable, HandOver, Notifier, NotifyError, Reason, Report, Shutdown};
use sundown_tokio::Tokio;
use tokio::time::timeout;

use crate::{
    BeginError, DurableJobs, Journal, LastLink, Options,
    disk::{Disk, Faults},
};

/// Long beside whatever is waited for.
const LONG: Duration = Duration::from_secs(30);

fn open(disk: &Disk) -> Journal {
    Options::new().open_on(disk.medium(), Path::new("jobs.journal")).unwrap()
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn ids(journal: &Journal) -> Vec<String> {
    let mut ids: Vec<_> = journal.left_over().iter().map(|job| job.id().to_string()).collect();
    ids.sort();
    ids
}

/// What the next process finds after a power cut.
fn after_a_cut(disk: &Disk) -> Journal {
    disk.restart(&mut Rng::with_seed(3));
    open(disk)
}

/// Begins as soon as the journal has recovered.
async fn begin_in_time(jobs: &DurableJobs<u32>, id: &str) -> crate::DurableJob<u32> {
    let trying = async {
        loop {
            match jobs.begin(id, 0).await {
                Ok(job) => return job,
                Err(BeginError::Write(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(LONG, trying).await.expect("it recovers")
}

#[tokio::test]
async fn a_job_that_was_begun_is_found_by_the_next_process_and_one_that_ended_is_not() {
    let disk = Disk::default();
    let journal = open(&disk);
    let jobs = journal.jobs("resizer");
    let left = jobs.begin("left", 7_u32).await.unwrap();
    left.checkpoint(&"half").unwrap();
    jobs.begin("done", 8).await.unwrap().complete().unwrap();
    jobs.begin("failed", 8).await.unwrap().fail().unwrap();
    drop(jobs.begin("dropped", 9).await.unwrap());
    let commit = jobs.begin("committed", 9).await.unwrap().commit().unwrap();
    commit.done();
    let _in_doubt = jobs.begin("in doubt", 9).await.unwrap().commit().unwrap();
    journal.flush().await.unwrap();
    let next = after_a_cut(&disk);
    assert_eq!(ids(&next), ["in doubt", "left"]);
    for job in next.left_over() {
        assert_eq!((job.component(), job.reason(), job.attempts()), ("resizer", &Reason::Died, 1));
        assert_eq!(job.is_in_doubt(), job.id().as_str() == "in doubt");
        if job.id().as_str() == "left" {
            assert_eq!((job.key(), job.payload::<u32>().unwrap()), (left.key(), 7));
            assert_eq!(job.checkpoint::<String>().unwrap().as_deref(), Some("half"));
        }
    }
}

#[tokio::test]
async fn a_resumed_job_knows_its_past_and_is_there_once() {
    let disk = Disk::default();
    let (mut keys, mut processes) = (Vec::new(), Vec::new());
    let journal = open(&disk);
    let first = journal.jobs("resizer").begin("17", 7_u32).await.unwrap();
    first.checkpoint(&1).unwrap();
    journal.flush().await.unwrap();
    for attempt in 1..=3 {
        let journal = after_a_cut(&disk);
        let left = journal.left_over();
        assert_eq!(left.len(), 1, "attempt {attempt}");
        assert_eq!((left[0].attempts(), left[0].earlier_ends().len()), (attempt, attempt as usize - 1));
        assert_eq!(left[0].checkpoint::<u32>().unwrap(), Some(1));
        let jobs = journal.jobs::<u32>("resizer");
        let job = jobs.resume(&left[0]).await.unwrap();
        assert!(matches!(jobs.resume(&left[0]).await, Err(crate::ResumeError::Taken)));
        assert!(journal.left_over().is_empty());
        keys.push(job.key());
        if attempt == 3 {
            job.complete().unwrap();
            journal.flush().await.unwrap();
        } else {
            // It runs until the power fails.
            processes.push((journal, job));
        }
    }
    keys.dedup();
    assert_eq!(keys.len(), 3);
    assert!(ids(&after_a_cut(&disk)).is_empty());
}

#[tokio::test]
async fn a_resumption_that_fails_or_is_given_up_leaves_the_job_as_it_was() {
    let disk = Disk::default();
    let journal = open(&disk);
    let _begun = journal.jobs("resizer").begin("17", 7_u32).await.unwrap();
    let journal = after_a_cut(&disk);
    let left = journal.left_over().remove(0);
    let jobs = journal.jobs::<u32>("resizer");
    assert!(matches!(
        journal.jobs::<String>("texts").resume(&left).await,
        Err(crate::ResumeError::Payload(_))
    ));
    disk.set(Faults { sync: true, ..Faults::default() });
    assert!(matches!(jobs.resume(&left).await, Err(crate::ResumeError::Begin(BeginError::Write(_)))));
    disk.set(Faults::default());
    let well = async { while journal.flush().await.is_err() {} };
    timeout(LONG, well).await.unwrap();
    {
        let stalled = disk.stall();
        let mut given_up = Box::pin(jobs.resume(&left));
        assert!(poll(&mut given_up).is_pending());
        drop((given_up, stalled));
    }
    assert_eq!(ids(&journal), ["17"]);
    journal.flush().await.unwrap();
    let journal = after_a_cut(&disk);
    assert_eq!((ids(&journal), journal.left_over()[0].attempts()), (vec!["17".to_owned()], 1));
    assert_eq!(journal.left_over()[0].key(), left.key());
}

#[tokio::test]
async fn a_begin_that_is_given_up_is_forgotten() {
    let disk = Disk::default();
    let journal = open(&disk);
    let jobs = journal.jobs("resizer");
    for number in 0..50 {
        let stalled = disk.stall();
        let mut given_up = Box::pin(jobs.begin("given up", 7_u32));
        assert!(poll(&mut given_up).is_pending());
        // Before it is written, or after.
        if number % 2 == 0 {
            drop((given_up, stalled));
        } else {
            drop(stalled);
            journal.flush().await.unwrap();
        }
    }
    let _kept = jobs.begin("kept", 7).await.unwrap();
    journal.flush().await.unwrap();
    assert_eq!(ids(&after_a_cut(&disk)), ["kept"]);
    assert_eq!(jobs.in_memory().in_flight().total(), Some(1));
}

#[tokio::test]
async fn while_the_disk_fails_begin_says_so_running_work_goes_on_and_nothing_acknowledged_is_lost() {
    for fault in [
        Faults { sync: true, ..Faults::default() },
        Faults { full: true, ..Faults::default() },
        Faults { read_only: true, ..Faults::default() },
        Faults { panic: true, ..Faults::default() },
    ] {
        let disk = Disk::default();
        let journal = open(&disk);
        let jobs = journal.jobs("resizer");
        let (ends, stays) = (jobs.begin("ends", 1).await.unwrap(), jobs.begin("stays", 2).await.unwrap());
        disk.set(fault);
        let refused = async {
            // Some room may be left in the file's last pages.
            let mut begun = Vec::new();
            loop {
                match jobs.begin("more", 3).await {
                    Ok(job) => begun.push(job),
                    Err(error) => return (begun, error),
                }
            }
        };
        let (begun, error) = timeout(LONG, refused).await.expect("nobody waits for ever");
        assert!(matches!(error, BeginError::Write(_)), "{error}");
        assert!(error.to_string().starts_with("the journal could not be written: "), "{error}");
        // All those who wait at once hear of it.
        let waiting = futures_util::future::join_all((0..64).map(|_| jobs.begin("more", 4)));
        let all = timeout(LONG, waiting).await.expect("nobody waits for ever");
        assert!(all.iter().any(Result::is_err), "{fault:?}");
        stays.checkpoint(&"goes on").unwrap();
        ends.complete().unwrap();
        drop((begun, all));
        disk.set(Faults::default());
        let _later = begin_in_time(&jobs, "later").await;
        journal.flush().await.unwrap();
        let next = after_a_cut(&disk);
        assert_eq!(ids(&next), ["later", "stays"], "{fault:?}");
        let stays = next.left_over().into_iter().find(|job| job.id().as_str() == "stays").unwrap();
        assert_eq!(stays.checkpoint::<String>().unwrap().as_deref(), Some("goes on"));
    }
}

#[tokio::test]
async fn a_waker_that_panics_keeps_nobody_waiting() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let disk = Disk::default();
    let journal = open(&disk);
    let jobs = journal.jobs("resizer");
    let waker = Waker::from(Arc::new(Panics));
    let mut waiting = Box::pin(jobs.begin("panics", 1));
    {
        let _stalled = disk.stall();
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    for number in 0..10 {
        let begun = timeout(LONG, jobs.begin(format!("{number}"), 2)).await.expect("nobody waits for ever");
        begun.unwrap().complete().unwrap();
    }
    drop(timeout(LONG, waiting).await.expect("it was written, though nobody was woken"));
    journal.close().unwrap();
}

#[tokio::test]
async fn a_full_journal_refuses_until_a_job_has_ended() {
    let journal = Options::new().max_jobs(2).open_on(Disk::default().medium(), Path::new("a")).unwrap();
    let jobs = journal.jobs("resizer");
    let first = jobs.begin("1", 1).await.unwrap();
    let _second = jobs.begin("2", 1).await.unwrap();
    let error = jobs.begin("3", 1).await.unwrap_err();
    assert!(matches!(error, BeginError::Full(_)));
    assert!(error.to_string().contains("it holds 2 jobs"), "{error}");
    first.complete().unwrap();
    let third = jobs.begin("3", 1).await.unwrap();
    drop(third);

    let disk = Disk::default();
    let journal = Options::new().max_bytes(10_000).open_on(disk.medium(), Path::new("b")).unwrap();
    let jobs = journal.jobs("resizer");
    let large = "x".repeat(6_000);
    let job = jobs.begin("1", large.clone()).await.unwrap();
    assert!(matches!(jobs.begin("2", large.clone()).await, Err(BeginError::Full(_))));
    assert!(matches!(job.checkpoint(&large), Err(crate::CheckpointError::Full(_))));
    job.checkpoint(&"small").unwrap();
    // It counts what it finds.
    drop((job, jobs, journal));
    let journal = Options::new().max_bytes(10_000).open_on(disk.medium(), Path::new("b")).unwrap();
    let jobs = journal.jobs("resizer");
    assert_eq!(jobs.begin("2", large.clone()).await.is_err(), !journal.left_over().is_empty());
}

#[tokio::test]
async fn a_closed_journal_says_so() {
    let disk = Disk::default();
    let journal = open(&disk);
    let jobs = journal.jobs("resizer");
    let job = jobs.begin("17", 1).await.unwrap();
    journal.close().unwrap();
    let error = jobs.begin("18", 1).await.unwrap_err();
    assert!(matches!(&error, BeginError::Write(error) if error.is_closed()), "{error}");
    assert!(journal.flush().await.unwrap_err().is_closed());
    job.complete().unwrap();
    assert_eq!(ids(&open(&disk)), ["17"], "its end was said too late");
}

/// Acknowledges every job whose payload is even.
struct Even(Arc<AtomicBool>);

#[sundown::async_trait]
impl Notifier for Even {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        self.0.store(true, Ordering::SeqCst);
        for job in hand_over.jobs() {
            let record = serde_json::to_value(job).unwrap();
            if record["payload"].as_u64().unwrap() % 2 == 0 {
                hand_over.acknowledge(job.key());
            }
        }
        Err(NotifyError::new("the odd ones were refused"))
    }
}

#[tokio::test]
async fn what_a_shutdown_hands_over_is_forgotten_and_the_rest_is_offered_again() {
    let disk = Disk::default();
    let asked = Arc::new(AtomicBool::new(false));
    {
        let journal = open(&disk);
        let jobs = journal.jobs::<u64>("resizer");
        let shutdown = Shutdown::embedded(Tokio::current())
            .component("resizer", jobs.clone())
            .hand_over_to(Even(asked.clone()))
            .grace(Duration::from_secs(3))
            .start()
            .unwrap();
        let odd = jobs.begin("odd", 1).await.unwrap();
        let even = jobs.begin("even", 2).await.unwrap();
        let _commit = jobs.begin("under way", 3).await.unwrap().commit().unwrap();
        shutdown.begin("the test is over");
        shutdown.hurry();
        let report = shutdown.finished().await;
        assert_eq!(report.jobs.handed_over.len(), 1);
        assert_eq!(
            report.components[0].notes,
            [("jobs kept in the journal".to_owned(), 1)],
            "the other is under way"
        );
        drop((odd, even));
    }
    // By the next process's shutdown, though it has begun nothing itself.
    {
        let journal = after_a_cut(&disk);
        assert_eq!(ids(&journal), ["odd", "under way"]);
        for job in journal.left_over() {
            assert_eq!(*job.reason(), Reason::Requested("the test is over".into()));
            assert_eq!(job.is_in_doubt(), job.id().as_str() == "under way");
        }
        let jobs = journal.jobs::<u64>("resizer");
        let shutdown = Shutdown::embedded(Tokio::current())
            .component("resizer", jobs.clone())
            .hand_over_to(journal.as_last_link())
            .grace(Duration::from_secs(3))
            .start()
            .unwrap();
        shutdown.begin("again");
        let report = shutdown.finished().await;
        let unacknowledged: Vec<_> =
            report.jobs.unacknowledged.iter().map(|job| job.id.to_string()).collect();
        assert_eq!(
            unacknowledged.len(),
            2,
            "{unacknowledged:?}: a link that goes with the instance takes nothing over"
        );
        assert_eq!(ids(&journal), ["odd", "under way"]);
    }
    // And by hand, when the process starts.
    let journal = after_a_cut(&disk);
    assert_eq!(ids(&journal), ["odd", "under way"]);
    let done = journal.hand_over(Even(asked.clone()), &Tokio::current(), LONG).await.unwrap();
    assert_eq!((done.acknowledged.len(), done.left), (0, 2));
    assert_eq!(done.error.unwrap().to_string(), "the odd ones were refused");
    assert_eq!(ids(&journal), ["odd", "under way"]);
}

#[tokio::test]
async fn what_a_notifier_acknowledges_counts_though_it_hangs_or_panics() {
    struct Half {
        panics: bool,
    }
    #[sundown::async_trait]
    impl Notifier for Half {
        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            for job in hand_over.jobs().iter().filter(|job| job.id().as_str() == "taken") {
                hand_over.acknowledge(job.key());
            }
            assert!(!self.panics, "on purpose");
            std::future::pending().await
        }
    }
    for panics in [false, true] {
        let disk = Disk::default();
        let journal = open(&disk);
        let jobs = journal.jobs("resizer");
        let _begun = (jobs.begin("taken", 1).await.unwrap(), jobs.begin("not taken", 2).await.unwrap());
        let journal = after_a_cut(&disk);
        let time = if panics { LONG } else { Duration::from_millis(200) };
        let done = journal.hand_over(Half { panics }, &Tokio::current(), time).await.unwrap();
        let taken: Vec<_> = done.acknowledged.iter().map(ToString::to_string).collect();
        assert_eq!((taken, done.left), (vec!["taken".to_owned()], 1));
        let said = done.error.unwrap().to_string();
        let expected = if panics {
            "the notifier panicked: on purpose"
        } else {
            "the notifier did not answer within 200ms"
        };
        assert_eq!(said, expected);
        assert_eq!(ids(&after_a_cut(&disk)), ["not taken"]);
    }
}

/// Lets a job in mid-commit end well, once it was written down.
struct EndsThen {
    link: LastLink,
    ends: Arc<Mutex<Option<sundown::Commit<Vec<u32>>>>>,
}

#[sundown::async_trait]
impl Notifier for EndsThen {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let written = self.link.incomplete(hand_over).await;
        let commit = self.ends.lock().unwrap().take();
        commit.unwrap().done();
        written
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        self.link.finished(report).await
    }
}

#[tokio::test]
async fn the_last_link_keeps_what_it_acknowledges() {
    // Jobs of another store, in memory, with a journal for the hand-over alone; and jobs of the journal's own.
    let disk = Disk::default();
    let journal = open(&disk);
    let ends = Arc::new(Mutex::new(None));
    let (memory, durable) = (sundown::Jobs::new(), journal.jobs("durable"));
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("memory", memory.clone())
        .component("durable", durable.clone())
        .hand_over_to(EndsThen { link: journal.as_last_link().outlives_the_instance(), ends: ends.clone() })
        .grace(Duration::from_secs(3))
        .start()
        .unwrap();
    let before = disk.operations();
    let jobs: Vec<_> = (0..100).map(|n| memory.begin(format!("memory-{n}"), vec![n]).unwrap()).collect();
    jobs[7].checkpoint("seventh");
    assert!(disk.operations() <= before + 40, "nothing is written while it runs, but for the runs");
    let job = durable.begin("durable", "x").await.unwrap();
    let hangs = memory.begin("hangs", vec![]).unwrap().commit().unwrap();
    *ends.lock().unwrap() = Some(memory.begin("ends well", vec![]).unwrap().commit().unwrap());
    shutdown.begin(Reason::Memory);
    shutdown.hurry();
    let report = shutdown.finished().await;
    assert_eq!((report.jobs.handed_over.len(), report.jobs.unacknowledged.len()), (101, 0));
    drop((jobs, job, hangs));
    let next = after_a_cut(&disk);
    let left = next.left_over();
    assert_eq!(left.len(), 102);
    let of = |id: &str| left.iter().find(|job| job.id().as_str() == id).unwrap();
    assert!(of("hangs").is_in_doubt(), "and what ended well is not there");
    let seventh = of("memory-7");
    assert_eq!((seventh.component(), seventh.reason(), seventh.attempts()), ("memory", &Reason::Memory, 1));
    assert_eq!(seventh.payload::<Vec<u32>>().unwrap(), [7]);
    assert_eq!(seventh.checkpoint::<String>().unwrap().as_deref(), Some("seventh"));
    assert_eq!((of("durable").component(), of("durable").reason()), ("durable", &Reason::Memory));
}

#[tokio::test]
async fn who_dies_after_the_announcement_leaves_the_reason_with_its_jobs() {
    let disk = Disk::default();
    let journal = open(&disk);
    let jobs = journal.jobs("resizer");
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("resizer", jobs.clone())
        .grace(Duration::from_secs(20))
        .start()
        .unwrap();
    let job = jobs.begin("17", 1).await.unwrap();
    let before = disk.operations();
    shutdown.begin(Reason::Memory);
    // Nobody asks for it: it is written at once.
    let noted = async {
        while disk.operations() == before {
            tokio::time::sleep(Duration::from_millis(1)).await
        }
    };
    timeout(LONG, noted).await.unwrap();
    journal.flush().await.unwrap();
    let next = after_a_cut(&disk);
    assert_eq!(*next.left_over()[0].reason(), Reason::Memory);
    job.complete().unwrap();
    shutdown.finished().await;
}

#[test]
fn a_durable_store_is_a_component_whatever_it_holds() {
    fn is_component<T: Drainable + Clone>() {}
    is_component::<DurableJobs<String>>();
    fn travels<T: Send + Sync + 'static>() {}
    travels::<(Journal, crate::DurableJob<u8>, crate::DurableCommit<u8>, crate::Recovered, crate::LastLink)>(
    );
}
