//! How a response is let out, the handler's or one in its place.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use http_body::Body;

use super::{
    Answered,
    context::{Context, Place},
    tunnel::Tunnel,
};
use crate::{
    answer::Told,
    body::{Early, Ending, ResponseBody},
    exchange::{Exchange, Stage},
};

impl Context {
    /// Lets the handler's response out. `None` if it must not go out, since one of its jobs was taken.
    pub(super) fn let_out<B: Body<Data = Bytes>, E>(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        mut response: Response<B>,
    ) -> Option<Answered<B, E>> {
        let status = response.status();
        let connect = exchange.request.method == Method::CONNECT && status.is_success();
        let upgrades = connect || status == StatusCode::SWITCHING_PROTOCOLS;
        let has_body = exchange.request.method != Method::HEAD
            && !upgrades
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED;
        let ending = match response.body().size_hint().exact() {
            None if has_body => match declared_length(response.headers()) {
                Some(0) => Ending::Settled,
                Some(length) => Ending::CompletesAfter(length),
                None => Ending::Completes,
            },
            _ => Ending::Settled,
        };
        if ending != Ending::Settled {
            // The job ends with the body.
            if exchange.was_taken() {
                return None;
            }
        } else if exchange.complete().is_err() {
            return None;
        }
        let early = match ending {
            Ending::Completes => {
                Early::of(response.headers(), exchange.version >= Version::HTTP_2, &self.config.event_streams)
            }
            // Its length says where it ends, or would.
            Ending::CompletesAfter(_) | Ending::Settled => Early::Cut,
        };
        if !upgrades {
            self.end_connection(exchange.version, response.headers_mut());
        }
        if let Place::Serial(conn) = &self.place {
            conn.set_close_delimited(ending == Ending::Completes && exchange.version < Version::HTTP_11);
            let won = match upgrades {
                true => conn.word.upgrade(),
                false => conn.word.release(says_close(response.headers())),
            };
            if let Err(lost) = won {
                return Some(Err(lost.into()));
            }
        }
        self.let_go(exchange, if upgrades { Stage::Upgraded } else { Stage::Responding });
        if upgrades && matches!(self.place, Place::Streams(..)) {
            Tunnel::open(self, exchange);
        }
        Some(Ok(
            response.map(|body| ResponseBody::handler(body, self.clone(), exchange.clone(), ending, early))
        ))
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
        Ok(response.map(|body| ResponseBody::ours(body, self.clone(), exchange)))
    }

    /// Makes a response the last of its connection, while draining.
    fn end_connection(&self, version: Version, headers: &mut HeaderMap) {
        if version > Version::HTTP_11 {
            // There are no fields about the connection (RFC 9113 section 8.2.2, RFC 9114 section 4.2).
            headers.remove(header::CONNECTION);
        } else if self.server.is_last(self.place.rank(), self.place.leaves()) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Whether the server makes of the service's errors what it likes.
    pub(super) fn keeps_errors(&self) -> bool {
        matches!(self.place, Place::Alone(_))
    }
}

/// Whether the connection ends with this response.
fn says_close(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, value: &HeaderValue| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        name == header::CONNECTION && options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    // A response has few fields, and a look at each is cheaper than one into the table.
    headers.iter().any(|(name, value)| says(name, value))
}

/// What hyper will let out of a body whose own length is not known.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
