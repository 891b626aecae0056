//! What the monitor gets to see.

use serde::{Serialize, Serializer, ser::Error};
use serde_json::{Value, json};
use sundown::{Jobs, Outcome, Shutdown, Uuid};
use sundown_notify::Webhook;
use sundown_tokio::Tokio;

use crate::{
    monitor::{Monitor, Request, status, text},
    service::{fates, go_down, letters},
};

#[tokio::test]
async fn every_event_is_a_cloudevent_in_a_batch() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let webhook = Webhook::new(monitor.url()).unwrap().source("//tests.example/wire");
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("worker", jobs.clone())
        .hand_over_to(webhook)
        .grace(std::time::Duration::from_secs(30))
        .start()
        .unwrap();
    let job = jobs.begin("image-17", json!({ "width": 640 })).unwrap();
    job.checkpoint("row 3");
    shutdown.begin("a test");
    monitor.news(1);
    shutdown.hurry();
    let report = shutdown.finished().await;

    let news = monitor.news(2);
    let (draining, incomplete, finished) = (only(&news[0]), only(&monitor.jobs()[0]), only(&news[1]));
    let shutdown_id = report.shutdown.to_string();
    for (event, kind, subject) in [
        (&draining, "dev.sundown.shutdown.draining.v1", shutdown_id.as_str()),
        (&incomplete, "dev.sundown.job.incomplete.v1", "image-17"),
        (&finished, "dev.sundown.shutdown.finished.v1", shutdown_id.as_str()),
    ] {
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], kind);
        assert_eq!(event["source"], "//tests.example/wire");
        assert_eq!(event["subject"], subject);
        assert_eq!(event["datacontenttype"], "application/json");
        is_rfc3339(&text(&event["time"]));
    }
    assert_eq!(draining["data"], json!({ "shutdown": shutdown_id, "reason": "requested: a test" }));
    let data = &incomplete["data"];
    assert_eq!(data["job"], "image-17");
    assert_eq!(data["key"], job.key().to_string());
    assert_eq!(data["component"], "worker");
    assert_eq!(data["payload"], json!({ "width": 640 }));
    assert_eq!(data["checkpoint"], "row 3");
    assert_eq!(data["reason"], "requested: a test");
    assert!(data["age_ms"].is_u64());
    assert_eq!(finished["data"]["shutdown"], shutdown_id);
    assert_eq!(finished["data"]["jobs"]["handed_over"][0]["id"], "image-17");
    let ids: std::collections::HashSet<_> =
        [&draining, &incomplete, &finished].into_iter().map(|event| text(&event["id"])).collect();
    assert_eq!(ids.len(), 3);
}

fn only(request: &Request) -> Value {
    assert!(request.head.starts_with("POST /events HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/cloudevents-batch+json"));
    assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
    let events = request.events();
    assert_eq!(events.len(), 1);
    events[0].clone()
}

/// `2026-01-31T23:59:59.999Z`
fn is_rfc3339(time: &str) {
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{time}");
}

#[tokio::test]
async fn the_source_of_two_webhooks_is_not_the_same() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    for _ in 0..2 {
        go_down(Webhook::new(monitor.url()).unwrap(), letters(1)).await;
    }
    let sources: Vec<_> = monitor.jobs().iter().map(|request| text(&request.events()[0]["source"])).collect();
    assert_ne!(sources[0], sources[1]);
    assert!(sources[0].strip_prefix("urn:uuid:").is_some_and(|id| id.parse::<Uuid>().is_ok()), "{sources:?}");
}

#[tokio::test]
async fn batches_are_bounded_in_jobs() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let report = go_down(Webhook::new(monitor.url()).unwrap().batch(2, 1 << 20), letters(5)).await;
    let sizes: Vec<_> = monitor.jobs().iter().map(|request| request.events().len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    let requests = monitor.jobs();
    assert!(requests.iter().all(|request| request.peer == requests[0].peer), "they share a connection");
    assert_eq!(fates(&report)[0].len(), 5);
    assert!(report.is_clean(), "{report}");
    let mut ids: Vec<_> = monitor.jobs().iter().flat_map(Request::ids).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn batches_are_bounded_in_bytes_and_what_is_too_long_goes_alone() {
    const MOST: usize = 3072;
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let webhook = Webhook::new(monitor.url()).unwrap().batch(100, MOST);
    let payload = |bytes| "x".repeat(bytes);
    let jobs = [
        ("a", payload(500)),
        ("b", payload(500)),
        ("c", payload(5000)),
        ("d", payload(1)),
        ("e", payload(1)),
    ];
    let report = go_down(webhook, jobs).await;
    assert_eq!(fates(&report)[0].len(), 5, "{report}");
    let requests = monitor.jobs();
    let subjects: Vec<_> = requests.iter().map(Request::subjects).collect();
    assert_eq!(subjects, [vec!["a", "b"], vec!["c"], vec!["d", "e"]]);
    let too_long: Vec<_> = requests.iter().map(|request| request.body.len() > MOST).collect();
    assert_eq!(too_long, [false, true, false]);
}

enum Payload {
    Fine,
    Errs,
    Panics,
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Payload::Fine => serializer.serialize_str("fine"),
            Payload::Errs => Err(S::Error::custom("no words for it")),
            Payload::Panics => panic!("a broken payload"),
        }
    }
}

#[tokio::test]
async fn a_payload_that_does_not_serialise_costs_nothing_but_itself_and_the_report_says_so() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let jobs = [("a", Payload::Errs), ("b", Payload::Panics), ("c", Payload::Fine)];
    let report = go_down(Webhook::new(monitor.url()).unwrap(), jobs).await;
    let Outcome::Failed(why) = &report.notifiers[0].incomplete else { panic!("{report}") };
    assert!(why.contains("a: the payload") && why.contains("b: the payload"), "{why}");
    assert!(!why.contains("c: "), "{why}");
    assert_eq!(fates(&report)[0], ["a", "b", "c"]);
    let events = monitor.jobs()[0].events();
    for (event, error) in events.iter().zip(["no words for it", "it panicked: a broken payload"]) {
        assert_eq!(event["data"]["payload"], Value::Null);
        assert_eq!(event["data"]["job"], event["subject"]);
        assert_eq!(event["data"]["reason"], "requested: a test");
        assert!(text(&event["data"]["error"]).ends_with(error), "{event}");
    }
    assert_eq!(events[2]["data"]["payload"], "fine");
    assert_eq!(events[2]["data"].get("error"), None);
}
