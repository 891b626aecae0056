//! What is wrong from the beginning, and who gets to know it; and what nobody gets to know.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use sundown::{Shutdown, StartError};
use sundown_notify::Webhook;
use sundown_tokio::Tokio;

use crate::{
    monitor::{Monitor, status},
    service::{failure, fates, go_down, go_down_within, letters},
};

fn start(webhook: Webhook) -> Result<Shutdown, StartError> {
    Shutdown::embedded(Tokio::current()).hand_over_to(webhook).grace(Duration::from_secs(30)).start()
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

#[tokio::test]
async fn wrong_options_fail_the_start_by_name() {
    let new = || Webhook::new("http://monitor.example/events").unwrap();
    for (webhook, expected) in [
        (new().header("x y", "1"), "`x y` is no name of a header"),
        (new().header("x-y", "s3cr3t\n"), "the value of header `x-y` has characters that none may have"),
        (new().header("Content-Type", "text/plain"), "header `content-type` is set by the webhook"),
        (new().header("Webhook-Signature", "v1,"), "header `webhook-signature` is set by the webhook"),
        (new().sign("s3cr3t"), "a secret begins with `whsec_`"),
        (new().root_certificate("s3cr3t"), "the authority's PEM has no certificate"),
        (new().batch(0, 1024), "a batch of 0 jobs delivers nothing"),
        (new().source("my service"), "the source is empty, or has white space or control characters"),
    ] {
        let error = told(&start(webhook).expect_err("it does not start"));
        assert!(error.ends_with(&format!("webhook http://monitor.example: {expected}")), "{error}");
    }
}

#[tokio::test]
async fn a_monitor_that_is_down_does_not_keep_a_service_from_starting() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shutdown = start(Webhook::new(format!("http://{gone}/")).unwrap()).unwrap();
    shutdown.begin("a test");
    shutdown.finished().await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_keeps_no_service_from_starting_and_leaves_no_doubt() {
    // https://www.rfc-editor.org/rfc/rfc6761#section-6.4
    let webhook = Webhook::new("http://monitor.invalid/").unwrap();
    let report = go_down_within(Duration::from_millis(600), webhook, letters(1)).await;
    assert_eq!(fates(&report)[1], ["a"], "{report}");
}

#[tokio::test]
async fn a_monitor_is_found_by_its_name_and_gets_to_know_it() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let authority = format!("localhost:{}", monitor.address().port());
    let report = go_down(Webhook::new(format!("http://{authority}/")).unwrap(), letters(1)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(monitor.jobs()[0].header("host"), Some(&*authority));
}

#[tokio::test]
async fn headers_userinfo_path_and_query_are_sent_and_not_shown() {
    let monitor = Monitor::start(|_, _| status("403 Forbidden"));
    let url = format!("http://me:s3cr3t@{}/hooks/s3cr3t?token=s3cr3t", monitor.address());
    let webhook = Webhook::new(url).unwrap().header("x-tenant", "s3cr3t");
    assert!(!format!("{webhook:?}").contains("s3cr3t"));
    let report = go_down(webhook, letters(1)).await;
    assert!(!report.to_string().contains("s3cr3t"), "{report}");
    assert!(
        failure(&report).starts_with(&format!("webhook http://{}: 1 of 1 jobs", monitor.address())),
        "{report}"
    );
    let request = &monitor.jobs()[0];
    assert!(request.head.starts_with("POST /hooks/s3cr3t?token=s3cr3t HTTP/1.1\r\n"));
    assert_eq!(request.header("authorization"), Some("Basic bWU6czNjcjN0"));
    assert_eq!(request.header("host"), Some(monitor.address().to_string().as_str()));
    assert_eq!(request.header("x-tenant"), Some("s3cr3t"));
}

#[tokio::test]
async fn https_to_a_plain_port_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let report = go_down_within(Duration::from_secs(5), Webhook::new(url).unwrap(), letters(1)).await;
    assert_eq!(fates(&report)[1], ["a"]);
    assert!(failure(&report).contains("no TLS connection; is the port a TLS port"), "{report}");
    assert!(report.took < Duration::from_secs(4), "it is not tried again: {report}");
}
