//! Where exchanges take place, and what those of one connection share.

use std::{sync::Arc, task};

use sundown::host::swallow;

use super::{SHARDS, tunnel::Tunnel};
use crate::{
    config::Config, conn::Conn, course::Course, exchange::Exchange, phase::Phase, ramp::Rank,
    streams::Streams,
};

/// What the requests of one connection share, or of all.
pub(crate) struct Context {
    pub(crate) server: Arc<Course>,
    pub(super) config: Arc<Config>,
    pub(super) place: Place,
}

/// A request, where it takes place.
pub(crate) struct Entry {
    pub(crate) context: Arc<Context>,
    /// `None` if it was not let in.
    pub(crate) exchange: Option<Arc<Exchange>>,
}

/// Where exchanges take place.
#[derive(Clone)]
pub(crate) enum Place {
    /// One after the other, on a connection that the rescue may take: HTTP/1.
    Serial(Arc<Conn>),
    /// Side by side, on a connection where nobody but the runtime can write: HTTP/2.
    Streams(Arc<Conn>, Arc<Streams>),
    /// Side by side, on whatever connections, which are not ours.
    Alone(Arc<Streams<SHARDS>>),
}

impl Place {
    pub(super) fn rank(&self) -> Rank {
        match self {
            Place::Serial(conn) | Place::Streams(conn, _) => conn.rank(),
            Place::Alone(_) => Rank::default(),
        }
    }

    pub(super) fn leaves(&self) -> bool {
        match self {
            Place::Serial(conn) | Place::Streams(conn, _) => conn.leaves(),
            Place::Alone(_) => false,
        }
    }
}

impl Context {
    /// Whether its connection is to be left, by all that can end in order.
    pub(crate) fn leaves(&self) -> bool {
        self.place.leaves() || self.server.phase() >= Phase::Closing
    }

    /// Nothing more comes of it. Over HTTP/1 its answer may still be on its way, and the connection knows when it is not.
    #[inline]
    pub(crate) fn vacate(&self, exchange: &Exchange) {
        match &self.place {
            Place::Serial(_) => {}
            Place::Streams(conn, streams) => {
                streams.vacate(exchange);
                self.server.ring();
                if self.server.is_draining() {
                    // It may have been the last that its connection waits for.
                    swallow(|| conn.task.wake());
                }
            }
            // Who waits for it waits for its guard.
            Place::Alone(streams) => streams.vacate(exchange),
        }
    }

    /// Whoever polls this is woken when the server goes on.
    #[inline]
    pub(crate) fn register(&self, exchange: &Exchange, cx: &task::Context<'_>) {
        match &self.place {
            // The connection's own task polls it, and has registered itself.
            Place::Serial(_) => {}
            Place::Streams(..) | Place::Alone(_) => exchange.task.register(cx.waker()),
        }
    }

    /// A response's body has been handed out whole, or dropped.
    #[inline]
    pub(crate) fn body_done(&self, exchange: Option<&Exchange>) {
        match &self.place {
            Place::Serial(conn) => conn.word.body_done(),
            // If hyper has made no tunnel of it, there is none. What else is out has a seat until it is written.
            Place::Streams(..) if exchange.is_some_and(Exchange::is_upgraded) => drop(Tunnel::opening()),
            Place::Streams(..) => drop(exchange.and_then(Exchange::take_job)),
            Place::Alone(_) => exchange.into_iter().for_each(|exchange| self.vacate(exchange)),
        }
    }

    /// Makes the end of an unfinished response visible. (A stream of HTTP/2 is reset by what hyper does with an error.)
    pub(crate) fn prepare_cut(&self) {
        if let Place::Serial(conn) = &self.place {
            conn.prepare_cut();
        }
    }
}
