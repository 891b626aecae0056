//! The question: a request whose handler does not answer it, and what became of its jobs.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use sundown::JobId;

use super::{Answer, Asked, Wording, accept};

/// What became of a request: of its jobs together, or that it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Each job has completed; only the response was lost.
    Completed,
    /// Each job has completed or been taken over.
    HandedOver,
    /// A job was taken from its handler, and nobody has taken it over.
    Unacknowledged,
    /// Nobody can know how a job ended.
    InDoubt,
    /// A job ended without an effect.
    Failed,
    /// No handler has seen the request.
    NotStarted,
    /// No job depends on the request.
    NoJob,
}

impl Verdict {
    /// As the header [`FATE`](crate::FATE) has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Completed => "completed",
            Verdict::HandedOver => "handed-over",
            Verdict::Unacknowledged => "unacknowledged",
            Verdict::InDoubt => "in-doubt",
            Verdict::Failed => "failed",
            Verdict::NotStarted => "not-started",
            Verdict::NoJob => "no-job",
        }
    }

    /// Whether it is proved that the work is done or will be: only then a 2xx is true, and nobody need try again.
    pub fn is_success(self) -> bool {
        matches!(self, Verdict::Completed | Verdict::HandedOver)
    }

    fn in_words(self) -> &'static str {
        match self {
            Verdict::Completed => "completed",
            Verdict::HandedOver => "handed over",
            Verdict::Unacknowledged => "shutting down; not taken over",
            Verdict::InDoubt => "shutting down; in doubt",
            Verdict::Failed => "shutting down; failed",
            Verdict::NotStarted => "shutting down; not started",
            Verdict::NoJob => "shutting down before an answer was ready",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request whose handler does not answer it: what [`Server::answer`](crate::Server::answer) makes an [`Answer`] of.
///
/// Its fields went with the handler, but for those that the default depends on.
#[derive(Clone, Copy)]
pub struct Unanswered<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) verdict: Verdict,
    pub(super) jobs: &'a [JobId],
    pub(super) asked: &'a Asked,
    pub(super) wording: &'a Wording,
}

impl<'a> Unanswered<'a> {
    /// The request's method.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The request's target.
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The request's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What became of it.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The jobs that it is, or that depend on it.
    pub fn job_ids(&self) -> &'a [JobId] {
        self.jobs
    }

    /// What [`Server::retry_after`](crate::Server::retry_after) says.
    pub fn retry_after(&self) -> Duration {
        self.wording.retry_after
    }

    /// Whether the client would rather have JSON than plain text, by the weights in its `Accept`. Where these are equal,
    /// that which it names more exactly, or first; without an `Accept`, text.
    pub fn prefers_json(&self) -> bool {
        let accept = self.asked.accept.as_ref().and_then(|accept| accept.to_str().ok());
        accept.is_some_and(accept::prefers_json)
    }

    /// Whether a 2xx would open a tunnel, or is not the 101 that the client waits for.
    pub fn awaits_switch(&self) -> bool {
        self.asked.awaits_switch
    }

    /// What the responder answers if nobody changes it: [`handed_over_status`](crate::Server::handed_over_status) where
    /// a success [is proved](Verdict::is_success), otherwise 503.
    ///
    /// The body is one line of text. Who [prefers JSON](Self::prefers_json) gets problem details (RFC 9457) with a member
    /// `fate`; for a status below 400 the same members but `type`, as `application/json`, since that is no problem. Both name
    /// the jobs if [asked to](crate::Server::show_jobs).
    pub fn default_answer(&self) -> Answer {
        if self.is_grpc() {
            return self.trailers_only();
        }
        let answer = Answer::new(self.default_status());
        if !self.prefers_json() {
            return answer.with_text(self.in_words() + "\n");
        }
        let details = Details::of(self, answer.status);
        let media_type = if details.kind.is_some() { "application/problem+json" } else { "application/json" };
        let body = serde_json::to_vec(&details).expect("text and a number are always JSON");
        answer.with_body(HeaderValue::from_static(media_type), body)
    }

    fn default_status(&self) -> StatusCode {
        match self.verdict.is_success() {
            _ if self.asked.awaits_switch => StatusCode::SERVICE_UNAVAILABLE,
            true => self.wording.handed_over,
            false if self.wording.claims_success => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn shown_jobs(&self) -> Option<&'a [JobId]> {
        (self.wording.show_jobs.in_body() && !self.jobs.is_empty()).then_some(self.jobs)
    }

    fn in_words(&self) -> String {
        let words = self.verdict.in_words();
        match self.shown_jobs() {
            None => words.to_owned(),
            Some(jobs) => {
                let ids: Vec<_> = jobs.iter().map(JobId::as_str).collect();
                format!("{words}: {}", ids.join(", "))
            }
        }
    }

    /// gRPC is spoken on HTTP/2 only: elsewhere nobody would see that its 200 is none.
    pub(super) fn is_grpc(&self) -> bool {
        self.asked.is_grpc && self.version >= Version::HTTP_2
    }

    /// A status in a head that is the trailers too:
    /// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>; with an order to retry or not:
    /// <https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback>.
    fn trailers_only(&self) -> Answer {
        let name = HeaderName::from_static;
        let message = utf8_percent_encode(&self.in_words(), GRPC_ENCODED).to_string();
        // It may be sent to another server at once, or after a while; never if it is, or will be, done.
        let pushback = match self.verdict.is_success() {
            true => HeaderValue::from_static("-1"),
            false => i32::try_from(self.wording.retry_after.as_millis()).unwrap_or(i32::MAX).into(),
        };
        Answer::new(StatusCode::OK)
            .with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .with_header(name("grpc-status"), HeaderValue::from_static(GRPC_UNAVAILABLE))
            .with_header(
                name("grpc-message"),
                HeaderValue::try_from(message).expect("what is encoded is ASCII"),
            )
            .with_header(name("grpc-retry-pushback-ms"), pushback)
    }
}

const GRPC_UNAVAILABLE: &str = "14";

/// All but printable ASCII without the percent sign, as gRPC has it.
const GRPC_ENCODED: &AsciiSet = &CONTROLS.add(b'%');

impl fmt::Debug for Unanswered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unanswered")
            .field("method", self.method)
            .field("uri", self.uri)
            .field("version", &self.version)
            .field("verdict", &self.verdict)
            .field("job_ids", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// The members of RFC 9457. Its `type` says no more than the status, and so the title is the status's own.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    title: &'static str,
    status: u16,
    detail: &'static str,
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<&'a [JobId]>,
}

impl<'a> Details<'a> {
    fn of(question: &Unanswered<'a>, status: StatusCode) -> Self {
        Details {
            kind: (status.as_u16() >= 400).then_some("about:blank"),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: question.verdict.in_words(),
            fate: question.verdict.as_str(),
            jobs: question.shown_jobs(),
        }
    }
}
