//! What a client is told when its handler does not tell it: a function of the request and its fate.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use sundown::JobId;

use crate::exchange::{Exchange, Verdict};

/// The header that says why an answer is not the handler's.
pub const FATE: &str = "sundown-fate";
/// The header that names the jobs it speaks of.
pub const JOB: &str = "sundown-job";

/// What the server's owner can choose.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    pub(crate) handed_over: StatusCode,
    pub(crate) retry_after: Duration,
}

impl Default for Wording {
    fn default() -> Self {
        Wording { handed_over: StatusCode::OK, retry_after: Duration::from_secs(5) }
    }
}

/// An answer that is not the handler's.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// What the fate header says; empty for a refusal that has nothing to do with a shutdown.
    fate: &'static str,
    ids: Vec<JobId>,
    retry_after: Option<Duration>,
    text: String,
    has_body: bool,
    /// The connection ends with it.
    close: bool,
}

impl Answer {
    /// For a request that has been begun.
    pub(crate) fn of(exchange: &Exchange, wording: &Wording) -> Self {
        let ids = exchange.ids();
        let names = || ids.iter().map(JobId::as_str).collect::<Vec<_>>().join(", ");
        let retry = StatusCode::SERVICE_UNAVAILABLE;
        let (status, fate, text) = match exchange.verdict() {
            Verdict::HandedOver => {
                (wording.handed_over, "handed-over", format!("handed over: {}\n", names()))
            }
            Verdict::Completed => (wording.handed_over, "completed", format!("completed: {}\n", names())),
            Verdict::Unacknowledged | Verdict::Open => {
                (retry, "unacknowledged", format!("shutting down; not taken over: {}\n", names()))
            }
            Verdict::InDoubt => (retry, "in-doubt", format!("shutting down; in doubt: {}\n", names())),
            Verdict::Failed => (retry, "failed", format!("shutting down; failed: {}\n", names())),
            Verdict::NoJob => (retry, "no-job", "shutting down before an answer was ready\n".to_owned()),
        };
        let again = status == retry;
        // A 2xx to CONNECT opens a tunnel (RFC 9110 section 9.3.6), and who asks for an upgrade waits for a 101.
        let status = if exchange.no_success { retry } else { status };
        Answer {
            status,
            fate,
            ids,
            retry_after: again.then_some(wording.retry_after),
            text,
            has_body: exchange.request.method != Method::HEAD,
            close: true,
        }
    }

    /// For a request that no handler has seen.
    pub(crate) fn never_started(method: Option<&Method>, wording: &Wording) -> Self {
        Answer {
            status: StatusCode::SERVICE_UNAVAILABLE,
            fate: "not-started",
            ids: Vec::new(),
            retry_after: Some(wording.retry_after),
            // A method that is not known could be HEAD, whose answers have no body.
            text: if method.is_some() { "shutting down; not started\n".to_owned() } else { String::new() },
            has_body: method.is_some_and(|method| method != Method::HEAD),
            close: true,
        }
    }

    /// For a request whose handler panicked.
    pub(crate) fn broken(exchange: &Exchange) -> Self {
        Answer {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            fate: "",
            ids: Vec::new(),
            retry_after: None,
            text: "the handler failed\n".to_owned(),
            has_body: exchange.request.method != Method::HEAD,
            close: true,
        }
    }

    /// For a request that is wrong in itself.
    pub(crate) fn bad_request(method: &Method, message: String) -> Self {
        Answer {
            status: StatusCode::BAD_REQUEST,
            fate: "",
            ids: Vec::new(),
            retry_after: None,
            text: message + "\n",
            has_body: method != Method::HEAD,
            close: false,
        }
    }

    /// For a health probe.
    pub(crate) fn probe(method: &Method, status: StatusCode, text: String) -> Self {
        Answer {
            status,
            fate: "",
            ids: Vec::new(),
            retry_after: None,
            text: text + "\n",
            has_body: method != Method::HEAD,
            close: false,
        }
    }

    fn headers(&self) -> Vec<(header::HeaderName, HeaderValue)> {
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            // A 200 may be cached heuristically (RFC 9110 section 15.1), and this one must not be.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        if self.close {
            headers.push((header::CONNECTION, HeaderValue::from_static("close")));
        }
        if !self.fate.is_empty() {
            headers.push((header::HeaderName::from_static(FATE), HeaderValue::from_static(self.fate)));
        }
        for id in &self.ids {
            // An id has no control characters: every other byte may stand in a header.
            if let Ok(value) = HeaderValue::from_bytes(id.as_str().as_bytes()) {
                headers.push((header::HeaderName::from_static(JOB), value));
            }
        }
        if let Some(after) = self.retry_after {
            headers.push((header::RETRY_AFTER, after.as_secs().max(1).into()));
        }
        headers
    }

    /// For hyper, which adds the length and the date, and leaves the body out where there must be none.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers());
        *response.body_mut() = Bytes::from(self.text);
        response
    }

    /// For a socket that hyper no longer writes to: the whole message (RFC 9112 section 2.1).
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let reason = self.status.canonical_reason().unwrap_or("");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_u16());
        // Writing to a String cannot fail.
        let _ = write!(head, "date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
        let _ = write!(head, "content-length: {}\r\n", self.text.len());
        let mut bytes = head.into_bytes();
        for (name, value) in self.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        if self.has_body {
            bytes.extend_from_slice(self.text.as_bytes());
        }
        bytes
    }
}
