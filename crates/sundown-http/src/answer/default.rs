//! The answer that the responder gives if nobody changes it: as text, as JSON, or to gRPC.

use http::{HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use sundown::JobId;

use super::{Answer, Unanswered};

impl<'a> Unanswered<'a> {
    /// What the responder answers if nobody changes it: [`handed_over_status`](crate::Server::handed_over_status) where
    /// a success [is proved](crate::Verdict::is_success), otherwise 503.
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
