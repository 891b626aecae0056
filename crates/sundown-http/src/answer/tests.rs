//! Questions, and what is answered to them.

mod functions;

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderValue, Method, Request, StatusCode, Version, header};
use sundown::JobId;

use super::{Answer, Asked, JobIds, Route, Told, Unanswered, Verdict, Wording};

const VERDICTS: [Verdict; 7] = [
    Verdict::Completed,
    Verdict::HandedOver,
    Verdict::Unacknowledged,
    Verdict::InDoubt,
    Verdict::Failed,
    Verdict::NotStarted,
    Verdict::NoJob,
];

/// A request, what became of it, and what the owner chose.
struct Case {
    request: Request<()>,
    verdict: Verdict,
    jobs: Vec<JobId>,
    wording: Wording,
}

impl Case {
    fn new(method: &str, verdict: Verdict) -> Self {
        let request = Request::builder().method(method).uri("/path?query").body(()).unwrap();
        let jobs = vec![JobId::new("a").unwrap(), JobId::new("ü%").unwrap()];
        Case { request, verdict, jobs, wording: Wording::default() }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.request.headers_mut().append(name, HeaderValue::from_static(value));
        self
    }

    fn version(mut self, version: Version) -> Self {
        *self.request.version_mut() = version;
        self
    }

    fn show(mut self, show: JobIds) -> Self {
        self.wording.show_jobs = show;
        self
    }

    fn claiming(mut self) -> Self {
        self.wording.claims_success = true;
        self
    }

    fn answering(mut self, function: impl Fn(&Unanswered<'_>) -> Answer + Send + Sync + 'static) -> Self {
        self.wording.function = Some(std::sync::Arc::new(function));
        self
    }

    fn route(mut self, route: &str, text: &'static str) -> Self {
        let answer = move |_: &Unanswered<'_>| Answer::new(StatusCode::NOT_FOUND).with_text(text);
        self.wording.routes.push((Route::parse(route).unwrap(), std::sync::Arc::new(answer)));
        self
    }

    fn ask<R>(&self, ask: impl FnOnce(&Unanswered<'_>) -> R) -> R {
        let asked = Asked::of(&self.request);
        ask(&Unanswered {
            method: self.request.method(),
            uri: self.request.uri(),
            version: self.request.version(),
            verdict: self.verdict,
            jobs: &self.jobs,
            asked: &asked,
            wording: &self.wording,
        })
    }

    /// What goes out, the same by both ways.
    fn told(&self) -> Wire {
        let told = self.ask(Told::answering);
        let wire = Wire::parse(&told.clone().into_bytes());
        let response = told.into_response();
        assert_eq!(response.status(), wire.status);
        assert_eq!(response.body(), &wire.body);
        let fields = response.headers().iter();
        let fields = fields.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        let raw = wire.fields.iter().filter(|(name, _)| name != "date").cloned();
        assert_eq!(fields.collect::<Vec<_>>(), raw.collect::<Vec<_>>());
        wire
    }
}

/// A message, taken apart.
#[derive(Debug)]
struct Wire {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Wire {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let (head, body) = (&bytes[..end], bytes[end + 4..].to_vec());
        let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
        let status = lines.next().unwrap().strip_prefix(b"HTTP/1.1 ").unwrap();
        let status = str::from_utf8(&status[..3]).unwrap().parse().unwrap();
        let fields = lines.map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            (String::from_utf8(line[..colon].to_vec()).unwrap(), line[colon + 2..].to_vec())
        });
        Wire { status, fields: fields.collect(), body }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let values = self.fields.iter().filter(|(found, _)| found == name);
        values.map(|(_, value)| str::from_utf8(value).unwrap()).collect()
    }

    fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} more than once: {self:?}");
        all.first().copied()
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> BTreeMap<String, serde_json::Value> {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn text(status: u16) -> Answer {
    Answer::new(StatusCode::from_u16(status).unwrap()).with_text("mine")
}

#[test]
fn each_verdict_has_its_default_answer() {
    for (verdict, status, words) in [
        (Verdict::Completed, 200, "completed\n"),
        (Verdict::HandedOver, 200, "handed over\n"),
        (Verdict::Unacknowledged, 503, "shutting down; not taken over\n"),
        (Verdict::InDoubt, 503, "shutting down; in doubt\n"),
        (Verdict::Failed, 503, "shutting down; failed\n"),
        (Verdict::NotStarted, 503, "shutting down; not started\n"),
        (Verdict::NoJob, 503, "shutting down before an answer was ready\n"),
    ] {
        let told = Case::new("GET", verdict).told();
        assert_eq!((told.status, told.text()), (status, words));
        assert_eq!(told.one("sundown-fate"), Some(verdict.as_str()));
        assert_eq!(told.one("retry-after"), (status == 503).then_some("5"), "{verdict}");
        assert_eq!(told.one("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(told.one("content-length"), Some(&*words.len().to_string()));
        assert_eq!(told.one("cache-control"), Some("no-store"));
        assert_eq!(told.one("connection"), Some("close"));
        assert!(told.one("date").unwrap().ends_with(" GMT"));
        assert_eq!(told.all("sundown-job"), ["a", "ü%"]);
    }
}

#[test]
fn ids_are_where_they_are_asked_for() {
    for (show, header, body) in [
        (JobIds::Nowhere, false, false),
        (JobIds::Header, true, false),
        (JobIds::Body, false, true),
        (JobIds::HeaderAndBody, true, true),
    ] {
        let case = || Case::new("GET", Verdict::HandedOver).show(show);
        let told = case().told();
        assert_eq!(!told.all("sundown-job").is_empty(), header, "{show:?}");
        assert_eq!(told.text(), if body { "handed over: a, ü%\n" } else { "handed over\n" });
        let json = case().with("accept", "application/json").told().json();
        assert_eq!(json.get("jobs").cloned(), body.then(|| serde_json::json!(["a", "ü%"])), "{show:?}");
    }
    let mut none = Case::new("GET", Verdict::NoJob).show(JobIds::HeaderAndBody);
    none.jobs.clear();
    assert_eq!(none.told().text(), "shutting down before an answer was ready\n");
}

#[test]
fn no_more_ids_are_named_than_clients_read() {
    for (length, most) in [(1, 98), (256, 32)] {
        let mut case = Case::new("GET", Verdict::HandedOver);
        case.jobs = vec![JobId::new("x".repeat(length)).unwrap(); 40_000];
        let told = case.told();
        assert!(told.fields.len() <= 99, "with the date: {}", told.fields.len());
        let named = told.all("sundown-job").len();
        assert!(most - 10 < named && named <= most, "{named} of {length} bytes");
    }
}

#[test]
fn who_prefers_json_gets_problem_details_but_for_a_success() {
    let case =
        |verdict| Case::new("GET", verdict).with("accept", "application/problem+json, text/plain;q=0.5");
    let told = case(Verdict::Unacknowledged).told();
    assert_eq!(told.one("content-type"), Some("application/problem+json"));
    let expected = serde_json::json!({
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "shutting down; not taken over",
        "fate": "unacknowledged",
    });
    assert_eq!(serde_json::json!(told.json()), expected);
    assert_eq!(told.one("content-length"), Some(&*told.body.len().to_string()));

    let told = case(Verdict::HandedOver).told();
    assert_eq!(told.one("content-type"), Some("application/json"));
    let expected =
        serde_json::json!({"title": "OK", "status": 200, "detail": "handed over", "fate": "handed-over"});
    assert_eq!(serde_json::json!(told.json()), expected);
}

#[test]
fn an_accept_in_two_fields_is_one_list() {
    let case = |first, second| Case::new("GET", Verdict::NoJob).with("accept", first).with("accept", second);
    assert!(case("text/plain;q=0.5", "application/json").ask(|it| it.prefers_json()));
    assert!(case("*/*", "application/json").ask(|it| it.prefers_json()));
    assert!(!case("application/json;q=0.5", "text/plain").ask(|it| it.prefers_json()));
    assert!(!case("text/plain", "*/*").ask(|it| it.prefers_json()));
}

#[test]
fn head_gets_the_length_and_no_body() {
    for accept in ["text/plain", "application/json"] {
        let get = Case::new("GET", Verdict::NotStarted).with("accept", accept).told();
        let head = Case::new("HEAD", Verdict::NotStarted).with("accept", accept).told();
        assert!(head.body.is_empty() && !get.body.is_empty());
        assert_eq!(head.one("content-length"), get.one("content-length"));
        assert_eq!(head.one("content-type"), get.one("content-type"));
    }
}

#[test]
fn who_waits_for_a_switch_is_told_503_and_not_to_retry_what_was_handed_over() {
    let switches = || {
        [
            Case::new("CONNECT", Verdict::HandedOver),
            Case::new("GET", Verdict::HandedOver).with("upgrade", "websocket"),
            Case::new("GET", Verdict::HandedOver).with("upgrade", "h2c").with("upgrade", "websocket"),
        ]
    };
    for case in switches() {
        let told = case.told();
        assert_eq!((told.status, told.one("sundown-fate")), (503, Some("handed-over")));
        assert_eq!(told.one("retry-after"), None);
    }
    for case in switches() {
        let told = case.claiming().answering(|_| text(201)).told();
        assert_eq!((told.status, told.text()), (503, "handed over\n"));
    }
    for case in switches() {
        assert_eq!(case.answering(|_| text(404)).told().status, 404);
    }
    let told = Case::new("GET", Verdict::HandedOver).with("upgrade", "H2C").told();
    assert_eq!(told.status, 200, "h2c waits for no 101");
}

#[test]
fn http_2_has_no_connection_to_speak_of() {
    let told = Case::new("GET", Verdict::NotStarted).version(Version::HTTP_2).told();
    assert_eq!((told.status, told.one("connection"), told.one("retry-after")), (503, None, Some("5")));
}

#[test]
fn grpc_is_told_unavailable_in_a_head_alone_and_whether_to_retry() {
    for verdict in VERDICTS {
        let case = Case::new("POST", verdict)
            .version(Version::HTTP_2)
            .with("content-type", "application/grpc+proto")
            .show(JobIds::HeaderAndBody)
            .claiming()
            .answering(|_| text(201));
        let told = case.told();
        assert_eq!((told.status, told.body.len()), (200, 0));
        assert_eq!(told.one("content-type"), Some("application/grpc"));
        assert_eq!(told.one("grpc-status"), Some("14"));
        let pushback = if verdict.is_success() { "-1" } else { "5000" };
        assert_eq!(told.one("grpc-retry-pushback-ms"), Some(pushback), "{verdict}");
        assert!(told.one("grpc-message").unwrap().ends_with(": a, %C3%BC%25"), "{told:?}");
        assert_eq!(told.one("sundown-fate"), Some(verdict.as_str()));
        for absent in ["content-length", "connection", "retry-after"] {
            assert_eq!(told.one(absent), None, "{absent}");
        }
    }
}

#[test]
fn a_pushback_is_as_long_as_the_field_has_room_for() {
    let mut case = Case::new("POST", Verdict::NoJob).version(Version::HTTP_2);
    case = case.with("content-type", "application/grpc");
    case.wording.retry_after = Duration::MAX;
    assert_eq!(case.told().one("grpc-retry-pushback-ms"), Some("2147483647"));
}

#[test]
fn grpc_is_known_by_its_content_type_on_http_2() {
    let is_grpc = |content_type, version| {
        let case = Case::new("POST", Verdict::NoJob).version(version).with("content-type", content_type);
        case.told().one("grpc-status").is_some()
    };
    for content_type in
        ["application/grpc", "Application/gRPC", "application/grpc+proto", "application/grpc;x=y"]
    {
        assert!(is_grpc(content_type, Version::HTTP_2), "{content_type}");
        assert!(!is_grpc(content_type, Version::HTTP_11), "its 200 would be taken for one");
    }
    for content_type in ["application/grpc-web", "application/grpcx", "application/grp", "text/plain", ""] {
        assert!(!is_grpc(content_type, Version::HTTP_2), "{content_type}");
    }
}

#[test]
fn what_nobody_has_read_is_told_503_without_a_body() {
    let mut wording = Case::new("GET", Verdict::NoJob).answering(|_| text(404)).wording;
    wording.retry_after = Duration::from_millis(1);
    let told = Wire::parse(&Told::unread(&wording).into_bytes());
    assert_eq!((told.status, told.body.len()), (503, 0));
    assert_eq!(told.one("content-length"), Some("0"));
    assert_eq!(told.one("content-type"), None);
    assert_eq!(told.one("connection"), Some("close"));
    assert_eq!(told.one("retry-after"), Some("1"), "in whole seconds, at least one");
    assert_eq!(told.one("sundown-fate"), Some("not-started"));
}

#[test]
fn what_no_handler_has_seen_is_answered_by_the_same_rules() {
    let request = Case::new("HEAD", Verdict::NoJob).with("accept", "application/json").request;
    let told = Wire::parse(&Told::not_started(&request, &Wording::default()).into_bytes());
    assert_eq!((told.status, told.one("sundown-fate")), (503, Some("not-started")));
    assert_eq!((told.body.len(), told.one("content-type")), (0, Some("application/problem+json")));
}

#[test]
fn a_probe_keeps_its_connection_and_speaks_of_no_fate() {
    let told = Told::probe(&Method::GET, StatusCode::OK, "alive".into()).into_response();
    assert_eq!(told.body(), "alive\n");
    assert!(!told.headers().contains_key(header::CONNECTION) && !told.headers().contains_key("sundown-fate"));
}

#[test]
fn what_a_request_says_of_itself_is_noted_in_one_pass() {
    let asked = Asked::of(&Request::new(()));
    assert!(asked.accept.is_none() && !asked.is_grpc && !asked.awaits_switch);
    let case = Case::new("GET", Verdict::NoJob).with("accept", "*/*");
    assert!(Asked::of(&case.request).accept.is_none(), "it says nothing");
}
