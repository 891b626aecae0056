//! Which jobs a reply takes over, which it does not, and which it leaves in doubt.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use serde_json::json;
use sundown::{Jobs, Outcome, Report, Reserve, Shutdown};
use sundown_notify::Webhook;
use sundown_tokio::Tokio;

use crate::{
    monitor::{Answer, Monitor, Request, body, status},
    service::{failure, fates, go_down, go_down_within, letters},
};

const SHORT: Duration = Duration::from_millis(1500);

fn webhook(monitor: &Monitor) -> Webhook {
    Webhook::new(monitor.url()).unwrap()
}

#[tokio::test]
async fn a_reply_that_names_half_of_them_takes_half_of_them() {
    let monitor = Monitor::start(|_, request| {
        let ids = request.ids();
        body(json!({ "acknowledged": [ids[1], "unknown", ids[2]] }).to_string())
    });
    let report = go_down(webhook(&monitor), letters(4)).await;
    let [handed_over, unacknowledged, in_doubt] = fates(&report);
    assert_eq!(handed_over, ["b", "c"]);
    assert_eq!(unacknowledged, ["a", "d"]);
    assert!(in_doubt.is_empty());
    assert_eq!(monitor.jobs().len(), 1, "who was not named is refused");
    let url = format!("http://{}", monitor.address());
    let expected = format!(
        "webhook {url}: 2 of 4 jobs not acknowledged, the last failure: a reply names 2 of its 4 events"
    );
    assert_eq!(failure(&report), expected);
}

#[tokio::test]
async fn a_body_that_names_nothing_takes_all() {
    for text in ["", "ok", "{}", "{\"status\":\"stored\"}", "[]", "<html></html>"] {
        let monitor = Monitor::start(move |_, _| body(text));
        let report = go_down(webhook(&monitor), letters(2)).await;
        assert_eq!(fates(&report)[0], ["a", "b"], "{text}");
    }
}

