//! An answer as it goes out, by hyper or by the rescue: here it gets what every answer has, and loses what none may have.

use std::{io::Write, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};

use super::{Answer, Asked, FATE, JOB, Unanswered, Verdict, Wording};
use crate::exchange::Exchange;

/// What frames a message, manages its connection, or is the responder's own to say.
const OURS: [HeaderName; 11] = [
    header::DATE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static(FATE),
    HeaderName::from_static(JOB),
];

/// As many fields as an answer may have with the names of its jobs, before the date: hyper's own clients read no more than
/// 100.
const MOST_FIELDS: usize = 98;

/// How long these names may be together, in bytes: half of what hyper's clients read of a head over HTTP/2.
const ROOM_FOR_IDS: usize = 8 * 1024;

/// What a client is told: whole, but for the date.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    status: StatusCode,
    headers: HeaderMap,
    /// Empty for HEAD, whatever the length says.
    body: Bytes,
}

impl Told {
    /// For a request that has been begun. Runs the owner's function: not under a lock.
    pub(crate) fn of(exchange: &Exchange, wording: &Wording) -> Self {
        let (request, jobs) = (exchange.request(), exchange.ids());
        let question = Unanswered {
            method: &request.method,
            uri: &request.uri,
            version: exchange.version,
            verdict: exchange.verdict(),
            jobs: &jobs,
            asked: &exchange.asked,
            wording,
        };
        Told::answering(&question)
    }

    /// For a request that no handler has seen. Runs the owner's function: not under a lock.
    pub(crate) fn not_started<B>(request: &Request<B>, wording: &Wording) -> Self {
        let asked = Asked::of(request);
        let question = Unanswered {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            verdict: Verdict::NotStarted,
            jobs: &[],
            asked: &asked,
            wording,
        };
        Told::answering(&question)
    }

    /// For a request that nobody has read, or not whole: its method could be HEAD or CONNECT, and nobody can be asked.
    pub(crate) fn unread(wording: &Wording) -> Self {
        let answer = Answer::new(StatusCode::SERVICE_UNAVAILABLE);
        let mut told = Told::framed(answer, &Method::GET).last(Version::HTTP_11);
        told.explain(Verdict::NotStarted, wording);
        told
    }

    /// For a request whose handler panicked.
    pub(crate) fn broken(exchange: &Exchange) -> Self {
        let answer = Answer::new(StatusCode::INTERNAL_SERVER_ERROR).with_text("the handler failed\n");
        Told::framed(answer, &exchange.method).last(exchange.version)
    }

    /// For a request that is wrong in itself.
    pub(crate) fn bad_request(method: &Method, message: String) -> Self {
        Told::probe(method, StatusCode::BAD_REQUEST, message)
    }

    /// For a health probe.
    pub(crate) fn probe(method: &Method, status: StatusCode, text: String) -> Self {
        Told::framed(Answer::new(status).with_text(text + "\n"), method)
    }

    /// For a client whose connection is there for one answer.
    pub(crate) fn alone(answer: Answer, method: &Method) -> Self {
        Told::framed(answer, method).last(Version::HTTP_11)
    }

    pub(super) fn answering(question: &Unanswered<'_>) -> Self {
        let answer = question.wording.answer(question);
        let mut told = Told::framed(answer, question.method).last(question.version);
        if question.is_grpc() {
            // A head that is the trailers too: nothing comes after it.
            told.headers.remove(header::CONTENT_LENGTH);
        }
        told.explain(question.verdict, question.wording);
        if question.wording.show_jobs.in_header() {
            let fields = MOST_FIELDS.saturating_sub(told.headers.len());
            let mut room = ROOM_FOR_IDS;
            for id in question.jobs.iter().take(fields) {
                // Of an answer that is too long a client reads nothing at all.
                let Some(less) = room.checked_sub(JOB.len() + id.as_str().len()) else { break };
                room = less;
                // An id has no control characters: every other byte may stand in a header.
                if let Ok(value) = HeaderValue::from_bytes(id.as_str().as_bytes()) {
                    told.headers.append(JOB, value);
                }
            }
        }
        told
    }

    /// One framing, and no body where there must be none.
    fn framed(answer: Answer, method: &Method) -> Self {
        let Answer { status, mut headers, mut body } = answer;
        for name in OURS {
            headers.remove(name);
        }
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
            headers.remove(header::CONTENT_TYPE);
            body = Bytes::new();
        }
        // No length with 204 (RFC 9110 section 8.6), and with 304 only that of what it stands for, which nobody knows.
        if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        if method == Method::HEAD {
            body = Bytes::new();
        }
        // A 200 may be cached heuristically (RFC 9110 section 15.1), and this one must not be.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        Told { status, headers, body }
    }

    /// The connection ends with it; HTTP/2 has other means to say so (RFC 9113 section 8.2.2).
    fn last(mut self, version: Version) -> Self {
        if version < Version::HTTP_2 {
            self.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self
    }

    /// Why it is not the handler's answer, and when to try again.
    fn explain(&mut self, verdict: Verdict, wording: &Wording) {
        self.headers.insert(FATE, HeaderValue::from_static(verdict.as_str()));
        if verdict.is_success() {
            // Whoever tries again has it done twice.
            self.headers.remove(header::RETRY_AFTER);
        } else if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = wording.retry_after.as_secs().max(1);
            self.headers.entry(header::RETRY_AFTER).or_insert(seconds.into());
        }
    }

    /// For hyper, which adds the date.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// For a socket that hyper no longer writes to: the whole message (RFC 9112 section 2.1).
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let reason = self.status.canonical_reason().unwrap_or("");
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut bytes = Vec::with_capacity(512);
        // Writing to a vector cannot fail.
        let _ = write!(bytes, "HTTP/1.1 {} {reason}\r\ndate: {date}\r\n", self.status.as_u16());
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
