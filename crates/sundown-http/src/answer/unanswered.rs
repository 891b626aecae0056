//! The question: a request whose handler does not answer it, and what became of its jobs.

use std::{fmt, time::Duration};

use http::{Method, Uri, Version};
use sundown::JobId;

use super::{Asked, Wording, accept};

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

    pub(super) fn in_words(self) -> &'static str {
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

/// A request whose handler does not answer it: what [`Server::answer`](crate::Server::answer) makes an
/// [`Answer`](crate::Answer) of.
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

    /// gRPC is spoken on HTTP/2 only: elsewhere nobody would see that its 200 is none.
    pub(super) fn is_grpc(&self) -> bool {
        self.asked.is_grpc && self.version >= Version::HTTP_2
    }
}

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
