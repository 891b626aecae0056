//! What the owner of a server or a responder chooses.

use std::time::Duration;

use http::{HeaderName, Method, Request, StatusCode};
use sundown::Jobs;

use crate::{answer::Wording, exchange::RequestPayload, probe::Probe, tls::Acceptor, traffic::LameDuck};

/// What the owner chose, final once anything is served.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) jobs: Option<(HeaderName, Jobs<RequestPayload>)>,
    pub(crate) wording: Wording,
    pub(crate) header_read_timeout: Duration,
    /// What it speaks TLS with, if it does.
    pub(crate) tls: Option<Acceptor>,
    pub(crate) duck: LameDuck,
    pub(crate) probes: bool,
    pub(crate) shared_listener: bool,
    /// Handlers attach jobs though requests are none.
    pub(crate) attach: bool,
    /// The media types of responses that end after an event.
    pub(crate) event_streams: Vec<String>,
    /// Handlers find a `Closing`.
    pub(crate) hear_closing: bool,
    /// Connections leave one by one.
    pub(crate) spread: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            jobs: None,
            wording: Wording::default(),
            header_read_timeout: Duration::from_secs(30),
            tls: None,
            duck: LameDuck::default(),
            probes: false,
            shared_listener: false,
            attach: false,
            event_streams: vec!["text/event-stream".to_owned()],
            hear_closing: false,
            spread: false,
        }
    }
}

impl Config {
    /// # Panics
    ///
    /// When it is no header name in lower case.
    #[track_caller]
    pub(crate) fn job_header(header: &'static str) -> HeaderName {
        match HeaderName::from_lowercase(header.as_bytes()) {
            Ok(name) => name,
            Err(_) => panic!("{header:?} is no header name in lower case"),
        }
    }

    /// # Panics
    ///
    /// When its answer has no body or is not the last one.
    #[track_caller]
    pub(crate) fn checked_status(status: StatusCode) -> StatusCode {
        assert!(
            !status.is_informational() && ![204, 205, 304].contains(&status.as_u16()),
            "{status} cannot tell a client that its job was handed over: such an answer has no body"
        );
        status
    }

    pub(crate) fn set_job_header(&mut self, name: HeaderName) {
        self.jobs = Some((name, Jobs::new()));
    }

    /// Whether handlers find a `RequestJob`.
    pub(crate) fn attaches(&self) -> bool {
        self.attach || self.jobs.is_some()
    }

    pub(crate) fn probe<B>(&self, request: &Request<B>) -> Option<Probe> {
        let asks = self.probes && (request.method() == Method::GET || request.method() == Method::HEAD);
        if asks { Probe::at(request.uri().path()) } else { None }
    }
}
