//! The last link at shutdowns: in whose room, and for whom, it writes.

use std::{path::Path, time::Duration};

use fastrand::Rng;
use sundown::Shutdown;
use sundown_tokio::Tokio;

use crate::{DurableJobs, Journal, Options, disk::Disk};

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
    let (memory, durable) = (sundown::Jobs::new(), journal.jobs("durable"));
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
    let (memory, durable) = (sundown::Jobs::new(), journal.jobs("durable"));
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
