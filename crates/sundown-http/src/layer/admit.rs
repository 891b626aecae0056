//! How a request is let in, or why not.

use std::sync::Arc;

use http::{Request, Version};
use http_body::Body;
use sundown::{BeginError, JobId};

use super::context::{Context, Place};
use crate::{
    answer::Told,
    closing::Closing,
    exchange::{Exchange, RequestJob, RequestPayload},
    phase::Phase,
    word::Lost,
};

/// Why no handler is asked, and what is said instead.
pub(crate) enum Refusal {
    /// To a request of this version.
    Answer(Box<Told>, Version),
    /// It may be tried again at once, elsewhere.
    Refused,
    /// It is not ours to answer.
    Taken,
}

enum NoJob {
    Draining,
    BadId(String),
}

impl Context {
    /// Lets a request in, or says why not.
    pub(super) fn admit<R: Body>(&self, request: &mut Request<R>) -> Result<Arc<Exchange>, Refusal> {
        let has_body = !request.body().is_end_stream();
        self.arrive(has_body).map_err(|Lost| Refusal::Taken)?;
        self.begin_exchange(request, has_body).inspect_err(|_| self.leave_empty())
    }

    fn begin_exchange<R>(&self, request: &mut Request<R>, has_body: bool) -> Result<Arc<Exchange>, Refusal> {
        let version = request.version();
        let answer = |answer| Refusal::Answer(Box::new(answer), version);
        if let Some(probe) = self.config.probe(request) {
            let (status, text) = probe.answer(self.server.readiness());
            return Err(answer(Told::probe(request.method(), status, text)));
        }
        let refuse = |request: &Request<R>| match self.place {
            Place::Streams(..) => Refusal::Refused,
            _ => answer(Told::not_started(request, &self.config.wording)),
        };
        if self.server.phase() >= Phase::Spreading && self.place.rank().is_late {
            // Its client has been told to go elsewhere, or could have been; who was here before is still served. It is no
            // traffic either: who comes again and again keeps nobody waiting.
            return Err(refuse(request));
        }
        self.server.touch();
        let Ok(guard) = self.server.gate.enter() else { return Err(refuse(request)) };
        let exchange = Arc::new(Exchange::new(request, has_body, guard));
        match self.begin_job(request, &exchange) {
            Ok(Some(job)) => exchange.set_job(job),
            Ok(None) => {}
            Err(NoJob::Draining) => return Err(refuse(request)),
            Err(NoJob::BadId(message)) => return Err(answer(Told::bad_request(request.method(), message))),
        }
        self.seat(&exchange);
        if self.config.attaches() {
            request.extensions_mut().insert(RequestJob(exchange.clone()));
        }
        if self.config.hear_closing {
            request.extensions_mut().insert(Closing::new(self.server.clone(), self.place.rank()));
        }
        Ok(exchange)
    }

    /// A request has come whole, but for its body.
    #[inline]
    fn arrive(&self, has_body: bool) -> Result<(), Lost> {
        let conn = match &self.place {
            Place::Serial(conn) => {
                conn.word.begin_request(has_body, conn.ends_open())?;
                conn.set_lingers(has_body);
                conn
            }
            Place::Streams(conn, streams) => {
                streams.set_had_any();
                // It says how far it has read as long as it reads.
                conn.set_lingers(true);
                conn
            }
            Place::Alone(_) => return Ok(()),
        };
        if let Some(expected) = conn.take_expected() {
            self.server.expect_no_more(expected);
        }
        Ok(())
    }

    #[inline]
    fn seat(&self, exchange: &Arc<Exchange>) {
        match &self.place {
            Place::Serial(conn) => conn.set_exchange(Some(exchange.clone())),
            Place::Streams(_, streams) => streams.seat(exchange.clone()),
            Place::Alone(streams) => streams.seat(exchange.clone()),
        }
    }

    /// No exchange follows the one before.
    fn leave_empty(&self) {
        match &self.place {
            Place::Serial(conn) => conn.set_exchange(None),
            // It may have been inside for a moment.
            Place::Streams(..) | Place::Alone(_) => self.server.ring(),
        }
    }

    fn begin_job<R>(
        &self,
        request: &Request<R>,
        exchange: &Exchange,
    ) -> Result<Option<sundown::Job<RequestPayload>>, NoJob> {
        let Some((name, jobs)) = &self.config.jobs else { return Ok(None) };
        let bad = |what: &dyn std::fmt::Display| NoJob::BadId(format!("header {name}: {what}"));
        let mut ids = request.headers().get_all(name).iter();
        let begun = match (ids.next(), ids.next()) {
            (None, _) => jobs.begin_unnamed(exchange.request()).map_err(BeginError::Draining),
            (Some(_), Some(_)) => {
                let more = format!("a request has one job id, this one has {}", 2 + ids.count());
                return Err(bad(&more));
            }
            (Some(id), None) => {
                let id = std::str::from_utf8(id.as_bytes()).map_err(|error| bad(&error))?;
                let id = JobId::new(id).map_err(|error| bad(&error))?;
                jobs.begin(id, exchange.request())
            }
        };
        match begun {
            Ok(job) => Ok(Some(job)),
            Err(BeginError::Draining(_)) => Err(NoJob::Draining),
            Err(error) => Err(bad(&error)),
        }
    }
}
