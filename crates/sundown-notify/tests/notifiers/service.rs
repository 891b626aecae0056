//! A service that goes down with jobs in flight, and its report.

use std::{
    sync::mpsc::{Sender, channel},
    time::Duration,
};

use serde::Serialize;
use sundown::{
    Builder, HandOver, JobLine, Jobs, JobsReport, Notice, Notifier, NotifyError, Outcome, Report, Reserve,
    Shutdown,
};
use sundown_testkit::TakesOver;
use sundown_tokio::Tokio;

/// How long the hand-over may take where it is not to be used up: long enough for a machine that has other things to do.
const SLICE: Duration = Duration::from_secs(10);

/// Goes down with these jobs in flight, which this notifier is to take over.
pub(crate) async fn go_down<P: Serialize + Send + Sync + 'static>(
    notifier: impl Notifier,
    jobs: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    go_down_within(SLICE, notifier, jobs).await
}

/// The same, with so much time for the hand-over.
pub(crate) async fn go_down_within<P: Serialize + Send + Sync + 'static>(
    slice: Duration,
    notifier: impl Notifier,
    jobs: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    end(slice, |builder| builder.hand_over_to(notifier), jobs).await
}

/// Goes down with these jobs in flight, which another one takes over. This notifier is told, of the beginning first.
pub(crate) async fn go_down_telling<P: Serialize + Send + Sync + 'static>(
    notifier: impl Notifier,
    jobs: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    let (tell, told) = channel();
    let hears = |builder: Builder| builder.hand_over_to(TakesOver::all()).tell(Hears(notifier, tell));
    let wait = move || told.recv_timeout(Duration::from_secs(20)).expect("it is told of the beginning");
    end_when(wait, SLICE, hears, jobs).await
}

/// Says when it has been told of the beginning.
struct Hears<N>(N, Sender<()>);

#[sundown::async_trait]
impl<N: Notifier> Notifier for Hears<N> {
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.0.prepare().await
    }

    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        let result = self.0.draining(notice).await;
        let _ = self.1.send(());
        result
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        self.0.incomplete(hand_over).await
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        self.0.finished(report).await
    }
}

async fn end<P: Serialize + Send + Sync + 'static>(
    slice: Duration,
    with: impl FnOnce(Builder) -> Builder,
    jobs: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    end_when(|| (), slice, with, jobs).await
}

async fn end_when<P: Serialize + Send + Sync + 'static>(
    wait: impl FnOnce(),
    slice: Duration,
    with: impl FnOnce(Builder) -> Builder,
    in_flight: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    let jobs = Jobs::new();
    let builder = Shutdown::embedded(Tokio::current())
        .component("jobs", jobs.clone())
        .grace(Duration::from_secs(30))
        .reserve(Reserve::HandOver, slice);
    let shutdown = with(builder).start().unwrap();
    let _in_flight: Vec<_> =
        in_flight.into_iter().map(|(id, payload)| jobs.begin(id, payload).unwrap()).collect();
    shutdown.begin("a test");
    // It may block: nothing of the shutdown runs on this runtime.
    wait();
    shutdown.hurry();
    shutdown.finished().await
}

fn ids(lines: &[JobLine]) -> Vec<String> {
    lines.iter().map(|line| line.id.to_string()).collect()
}

/// Which jobs were handed over, are unacknowledged, and are in doubt.
pub(crate) fn fates(report: &Report) -> [Vec<String>; 3] {
    let JobsReport { handed_over, unacknowledged, in_doubt, .. } = &report.jobs;
    [ids(handed_over), ids(unacknowledged), ids(in_doubt)]
}

/// What the hand-over failed with.
pub(crate) fn failure(report: &Report) -> &str {
    match &report.notifiers[0].incomplete {
        Outcome::Failed(why) => why,
        other => panic!("the hand-over {other}"),
    }
}

/// The jobs a, b, c, …
pub(crate) fn letters(count: usize) -> Vec<(&'static str, u32)> {
    ["a", "b", "c", "d", "e", "f"].into_iter().zip(0..).take(count).collect()
}