#[tokio::test]
async fn a_malformed_body_takes_nothing_and_leaves_a_doubt() {
    for text in ["{", "{\"acknowledged\":", "{\"acknowledged\":\"all\"}", "{\"acknowledged\":[1]}"] {
        let monitor = Monitor::start(move |_, _| body(text));
        let report = go_down(webhook(&monitor), letters(2)).await;
        assert_eq!(fates(&report)[2], ["a", "b"], "{text}");
        assert_eq!(monitor.jobs().len(), 1, "another attempt would not help");
        assert!(failure(&report).contains("2xx, but its body cannot be understood"), "{report}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_the_monitor_hangs_counts() {
    let monitor = Monitor::start(|before, _| match before {
        0 => status("204 No Content"),
        _ => Answer::Stall(Vec::new()),
    });
    let report = go_down_within(SHORT, webhook(&monitor).batch(1, 1024), letters(3)).await;
    let [handed_over, unacknowledged, in_doubt] = fates(&report);
    assert_eq!(handed_over, ["a"]);
    assert!(unacknowledged.is_empty());
    assert_eq!(in_doubt, ["b", "c"]);
    // It returned in its time: else the outcome would be *late*.
    assert!(
        failure(&report).contains("2 of 3 jobs not acknowledged, the last failure: no reply within"),
        "{report}"
    );
}

#[tokio::test]
async fn what_was_never_sent_is_not_in_doubt() {
    let monitor = Monitor::start(|_, _| Answer::Stall(Vec::new()));
    // Too short for an attempt at each.
    let slice = Duration::from_millis(800);
    let report = go_down_within(slice, webhook(&monitor).batch(1, 1024), letters(6)).await;
    let sent = monitor.jobs_when(fates(&report)[2].len());
    let sent = sent.iter().flat_map(Request::subjects).collect::<std::collections::BTreeSet<_>>();
    let [_, unacknowledged, in_doubt] = fates(&report);
    assert_eq!(in_doubt, Vec::from_iter(sent));
    assert_eq!(in_doubt.len() + unacknowledged.len(), 6);
    assert!(!in_doubt.is_empty() && !unacknowledged.is_empty(), "{report}");
}

#[tokio::test]
async fn a_reply_after_the_deadline_comes_too_late() {
    let (over, is_over) = mpsc::channel::<()>();
    let is_over = Mutex::new(is_over);
    let monitor = Monitor::start(move |_, _| {
        let _ = is_over.lock().unwrap().recv_timeout(Duration::from_secs(20));
        status("200 OK")
    });
    let report = go_down_within(SHORT, webhook(&monitor), letters(2)).await;
    drop(over);
    assert_eq!(fates(&report)[2], ["a", "b"]);
    assert!(failure(&report).contains("2 of 2 jobs not acknowledged"), "{report}");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_answer_leaves_a_doubt() {
    let monitor = Monitor::start(|_, _| Answer::Reset(b"HTTP/1.1 200 OK\r\nContent-Le".into()));
    let report = go_down_within(SHORT, webhook(&monitor), letters(2)).await;
    assert_eq!(fates(&report)[2], ["a", "b"], "{report}");
    let requests = monitor.jobs();
    assert!(requests.len() > 1, "it is tried again");
    assert!(requests.iter().all(|request| request.body == requests[0].body));
}

/// Goes down with one job in mid-commit, which does not end.
async fn go_down_committing(webhook: Webhook) -> Report {
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(webhook)
        .grace(Duration::from_secs(30))
        .reserve(Reserve::HandOver, SHORT)
        .reserve(Reserve::Answer, SHORT)
        .start()
        .unwrap();
    let _commit = jobs.begin("a", ()).unwrap().commit().unwrap();
    shutdown.begin("a test");
    shutdown.hurry();
    shutdown.finished().await
}

#[tokio::test]
async fn the_monitor_hears_of_an_effect_that_may_have_happened() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let report = go_down_committing(webhook(&monitor)).await;
    let event = &monitor.jobs()[0].events()[0];
    assert_eq!(event["type"], "dev.sundown.job.in-doubt.v1");
    assert_eq!((&event["subject"], &event["data"]["in_doubt"]), (&json!("a"), &json!(true)));
    // It is nobody's to do, but somebody knows of it.
    assert_eq!(fates(&report), [vec![], vec![], vec!["a"]]);
    assert!(report.jobs.in_doubt[0].acknowledged, "{report}");
    assert!(matches!(report.notifiers[0].incomplete, Outcome::Done(_)), "{report}");

    let monitor = Monitor::start(|_, _| status("410 Gone"));
    let report = go_down_committing(webhook(&monitor)).await;
    assert!(!report.jobs.in_doubt[0].acknowledged, "{report}");
    assert!(failure(&report).contains("1 of 1 jobs not acknowledged"), "{report}");
}

#[tokio::test]
async fn an_acknowledgement_ends_a_doubt() {
    let monitor = Monitor::start(|before, _| match before {
        0 => Answer::Reset(b"HTTP/1.1 200 OK\r\nContent-Le".into()),
        _ => status("200 OK"),
    });
    let report = go_down(webhook(&monitor), letters(2)).await;
    assert_eq!(fates(&report)[0], ["a", "b"]);
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_later_refusal_does_not_end_a_doubt() {
    let monitor = Monitor::start(|before, _| match before {
        0 => Answer::Cut(Vec::new()),
        _ => status("409 Conflict"),
    });
    let report = go_down(webhook(&monitor), letters(2)).await;
    assert_eq!(fates(&report)[2], ["a", "b"]);
    assert!(failure(&report).ends_with("status 409"), "{report}");
}

#[tokio::test]
async fn a_gateway_that_lost_its_upstream_leaves_a_doubt() {
    let monitor = Monitor::start(|_, _| status("504 Gateway Timeout"));
    let report = go_down_within(SHORT, webhook(&monitor), letters(1)).await;
    assert_eq!(fates(&report)[2], ["a"]);
}

const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"acknowledged\":[";

#[tokio::test]
async fn a_body_that_is_cut_takes_nothing_and_leaves_a_doubt() {
    let monitor = Monitor::start(|_, _| Answer::Cut(HALF.into()));
    let report = go_down_within(SHORT, webhook(&monitor), letters(2)).await;
    assert_eq!(fates(&report)[2], ["a", "b"]);
    assert!(failure(&report).contains("2xx, but its body broke off"), "{report}");
}

#[tokio::test]
async fn a_body_that_hangs_takes_nothing_and_leaves_a_doubt() {
    let monitor = Monitor::start(|_, _| Answer::Stall(HALF.into()));
    let report = go_down_within(SHORT, webhook(&monitor), letters(2)).await;
    assert_eq!(fates(&report)[2], ["a", "b"]);
    assert!(failure(&report).contains("did not come in time"), "{report}");
}

/// More than the buffers of both sockets could take in.
const FLOOD: usize = 64 << 20;

#[tokio::test]
async fn an_object_without_end_is_not_read_to_its_end() {
    let monitor = Monitor::start(|_, _| Answer::Flood("{", FLOOD));
    let report = go_down(webhook(&monitor), letters(1)).await;
    assert_eq!(fates(&report)[2], ["a"]);
    assert!(failure(&report).contains("its body is longer than 65792 bytes"), "{report}");
    assert!(!monitor.flood(), "all of it was read");
}

#[tokio::test]
async fn a_body_that_is_no_object_is_not_waited_for() {
    let monitor = Monitor::start(|_, _| Answer::Flood("ok", FLOOD));
    let report = go_down(webhook(&monitor), letters(1)).await;
    assert_eq!(fates(&report)[0], ["a"], "{report}");
    assert!(!monitor.flood(), "all of it was read");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_an_error_within_the_slice() {
    const DRIP: Duration = Duration::from_millis(20);
    for (beginning, again, pause) in [
        // A head without end, in a flood and drop by drop.
        ("HTTP/1.1 200 OK\r\n", "x-more: and more and more\r\n", Duration::ZERO),
        ("HTTP/1.1 200 OK\r\nx-more: ", "x", DRIP),
        // Answers that are not the last.
        ("", "HTTP/1.1 102 Processing\r\n\r\n", Duration::ZERO),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n", DRIP),
        // Bodies, with a length and without.
        ("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{", " ", DRIP),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n", DRIP),
        ("HTTP/1.1 200 OK\r\n\r\n{", " ", DRIP),
        // No HTTP at all.
        ("", "what?", Duration::ZERO),
    ] {
        let monitor = Monitor::start(move |_, _| Answer::Forever(beginning, again, pause));
        let report = go_down_within(SHORT, webhook(&monitor), letters(2)).await;
        assert_eq!(fates(&report)[2], ["a", "b"], "{beginning:?} {again:?} {report}");
        // It returned in its time: else the outcome would be *late*.
        assert!(
            failure(&report).contains("2 of 2 jobs not acknowledged"),
            "{beginning:?} {again:?} {report}"
        );
    }
}
