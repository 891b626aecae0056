//! What a client is told when its handler does not tell it: a function of the request and its fate.
//!
//! 1. [`Unanswered`] is the question; the owner's function, or [the default](Unanswered::default_answer), makes an
//!    [`Answer`] of it. The function is foreign code: it runs under no lock, and one that panics gives the default.
//! 2. An answer is a wish. What must not be on the wire is not the function's to decide: an answer that is not
//!    [allowed](wording::Wording) gives the default, and [`Told`] adds what every answer has and drops what none may have.
//! 3. What no handler and no layer has read (part of a head, an accept queue) gives no question: it gets a 503 without a
//!    body, since its method could be HEAD or CONNECT.

mod accept;
mod asked;
mod default;
mod told;
mod unanswered;
mod wording;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub use self::unanswered::{Unanswered, Verdict};
pub(crate) use self::{
    asked::{Asked, is_grpc},
    told::Told,
    wording::{Route, Wording},
};

/// The header that says why an answer is not the handler's.
pub const FATE: &str = "sundown-fate";
/// The header that names the jobs it speaks of.
pub const JOB: &str = "sundown-job";

/// What to tell a client whose handler does not tell it.
///
/// The responder adds what belongs to every such answer: `Date`, the length, `Connection: close`, `Cache-Control:
/// no-store` unless there is a `Cache-Control`, `Retry-After` on a 503 whose job is nobody's, [`FATE`] and [`JOB`]. Of
/// those only `Cache-Control` and `Retry-After` can be set here; other fields that frame a message or manage a
/// connection are dropped.
///
/// # Examples
///
/// ```
/// use http::{HeaderValue, StatusCode, header::LINK};
/// use sundown_http::Answer;
///
/// let answer = Answer::new(StatusCode::SERVICE_UNAVAILABLE)
///     .with_header(LINK, HeaderValue::from_static("<https://status.example>; rel=\"status\""))
///     .with_body(HeaderValue::from_static("text/html"), "<p>Back in a moment.");
/// assert_eq!(answer.body(), "<p>Back in a moment.");
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// An answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Answer { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with this field, in place of others of its name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with this body. It is left out where there must be none: for HEAD, and with 204, 205 and 304.
    #[must_use]
    pub fn with_body(self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Answer { body, ..self.with_header(header::CONTENT_TYPE, content_type) }
    }

    /// The same with this body, as plain text in UTF-8.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        self.with_body(HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Where an answer that is not the handler's names the jobs it speaks of.
///
/// These are the ids that clients sent, those made up for requests without one, and those of
/// [attached](crate::RequestJob::attach) jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobIds {
    /// They are not the client's business.
    Nowhere,
    /// In the header [`JOB`], one field for each, as long as clients read them: some ninety, or eight kilobytes.
    #[default]
    Header,
    /// In the body that the responder writes by default: as text, as member `jobs`, or in gRPC's message.
    Body,
    /// In both.
    HeaderAndBody,
}

impl JobIds {
    fn in_header(self) -> bool {
        matches!(self, JobIds::Header | JobIds::HeaderAndBody)
    }

    fn in_body(self) -> bool {
        matches!(self, JobIds::Body | JobIds::HeaderAndBody)
    }
}

#[cfg(test)]
mod tests;
