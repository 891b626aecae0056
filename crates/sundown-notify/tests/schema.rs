//! The schema of what is told, against what is told by real shutdowns: each event is as it says, and each field of an
//! event is in it and described.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

#[allow(dead_code, reason = "the webhook's own tests use all of it")]
#[path = "notifiers/monitor.rs"]
mod monitor;
#[allow(dead_code, reason = "the log line's own tests use all of it")]
#[path = "notifiers/paper.rs"]
mod paper;

use std::time::Duration;

use jsonschema::Validator;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sundown::{HandOver, Jobs, Key, LeftOver, Notifier, Overdue, Past, Reason, Reserve, Shutdown, Uuid};
use sundown_notify::{LogLine, Webhook};
use sundown_tokio::Tokio;

use crate::{
    monitor::{Monitor, status},
    paper::Paper,
};

fn schema() -> Value {
    serde_json::from_str(include_str!("../schema/events.json")).unwrap()
}

/// The same, which knows no field but those that it has.
fn strict() -> Value {
    let mut schema = schema();
    for object in objects(&mut schema["$defs"]) {
        object["additionalProperties"] = false.into();
    }
    schema
}

/// All objects with fields, whole ones.
fn objects(schema: &mut Value) -> Vec<&mut Value> {
    match schema {
        Value::Object(fields)
            if fields.get("type") == Some(&"object".into()) && fields.contains_key("properties") =>
        {
            vec![schema]
        }
        Value::Object(fields) => fields.values_mut().flat_map(objects).collect(),
        Value::Array(items) => items.iter_mut().flat_map(objects).collect(),
        _ => Vec::new(),
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

fn assert_valid(schema: &Value, events: &Value) {
    let errors: Vec<_> = validator(schema)
        .iter_errors(events)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{events:#}");
}

/// Fails to be written.
struct Broken;

impl Serialize for Broken {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("a broken payload")
    }
}

/// Everything that a webhook and a log tell of a shutdown with something of every kind.
async fn told() -> Vec<Value> {
    let monitor = Monitor::start(|before, _| match before {
        0 => status("204 No Content"),
        _ => status("400 Bad Request"),
    });
    let paper = Paper::default();
    let (jobs, broken) = (Jobs::new(), Jobs::new());
    let gate = sundown::Gate::new();
    let plugin = Shutdown::embedded(Tokio::current()).component("gate", gate.clone()).start().unwrap();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("plugin", plugin)
        .component("jobs", jobs.clone())
        .component("broken", broken.clone())
        .component("gate", gate.clone())
        .within(Duration::from_nanos(1), Overdue::StopWaiting)
        .hand_over_to(Webhook::new(monitor.url()).unwrap().batch(2, 1 << 20))
        .tell(LogLine::to(paper.clone()).with_payloads())
        .at_release("nothing", async {})
        .at_release("panics", async { panic!("on purpose") })
        .grace(Duration::from_secs(30))
        .reserve(Reserve::HandOver, Duration::from_secs(2))
        .reserve(Reserve::Answer, Duration::from_millis(300))
        .start()
        .unwrap();
    jobs.begin("done", json!(0)).unwrap().complete().unwrap();
    let work = [json!({ "width": 640 }), json!(null), json!([1, "two"])];
    let work: Vec<_> = work.into_iter().map(|payload| jobs.begin("work", payload).unwrap()).collect();
    work[0].checkpoint("row 3");
    let commit = jobs.begin("commit", json!(1)).unwrap().commit();
    let (_broken, _guard) = (broken.begin("broken", Broken).unwrap(), gate.enter().unwrap());
    shutdown.begin("a test");
    monitor.news(1);
    shutdown.hurry();
    shutdown.finished().await;
    drop(commit);

    let mut events: Vec<_> =
        monitor.news(2).iter().chain(&monitor.jobs()).flat_map(|it| it.events()).collect();
    events.extend(paper.lines());
    events
}

#[tokio::test]
async fn events_are_as_the_schema_says_and_have_no_field_that_it_does_not_describe() {
    let events = told().await;
    for r#type in ["shutdown.draining", "job.incomplete", "job.in-doubt", "shutdown.finished"] {
        let of_type = |event: &&Value| event["type"] == format!("dev.sundown.{type}.v1");
        assert!(events.iter().filter(of_type).count() >= 2, "{type} is told by both");
    }
    assert!(events.iter().any(|event| event["data"].get("error").is_some()), "there is a broken payload");
    let mut components = events.iter().filter_map(|event| event["data"]["components"].as_array()).flatten();
    assert!(
        components.any(|component| component["cut"]["then"] == "stop-waiting"),
        "there is a component whose allowance was over"
    );
    let events = Value::Array(events);
    assert_valid(&schema(), &events);
    assert_valid(&strict(), &events);
}

#[tokio::test]
async fn a_job_with_a_past_is_as_the_schema_says() {
    let paper = Paper::default();
    let past = Past::default().and(Reason::Memory).and(Reason::Died);
    let job = |id: &str| LeftOver::new(Key::new(Uuid::new_v4(), 1), id.try_into().unwrap(), "jobs", ());
    let jobs = [job("a").past(past).in_doubt().checkpoint(3), job("b").reason(Reason::Memory)];
    // Too long for a line, so that the least is told.
    let jobs = jobs.into_iter().chain([LeftOver::new(
        Key::new(Uuid::new_v4(), 2),
        "c".try_into().unwrap(),
        "x".repeat(9000),
        (),
    )]);
    let offer = HandOver::of_left_over(jobs, std::time::Instant::now() + Duration::from_secs(20));
    LogLine::to(paper.clone()).with_payloads().incomplete(&offer).await.unwrap();
    let lines = paper.lines();
    assert_eq!(lines[0]["data"]["earlier_ends"], json!(["the memory limit was near", "the process died"]));
    assert_eq!((&lines[0]["data"]["attempts"], &lines[0]["data"]["in_doubt"]), (&json!(3), &json!(true)));
    assert_eq!(lines[2]["data"].as_object().unwrap().len(), 2);
    assert_valid(&strict(), &Value::Array(lines));
}

#[test]
fn every_field_is_described() {
    let mut schema = schema();
    let defs = schema["$defs"].as_object_mut().unwrap();
    let mut count = 0;
    for (name, def) in defs {
        let is_described = |value: &Value| value["description"].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_described(def), "{name}");
        for object in objects(def) {
            for (field, value) in object["properties"].as_object().unwrap() {
                assert!(is_described(value), "{name}.{field}");
                count += 1;
            }
        }
    }
    assert!(count > 60, "{count} fields were looked at");
}

