//! Notifiers that are given up on.

use std::{path::Path, pin::pin, sync::Mutex, time::Duration};

use fastrand::Rng;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use sundown::{HandOver, Notifier, NotifyError};
use sundown_tokio::Tokio;
use tokio::time::timeout;

use crate::{Journal, Options, disk::Disk};

/// Long beside whatever is waited for.
const LONG: Duration = Duration::from_secs(30);

/// What the next process finds after a power cut.
fn after_a_cut(disk: &Disk) -> Journal {
    disk.restart(&mut Rng::with_seed(3));
    Options::new().open_on(disk.medium(), Path::new("jobs.journal")).unwrap()
}

/// Says that it was asked, and waits for ever with the other sender in its hands.
struct Hangs(Mutex<Option<(oneshot::Sender<()>, oneshot::Sender<()>)>>);

#[sundown::async_trait]
impl Notifier for Hangs {
    async fn incomplete(&self, _: &HandOver) -> Result<(), NotifyError> {
        let (asked, _in_hand) = self.0.lock().unwrap().take().unwrap();
        let _ = asked.send(());
        std::future::pending().await
    }
}

/// A journal with a job that is left over, and a notifier that hangs: when it is asked, and when it was dropped.
async fn scene(disk: &Disk) -> (Journal, Hangs, oneshot::Receiver<()>, oneshot::Receiver<()>) {
    let first = Options::new().open_on(disk.medium(), Path::new("a")).unwrap();
    let _left_over = first.jobs("earlier").begin("17", 1).await.unwrap();
    let journal = after_a_cut(disk);
    assert!(!journal.left_over()[0].is_in_doubt());
    let ((asked, is_asked), (in_hand, is_dropped)) = (oneshot::channel(), oneshot::channel());
    (journal, Hangs(Mutex::new(Some((asked, in_hand)))), is_asked, is_dropped)
}

async fn leaves_it_in_doubt(disk: &Disk, journal: &Journal, is_dropped: oneshot::Receiver<()>) {
    let stopped = timeout(LONG, is_dropped).await.expect("the notifier is dropped where it waits");
    assert!(stopped.is_err());
    assert!(journal.left_over()[0].is_in_doubt());
    journal.flush().await.unwrap();
    assert!(after_a_cut(disk).left_over()[0].is_in_doubt());
}

#[tokio::test]
async fn a_notifier_that_is_late_stops_and_leaves_the_jobs_in_doubt() {
    let disk = Disk::default();
    let (journal, hangs, _is_asked, is_dropped) = scene(&disk).await;
    let time = Duration::from_millis(200);
    let done = journal.hand_over(hangs, &Tokio::current(), time).await.unwrap();
    assert_eq!((done.acknowledged.len(), done.left), (0, 1));
    leaves_it_in_doubt(&disk, &journal, is_dropped).await;
}

#[tokio::test]
async fn a_hand_over_that_is_dropped_stops_the_notifier_and_leaves_the_jobs_in_doubt() {
    let disk = Disk::default();
    let (journal, hangs, is_asked, is_dropped) = scene(&disk).await;
    {
        let runtime = Tokio::current();
        let hand_over = pin!(journal.hand_over(hangs, &runtime, LONG * 2));
        let asked = timeout(LONG, select(is_asked, hand_over)).await.expect("it is asked");
        assert!(matches!(asked, Either::Left(_)));
    }
    leaves_it_in_doubt(&disk, &journal, is_dropped).await;
}
