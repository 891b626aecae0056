//! What functions of the owner's may do, and what they may not.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

use super::{Answer, Case, Route, Told, Unanswered, VERDICTS, Verdict, Wire, text};

#[test]
fn a_function_replaces_the_default() {
    let case = Case::new("PUT", Verdict::Failed).answering(|unanswered| {
        assert_eq!((unanswered.method(), unanswered.uri().path()), (&Method::PUT, "/path"));
        assert_eq!(unanswered.version(), Version::HTTP_11);
        assert_eq!(unanswered.verdict(), Verdict::Failed);
        assert_eq!(unanswered.job_ids().len(), 2);
        assert_eq!(unanswered.retry_after(), Duration::from_secs(5));
        let answer = text(409).with_header(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        answer.with_header(header::RETRY_AFTER, HeaderValue::from_static("77"))
    });
    let told = case.told();
    assert_eq!((told.status, told.text()), (409, "mine"));
    assert_eq!(told.one("cache-control"), Some("private"));
    assert_eq!(told.one("retry-after"), Some("77"));
    assert_eq!(told.one("sundown-fate"), Some("failed"));
    assert_eq!(told.one("connection"), Some("close"));
}

#[test]
fn a_function_may_change_one_thing_of_the_default() {
    let case = Case::new("GET", Verdict::NoJob).answering(|unanswered| {
        let vary = HeaderValue::from_static("accept");
        unanswered.default_answer().with_header(header::VARY, vary)
    });
    let (told, default) = (case.told(), Case::new("GET", Verdict::NoJob).told());
    assert_eq!((told.status, told.text()), (default.status, default.text()));
    assert_eq!(told.one("vary"), Some("accept"));
}

#[test]
fn the_most_exact_route_decides_and_the_last_of_the_same() {
    let case = |path: &'static str| {
        let mut case = Case::new("GET", Verdict::NoJob)
            .answering(|_| text(404))
            .route("/jobs/one", "exact")
            .route("/*", "root")
            .route("/jobs/*", "before")
            .route("/jobs/*", "jobs");
        *case.request.uri_mut() = Uri::from_static(path);
        case.told().text().to_owned()
    };
    assert_eq!(case("/jobs/one?x"), "exact");
    assert_eq!(case("/jobs/two"), "jobs");
    assert_eq!(case("/jobs/"), "jobs");
    assert_eq!(case("/jobs"), "root");
    assert_eq!(case("*"), "mine", "no path, no route");
}

#[test]
fn what_is_no_route_is_refused() {
    for route in ["", "*", "jobs", "jobs/*", "/jobs*", "/a/*/b", "/*/", "/**", "/a?b", "/a#b"] {
        assert!(Route::parse(route).is_none(), "{route}");
    }
}

#[test]
fn no_function_makes_a_success_of_work_that_nobody_knows_of() {
    for verdict in VERDICTS {
        for status in [200, 201, 202, 204, 205, 206, 299] {
            let told = Case::new("GET", verdict).answering(move |_| text(status)).told();
            let expected = if verdict.is_success() { status } else { 503 };
            assert_eq!(told.status, expected, "{verdict}");
            assert_eq!(told.one("retry-after").is_some(), !verdict.is_success(), "{verdict}");
            assert!(verdict.is_success() || told.text() != "mine", "{verdict}");
        }
    }
}

#[test]
fn the_line_that_says_so_makes_a_success_of_everything() {
    for verdict in VERDICTS {
        let told = Case::new("GET", verdict).claiming().told();
        assert_eq!((told.status, told.one("retry-after")), (200, None), "{verdict}");
        assert_eq!(told.one("sundown-fate"), Some(verdict.as_str()), "the fate is what it is");
        let told = Case::new("GET", verdict).claiming().answering(|_| text(201)).told();
        assert_eq!((told.status, told.text()), (201, "mine"));
    }
    let told = Wire::parse(&Told::unread(&Case::new("GET", Verdict::NoJob).claiming().wording).into_bytes());
    assert_eq!(told.status, 503, "its method could be CONNECT");
}

#[test]
fn an_answer_that_is_not_final_is_not_given() {
    for status in [100, 101, 102, 103, 199] {
        for verdict in VERDICTS {
            let told = Case::new("GET", verdict).claiming().answering(move |_| text(status)).told();
            assert_eq!(told.status, 200, "{verdict}");
        }
    }
}

#[test]
fn a_status_without_a_body_has_none() {
    for (status, length) in [(204, None), (205, Some("0")), (304, None)] {
        for method in ["GET", "HEAD"] {
            let told = Case::new(method, Verdict::Completed).answering(move |_| text(status)).told();
            assert_eq!((told.status, told.body.len()), (status, 0));
            assert_eq!(told.one("content-length"), length, "{status}");
            assert_eq!(told.one("content-type"), None, "{status}");
        }
    }
}

#[test]
fn a_function_frames_nothing_and_says_nothing_in_the_responders_name() {
    let fields = [
        ("content-length", "1"),
        ("content-length", "2"),
        ("transfer-encoding", "chunked"),
        ("trailer", "expires"),
        ("connection", "keep-alive, upgrade"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("date", "yesterday"),
        ("sundown-fate", "completed"),
        ("sundown-job", "another"),
    ];
    let case = Case::new("GET", Verdict::NoJob).answering(move |_| {
        let mut answer = text(500);
        for (name, value) in fields {
            answer.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        answer
    });
    let told = case.told();
    assert_eq!((told.status, told.text()), (500, "mine"));
    for name in ["transfer-encoding", "trailer", "upgrade", "te", "keep-alive", "proxy-connection"] {
        assert_eq!(told.one(name), None);
    }
    assert_eq!(told.one("content-length"), Some("4"));
    assert_eq!(told.one("connection"), Some("close"));
    assert_ne!(told.one("date"), Some("yesterday"));
    assert_eq!(told.one("sundown-fate"), Some("no-job"));
    assert_eq!(told.all("sundown-job"), ["a", "ü%"]);
}

#[test]
fn what_was_handed_over_is_not_to_be_retried_whatever_a_function_says() {
    let again =
        |_: &Unanswered<'_>| text(503).with_header(header::RETRY_AFTER, HeaderValue::from_static("9"));
    for verdict in VERDICTS {
        let told = Case::new("GET", verdict).answering(again).told();
        assert_eq!(told.one("retry-after"), (!verdict.is_success()).then_some("9"), "{verdict}");
    }
}

/// Panics once more when the panic is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose, again");
    }
}

#[test]
fn a_function_that_panics_gives_the_default() {
    let hostile: [fn(&Unanswered<'_>) -> Answer; 2] =
        [|_| panic!("on purpose"), |_| std::panic::panic_any(Bomb)];
    for function in hostile {
        let case = Case::new("GET", Verdict::HandedOver).answering(function);
        let told = case.told();
        assert_eq!((told.status, told.text()), (200, "handed over\n"));
        assert_eq!(case.wording.overruled(), 1, "and that is known");
    }
}

#[test]
fn an_answer_of_more_fields_than_anybody_reads_gives_the_default() {
    let with = |fields: usize| {
        let case = Case::new("GET", Verdict::NoJob).answering(move |_| {
            let mut answer = Answer::new(StatusCode::NOT_FOUND);
            for n in 0..fields {
                answer.headers_mut().append("x-field", n.into());
            }
            answer
        });
        case.told().status
    };
    assert_eq!((with(80), with(32_000)), (404, 503));
}
