//! On which connection the monitor hears of the jobs, and whether that is the monitor.

use std::{net::SocketAddr, time::Duration};

use sundown::{Jobs, Report, Shutdown};
use sundown_notify::Webhook;
use sundown_tokio::Tokio;

use crate::{
    authority::Authority,
    monitor::{Monitor, Request, body, status},
    service::{failure, fates, go_down, go_down_within, letters},
};

/// Drains until its time is over, more than a second, and then hands over.
async fn go_down_slowly(webhook: Webhook) -> Report {
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(webhook)
        .grace(Duration::from_secs(4))
        .start()
        .unwrap();
    let _job = jobs.begin("a", ()).unwrap();
    shutdown.begin("a test");
    shutdown.finished().await
}

/// The connection that the news of the beginning came on, and that of the jobs.
fn connections(monitor: &Monitor) -> [SocketAddr; 2] {
    let (news, jobs) = (&monitor.news(1)[0], &monitor.jobs()[0]);
    assert!(jobs.at - news.at > Duration::from_secs(1), "the drain was short");
    [news.peer, jobs.peer]
}

#[tokio::test]
async fn the_connection_is_made_before_it_is_needed() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let report = go_down_slowly(Webhook::new(monitor.url()).unwrap()).await;
    assert_eq!(fates(&report)[0], ["a"], "{report}");
    let [news, jobs] = connections(&monitor);
    assert_eq!(news, jobs);
}

#[tokio::test]
async fn the_handshake_is_over_before_the_connection_is_needed() {
    let authority = Authority::new("ours");
    let monitor = Monitor::over_tls(authority.server("127.0.0.1"), |_, _| status("204 No Content"));
    let webhook = Webhook::new(monitor.url()).unwrap().root_certificate(authority.pem());
    let report = go_down_slowly(webhook).await;
    assert_eq!(fates(&report)[0], ["a"], "{report}");
    let [news, jobs] = connections(&monitor);
    assert_eq!(news, jobs);
}

#[tokio::test]
async fn a_monitor_that_has_closed_it_in_between_is_connected_anew() {
    let monitor = Monitor::of_short_breath();
    let report = go_down_slowly(Webhook::new(monitor.url()).unwrap()).await;
    assert_eq!(fates(&report)[0], ["a"], "{report}");
    let [news, jobs] = connections(&monitor);
    assert_ne!(news, jobs);
    assert_eq!(monitor.jobs().len(), 1, "it was tried on the one that was closed");
}

#[tokio::test]
async fn an_answer_with_a_body_keeps_the_connection() {
    for text in ["ok", "{}", "[\"stored\"]", ""] {
        let monitor = Monitor::start(move |_, _| body(text));
        let report = go_down(Webhook::new(monitor.url()).unwrap().batch(1, 1024), letters(3)).await;
        assert!(report.is_clean(), "{report}");
        let requests: Vec<Request> = monitor.jobs();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|request| request.peer == requests[0].peer), "{text:?}");
    }
}

#[tokio::test]
async fn only_a_monitor_that_the_authority_vouches_for_gets_the_jobs() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for (server, trusted, why) in [
        (ours.server("127.0.0.1"), Some(theirs.pem()), "UnknownIssuer"),
        (ours.server("127.0.0.1"), None, "UnknownIssuer"),
        (ours.server("monitor.example"), Some(ours.pem()), "not valid for name"),
    ] {
        let monitor = Monitor::over_tls(server, |_, _| status("204 No Content"));
        let webhook = Webhook::new(monitor.url()).unwrap();
        let webhook = trusted.iter().fold(webhook, Webhook::root_certificate);
        let report = go_down_within(Duration::from_secs(5), webhook, letters(1)).await;
        // Not a word of it has left, so there is no doubt; and the next in line has the rest of the time.
        assert_eq!(fates(&report)[1], ["a"], "{report}");
        assert_eq!(monitor.count(), 0);
        let failure = failure(&report);
        assert!(failure.contains("no TLS connection") && failure.contains(why), "{failure}");
        assert!(report.took < Duration::from_secs(4), "it is not tried again: {report}");
    }
    // Each of them is enough.
    let monitor = Monitor::over_tls(ours.server("127.0.0.1"), |_, _| status("204 No Content"));
    let webhook = Webhook::new(monitor.url()).unwrap();
    let webhook = webhook.root_certificate(theirs.pem()).root_certificate(ours.pem());
    assert!(go_down(webhook, letters(1)).await.is_clean());
}
