//! A service that goes down with jobs in flight, and its report.

use std::time::Duration;

use serde::Serialize;
use sundown::{JobLine, Jobs, JobsReport, Outcome, Report, Reserve, Shutdown};
use sundown_notify::Webhook;
use sundown_tokio::Tokio;

/// How long the hand-over may take in these tests.
pub(crate) const SLICE: Duration = Duration::from_secs(2);

/// Goes down with these jobs in flight, which the webhook is to take over.
pub(crate) async fn go_down<P: Serialize + Send + Sync + 'static>(
    webhook: Webhook,
    jobs: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    go_down_within(SLICE, webhook, jobs).await
}

/// The same, with so much time for the hand-over.
pub(crate) async fn go_down_within<P: Serialize + Send + Sync + 'static>(
    slice: Duration,
    webhook: Webhook,
    in_flight: impl IntoIterator<Item = (&str, P)>,
) -> Report {
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(webhook)
        .grace(Duration::from_secs(30))
        .reserve(Reserve::HandOver, slice)
        .start()
        .unwrap();
    let _in_flight: Vec<_> =
        in_flight.into_iter().map(|(id, payload)| jobs.begin(id, payload).unwrap()).collect();
    shutdown.begin("a test");
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