#[tokio::test]
async fn what_may_come_later_is_no_error() {
    let mut events = told().await;
    for event in &mut events {
        event["later"] = json!({ "a": 1 });
        event["data"]["later"] = json!([1]);
    }
    let mut unknown = events[0].clone();
    unknown["type"] = "dev.sundown.something.else.v1".into();
    unknown["data"] = json!({});
    events.push(unknown);
    assert_valid(&schema(), &Value::Array(events));
}

#[tokio::test]
async fn what_is_wrong_is_an_error() {
    let event =
        told().await.into_iter().find(|event| event["type"] == "dev.sundown.job.incomplete.v1").unwrap();
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut event = event.clone();
        change(&mut event);
        !validator(&schema()).is_valid(&json!([event]))
    };
    assert!(!wrong(&|_| ()));
    assert!(wrong(&|event| event["specversion"] = "0.3".into()));
    assert!(wrong(&|event| event["time"] = "yesterday".into()));
    assert!(wrong(&|event| event["id"] = "".into()));
    assert!(wrong(&|event| event["data"]["attempts"] = 0.into()));
    assert!(wrong(&|event| event["data"]["in_doubt"] = "no".into()));
    assert!(wrong(&|event| drop(event["data"].as_object_mut().unwrap().remove("job"))));
    assert!(!validator(&schema()).is_valid(&event), "one alone is no batch");
    assert!(!validator(&schema()).is_valid(&json!([])), "nor is nothing");
}
