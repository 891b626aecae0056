//! How a response is let out, the handler's or one in its place.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use http_body::Body;
use sundown::Taken;

use super::{
    Answered, NoResponse,
    context::{Context, Entry, Place},
    tunnel::Tunnel,
};
use crate::{
    answer::Told,
    body::{Early, Ending, ResponseBody},
    exchange::{Exchange, Stage},
    word::Lost,
};

/// Why a handler's response does not go out.
pub(super) enum Kept {
    /// One of its jobs was taken: the answer is another.
    Taken,
    /// The rescue has the connection.
    Lost,
}

impl From<Taken> for Kept {
    fn from(Taken: Taken) -> Self {
        Kept::Taken
    }
}

impl From<Lost> for Kept {
    fn from(Lost: Lost) -> Self {
        Kept::Lost
    }
}

impl Context {
    /// Lets the handler's response out, and says what its body's end is to mean.
    #[inline]
    pub(super) fn let_out<B: Body>(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        response: &mut Response<B>,
    ) -> Result<(Ending, Early), Kept> {
        let is_sized = response.body().size_hint().exact().is_some();
        self.let_head_out(exchange, response.status(), response.headers_mut(), is_sized)
    }

    fn let_head_out(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        status: StatusCode,
        headers: &mut HeaderMap,
        is_sized: bool,
    ) -> Result<(Ending, Early), Kept> {
        let method = &exchange.method;
        let connect = *method == Method::CONNECT && status.is_success();
        let upgrades = connect || status == StatusCode::SWITCHING_PROTOCOLS;
        let has_body = || {
            *method != Method::HEAD
                && !upgrades
                && status != StatusCode::NO_CONTENT
                && status != StatusCode::NOT_MODIFIED
        };
        let ending = if is_sized || !has_body() { Ending::Settled } else { Ending::of(headers) };
        if ending == Ending::Settled {
            exchange.complete()?;
        } else if exchange.was_taken() {
            // The job ends with the body.
            return Err(Kept::Taken);
        }
        let early = match ending {
            Ending::Completes => {
                Early::of(headers, exchange.version >= Version::HTTP_2, &self.config.event_streams)
            }
            // Its length says where it ends, or would.
            Ending::CompletesAfter(_) | Ending::Settled => Early::Cut,
        };
        if !upgrades {
            self.end_connection(exchange.version, headers);
        }
        if let Place::Serial(conn) = &self.place {
            conn.set_close_delimited(ending == Ending::Completes && exchange.version < Version::HTTP_11);
            match upgrades {
                true => conn.word.upgrade()?,
                false => conn.word.release(says_close(headers))?,
            }
        }
        self.let_go(exchange, if upgrades { Stage::Upgraded } else { Stage::Responding });
        if upgrades && matches!(self.place, Place::Streams(..)) {
            Tunnel::open(self, exchange);
        }
        Ok((ending, early))
    }

    /// Its response is on its way.
    #[inline]
    fn let_go(&self, exchange: &Exchange, stage: Stage) {
        exchange.set_stage(stage);
        if let Place::Streams(..) = &self.place {
            // Over HTTP/1 the connection tells the rescue.
            self.server.ring();
        }
    }

    /// Answers what its handler has failed to. `None` if that is not for it to decide, since one of its jobs was taken.
    #[cold]
    pub(super) fn fail<B, E>(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        error: Option<E>,
    ) -> Option<Answered<B, E>> {
        // The job has failed; or, if a shutdown has begun, somebody else is asked to do it.
        exchange.end();
        (!exchange.was_taken()).then(|| match error {
            // Its server makes of errors what it likes.
            Some(error) if matches!(self.place, Place::Alone(_)) => Err(NoResponse::Failed(error)),
            _ => self.answer(Told::broken(exchange), exchange.version, Some(exchange.clone())),
        })
    }

    /// Answers what no handler has answered: by then the fates of its jobs are known.
    pub(super) fn answer_for<B, E>(self: &Arc<Self>, exchange: &Arc<Exchange>) -> Answered<B, E> {
        let answer = Told::of(exchange, &self.config.wording);
        let answered = self.answer(answer, exchange.version, Some(exchange.clone()));
        if answered.is_ok() {
            self.server.count_answered();
        }
        answered
    }

    /// Answers in the handler's place.
    pub(super) fn answer<B, E>(
        self: &Arc<Self>,
        answer: Told,
        version: Version,
        exchange: Option<Arc<Exchange>>,
    ) -> Answered<B, E> {
        let mut response = answer.into_response();
        self.end_connection(version, response.headers_mut());
        if let Place::Serial(conn) = &self.place {
            conn.word.release(says_close(response.headers()))?;
        }
        if let Some(exchange) = &exchange {
            self.let_go(exchange, Stage::Responding);
        }
        let entry = Entry { context: self.clone(), exchange };
        Ok(response.map(|body| ResponseBody::ours(body, entry)))
    }

    /// Makes a response the last of its connection, while draining.
    #[inline]
    fn end_connection(&self, version: Version, headers: &mut HeaderMap) {
        if version > Version::HTTP_11 {
            // There are no fields about the connection (RFC 9113 section 8.2.2, RFC 9114 section 4.2).
            headers.remove(header::CONNECTION);
        } else if self.server.is_draining() && self.server.is_last(self.place.rank(), self.place.leaves()) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether the connection ends with this response. Few say anything about it.
#[inline]
fn says_close(headers: &HeaderMap) -> bool {
    // (The names in a row are looked through before one could be hashed.)
    headers.keys().any(|name| name == header::CONNECTION)
        && headers.get_all(header::CONNECTION).iter().any(is_close)
}

fn is_close(value: &HeaderValue) -> bool {
    let mut options = value.as_bytes().split(|byte| *byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}
