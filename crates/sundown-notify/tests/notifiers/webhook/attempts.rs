//! What is tried again, what is not, and in which order.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use rustix::net::listen;
use serde::{Serialize, Serializer};
use sundown_notify::Webhook;

use crate::{
    monitor::{Answer, Monitor, Request, closed_port, status, with_headers},
    service::{failure, fates, go_down, go_down_within, letters},
};

const SHORT: Duration = Duration::from_millis(1500);

fn webhook(monitor: &Monitor) -> Webhook {
    Webhook::new(monitor.url()).unwrap()
}

fn subjects(monitor: &Monitor) -> Vec<String> {
    monitor.jobs().iter().flat_map(Request::subjects).collect()
}

#[tokio::test]
async fn a_server_error_is_tried_again_with_the_same_events() {
    let monitor = Monitor::start(|before, _| match before {
        0 => status("500 Internal Server Error"),
        _ => status("200 OK"),
    });
    let report = go_down(webhook(&monitor), letters(3)).await;
    assert!(report.is_clean(), "{report}");
    let requests = monitor.jobs();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn a_server_that_keeps_saying_no_leaves_no_doubt() {
    let monitor = Monitor::start(|_, _| status("503 Service Unavailable"));
    let report = go_down_within(SHORT, webhook(&monitor), letters(2)).await;
    assert_eq!(fates(&report)[1], ["a", "b"]);
    assert!(
        failure(&report).ends_with("2 of 2 jobs not acknowledged, the last failure: status 503"),
        "{report}"
    );
    assert!(monitor.jobs().len() > 2);
}

#[tokio::test]
async fn a_refused_batch_is_not_tried_again_and_those_behind_it_are_tried() {
    let monitor = Monitor::start(|before, _| match before {
        0 => status("400 Bad Request"),
        _ => status("204 No Content"),
    });
    let report = go_down(webhook(&monitor).batch(1, 1024), letters(3)).await;
    assert_eq!(fates(&report), [vec!["b", "c"], vec!["a"], vec![]]);
    assert_eq!(subjects(&monitor), ["a", "b", "c"]);
    assert!(
        failure(&report).ends_with("1 of 3 jobs not acknowledged, the last failure: status 400"),
        "{report}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Monitor::start(|_, _| status("200 OK"));
    let location = format!("Location: {}\r\n", target.url());
    for code in ["301 Moved Permanently", "303 See Other", "307 Temporary Redirect"] {
        let location = location.clone();
        let monitor = Monitor::start(move |_, _| with_headers(code, &location));
        let report = go_down(webhook(&monitor), letters(1)).await;
        assert_eq!(fates(&report)[1], ["a"], "{report}");
        assert_eq!(monitor.jobs().len(), 1);
        assert!(failure(&report).ends_with("and redirects are not followed"), "{report}");
    }
    assert!(target.jobs().is_empty());
}

#[tokio::test]
async fn no_redirect_takes_credentials_to_another_host() {
    let other = Monitor::always(|| status("200 OK"));
    // By another name, too.
    for host in ["127.0.0.1", "localhost"] {
        for code in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let location = format!("Location: http://{host}:{}/\r\n", other.address().port());
            let monitor = Monitor::always(move || with_headers(code, &location));
            let url = format!("http://me:s3cr3t@{}/", monitor.address());
            let report = go_down(Webhook::new(url).unwrap().header("x-token", "s3cr3t"), letters(1)).await;
            assert_eq!(fates(&report)[1], ["a"], "{report}");
            assert!(monitor.jobs()[0].head.contains("s3cr3t"));
        }
    }
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn a_batch_that_hangs_does_not_starve_the_others() {
    let monitor = Monitor::start(|_, request| match request.subjects()[0].as_str() {
        "a" => Answer::Stall(Vec::new()),
        _ => status("204 No Content"),
    });
    let report = go_down_within(SHORT, webhook(&monitor).batch(1, 1024), letters(3)).await;
    assert_eq!(fates(&report), [vec!["b", "c"], vec![], vec!["a"]]);
    monitor.jobs_when(4);
    assert_eq!(subjects(&monitor)[..4], ["a", "b", "c", "a"]);
}

#[tokio::test]
async fn a_retry_after_that_fits_is_honoured() {
    let monitor = Monitor::start(|before, _| match before {
        0 => with_headers("429 Too Many Requests", "Retry-After: 1\r\n"),
        _ => status("204 No Content"),
    });
    let report = go_down(webhook(&monitor), letters(1)).await;
    assert!(report.is_clean(), "{report}");
    let requests = monitor.jobs();
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}

#[tokio::test]
async fn a_retry_after_that_does_not_fit_leaves_one_last_attempt() {
    let monitor = Monitor::start(|_, _| with_headers("503 Service Unavailable", "Retry-After: 3600\r\n"));
    let report = go_down_within(SHORT, webhook(&monitor), letters(1)).await;
    assert_eq!(fates(&report)[1], ["a"], "{report}");
    assert_eq!(monitor.jobs_when(2).len(), 2);
}

/// A payload that does something when it is serialised.
struct Deed(Box<dyn Fn() + Send + Sync>);

impl Deed {
    fn new(deed: impl Fn() + Send + Sync + 'static) -> Self {
        Deed(Box::new(deed))
    }
}

impl Serialize for Deed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0)();
        serializer.serialize_unit()
    }
}

#[tokio::test]
async fn a_monitor_that_comes_up_in_time_gets_what_it_refused() {
    let port = closed_port();
    let url = format!("http://{}/", port.local_addr().unwrap());
    let monitor: Arc<OnceLock<Monitor>> = Arc::default();
    let (port, comes_up) = (Mutex::new(Some(port)), monitor.clone());
    // The second batch is made when the first has been tried.
    let jobs = [
        ("a", Deed::new(|| ())),
        (
            "b",
            Deed::new(move || {
                let port = port.lock().unwrap().take().expect("a payload is serialised once");
                listen(&port, 16).unwrap();
                let _ = comes_up.set(Monitor::serve(port, |_, _| status("204 No Content")));
            }),
        ),
    ];
    let report = go_down(Webhook::new(url).unwrap().batch(1, 1024), jobs).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(subjects(monitor.get().unwrap()), ["b", "a"]);
}

#[tokio::test]
async fn a_monitor_that_is_down_leaves_no_doubt() {
    let port = closed_port();
    let url = format!("http://{}/", port.local_addr().unwrap());
    let report = go_down_within(SHORT, Webhook::new(url).unwrap(), letters(2)).await;
    assert_eq!(fates(&report)[1], ["a", "b"]);
    assert!(failure(&report).to_lowercase().contains("connection refused"), "{report}");
}
