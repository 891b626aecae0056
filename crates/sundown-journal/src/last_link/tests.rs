//! The last link at shutdowns: in whose room, and for whom, it writes.

use std::{
    path::Path,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde::{Serialize, Serializer};
use sundown::{HandOver, Jobs, Key, LeftOver, Notifier, NotifyError, Report, Shutdown, Uuid};
use sundown_notify::First;
use sundown_tokio::Tokio;

use crate::{DurableJob, DurableJobs, Journal, LastLink, Options, disk::Disk};

/// What the next process finds after a power cut.
fn after_a_cut(disk: &Disk) -> Journal {
    disk.restart(&mut Rng::with_seed(3));
    Options::new().open_on(disk.medium(), Path::new("jobs.journal")).unwrap()
}

async fn begin(jobs: &DurableJobs<u32>, count: u32) -> Vec<DurableJob<u32>> {
    let mut begun = Vec::new();
    for number in 0..count {
        begun.push(jobs.begin(format!("durable-{number}"), number).await.unwrap());
    }
    begun
}

/// Goes down with so many jobs that the journal has, and four that it has not.
async fn go_down_with_both(journal: &Journal, count: u32) -> Report {
    let (memory, durable) = (Jobs::new(), journal.jobs("durable"));
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("durable", durable.clone())
        .component("memory", memory.clone())
        .hand_over_to(journal.as_last_link().outlives_the_instance())
        .grace(Duration::from_secs(3))
        .start()
        .unwrap();
    let _durable = begin(&durable, count).await;
    let _memory: Vec<_> = (0..4).map(|n| memory.begin(format!("memory-{n}"), n).unwrap()).collect();
    shutdown.begin("a test");
    shutdown.hurry();
    shutdown.finished().await
}

#[tokio::test]
async fn the_last_link_takes_no_room_for_what_the_journal_holds() {
    let disk = Disk::default();
    let open_for_ten = || Options::new().max_jobs(10).open_on(disk.medium(), Path::new("a")).unwrap();
    let first = open_for_ten();
    let _left_over = begin(&first.jobs("earlier"), 3).await;
    disk.restart(&mut Rng::with_seed(3));
    let journal = open_for_ten();
    let report = go_down_with_both(&journal, 3).await;
    assert_eq!((report.jobs.handed_over.len(), report.jobs.unacknowledged.len()), (10, 0), "{report}");
    assert_eq!(after_a_cut(&disk).left_over().len(), 10);
}

#[tokio::test]
async fn the_last_link_refuses_what_is_new_to_a_full_journal() {
    let journal = Options::new().max_jobs(2).open_on(Disk::default().medium(), Path::new("a")).unwrap();
    let report = go_down_with_both(&journal, 1).await;
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

/// A payload that panics, with something that panics once more.
struct Bomb(bool);

impl Serialize for Bomb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Thrown;
        impl Drop for Thrown {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        if self.0 {
            std::panic::panic_any(Thrown);
        }
        serializer.serialize_unit()
    }
}

#[tokio::test]
async fn a_payload_whose_panic_panics_again_keeps_no_other_job_from_the_disk() {
    let disk = Disk::default();
    let journal = Options::new().open_on(disk.medium(), Path::new("a")).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let jobs = [true, false].map(|panics| {
        let (key, id) = (Key::new(Uuid::from_u128(7), u64::from(panics)), format!("{panics}"));
        LeftOver::new(key, id.try_into().unwrap(), "memory", Bomb(panics))
    });
    let offer = HandOver::of_left_over(jobs, until);
    let said = journal.as_last_link().outlives_the_instance().incomplete(&offer).await;
    assert_eq!(said.unwrap_err().to_string(), "job true could not be written down: no message");
    assert_eq!(offer.rest(until).jobs().len(), 1);
    assert_eq!(after_a_cut(&disk).left_over()[0].id().as_str(), "false");
}
