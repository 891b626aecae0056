//! The last link at shutdowns: in whose room, and for whom, it writes.

use std::{
    path::Path,
    task::{Context, Waker},
    time::Duration,
};

use fastrand::Rng;
use sundown::{HandOver, Jobs, Notifier, NotifyError, Report, Shutdown};
use sundown_notify::First;
use sundown_tokio::Tokio;

use crate::{DurableJobs, Journal, LastLink, Options, disk::Disk};

/// What the next process finds after a power cut.
fn after_a_cut(disk: &Disk) -> Journal {
    disk.restart(&mut Rng::with_seed(3));
    Options::new().open_on(disk.medium(), Path::new("jobs.journal")).unwrap()
}

#[tokio::test]
async fn the_last_link_takes_no_room_for_what_the_journal_holds() {
    let disk = Disk::default();
    let open_for_ten = || Options::new().max_jobs(10).open_on(disk.medium(), Path::new("a")).unwrap();
    let begin = async |jobs: &DurableJobs<u32>, name: &str| {
        let mut begun = Vec::new();
        for number in 0..3 {
            begun.push(jobs.begin(format!("{name}-{number}"), number).await.unwrap());
        }
        begun
    };
    let first = open_for_ten();
    let _left_over = begin(&first.jobs("earlier"), "earlier").await;
    disk.restart(&mut Rng::with_seed(3));
    let journal = open_for_ten();
    let (memory, durable) = (Jobs::new(), journal.jobs("durable"));
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("durable", durable.clone())
        .component("memory", memory.clone())
        .hand_over_to(journal.as_last_link().outlives_the_instance())
        .grace(Duration::from_secs(3))
        .start()
        .unwrap();
    let _durable = begin(&durable, "durable").await;
    let _memory: Vec<_> = (0..4).map(|n| memory.begin(format!("memory-{n}"), n).unwrap()).collect();
    shutdown.begin("a test");
    shutdown.hurry();
    let report = shutdown.finished().await;
    assert_eq!((report.jobs.handed_over.len(), report.jobs.unacknowledged.len()), (10, 0), "{report}");
    assert_eq!(after_a_cut(&disk).left_over().len(), 10);
}

#[tokio::test]
async fn the_last_link_refuses_what_is_new_to_a_full_journal() {
    let journal = Options::new().max_jobs(2).open_on(Disk::default().medium(), Path::new("a")).unwrap();
    let (memory, durable) = (Jobs::new(), journal.jobs("durable"));
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("durable", durable.clone())
        .component("memory", memory.clone())
        .hand_over_to(journal.as_last_link().outlives_the_instance())
        .grace(Duration::from_secs(3))
        .start()
        .unwrap();
    let _durable = durable.begin("durable", 1).await.unwrap();
    let _memory: Vec<_> = (0..4).map(|n| memory.begin(format!("memory-{n}"), n).unwrap()).collect();
    shutdown.begin("a test");
    shutdown.hurry();
    let report = shutdown.finished().await;
    assert_eq!((report.jobs.handed_over.len(), report.jobs.unacknowledged.len()), (2, 3), "{report}");
}

/// Acknowledges all.
struct Takes;

#[sundown::async_trait]
impl Notifier for Takes {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        for job in hand_over.jobs() {
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

/// Acknowledges all while the link is writing.
struct Overtakes {
    link: LastLink,
    disk: Disk,
}

#[sundown::async_trait]
impl Notifier for Overtakes {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let mut writing = self.link.incomplete(hand_over);
        {
            let _stalled = self.disk.stall();
            assert!(writing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            for job in hand_over.jobs() {
                assert!(hand_over.acknowledge(job.key()));
            }
        }
        writing.await
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        self.link.finished(report).await
    }
}

#[tokio::test]
async fn what_the_link_has_written_and_somebody_else_takes_over_is_forgotten() {
    for overtaken in [false, true] {
        let disk = Disk::default();
        let journal = Options::new().open_on(disk.medium(), Path::new("a")).unwrap();
        let (memory, durable) = (Jobs::new(), journal.jobs("durable"));
        let shutdown = Shutdown::embedded(Tokio::current())
            .component("durable", durable.clone())
            .component("memory", memory.clone())
            .grace(Duration::from_secs(5));
        let link = journal.as_last_link();
        let shutdown = if overtaken {
            shutdown.hand_over_to(Overtakes { link: link.outlives_the_instance(), disk: disk.clone() })
        } else {
            shutdown.hand_over_to(First::new(Tokio::current(), link).then(Takes))
        };
        let shutdown = shutdown.start().unwrap();
        let _durable = durable.begin("durable", 1).await.unwrap();
        let _memory = memory.begin("memory", 1).unwrap();
        shutdown.begin("a test");
        shutdown.hurry();
        let report = shutdown.finished().await;
        assert_eq!(report.jobs.handed_over.len(), 2, "{report}");
        journal.flush().await.unwrap();
        let left = after_a_cut(&disk).left_over();
        assert!(left.is_empty(), "overtaken: {overtaken}: {left:?}");
    }
}

#[tokio::test]
async fn what_the_link_has_kept_once_another_takes_over_later() {
    let disk = Disk::default();
    let first = Options::new().open_on(disk.medium(), Path::new("a")).unwrap();
    let _left_over = first.jobs("earlier").begin("17", 1).await.unwrap();
    let journal = after_a_cut(&disk);
    let (runtime, long) = (Tokio::current(), Duration::from_secs(30));
    let link = journal.as_last_link().outlives_the_instance();
    let kept = journal.hand_over(link, &runtime, long).await.unwrap();
    assert_eq!((kept.acknowledged.len(), kept.left), (0, 1), "it is where it was: {:?}", kept.error);
    let taken = journal.hand_over(Takes, &runtime, long).await.unwrap();
    assert_eq!((taken.acknowledged.len(), taken.left), (1, 0));
    assert!(after_a_cut(&disk).left_over().is_empty());
}

#[tokio::test]
async fn what_the_link_has_kept_once_the_next_shutdown_hands_over() {
    let disk = Disk::default();
    let first = Options::new().open_on(disk.medium(), Path::new("a")).unwrap();
    let _left_over = first.jobs("earlier").begin("17", 1).await.unwrap();
    let journal = after_a_cut(&disk);
    let link = journal.as_last_link().outlives_the_instance();
    journal.hand_over(link, &Tokio::current(), Duration::from_secs(30)).await.unwrap();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("jobs", journal.jobs::<u32>("jobs"))
        .hand_over_to(Takes)
        .grace(Duration::from_secs(5))
        .start()
        .unwrap();
    shutdown.begin("a test");
    let report = shutdown.finished().await;
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    assert!(after_a_cut(&disk).left_over().is_empty());
}
