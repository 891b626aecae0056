//! A tunnel on a stream of HTTP/2: in flight until its owner lets go of it.
//!
//! hyper drops the response of a CONNECT at once, and gives what the tunnel sends to a task of its own, which it starts
//! in the same poll as that in which the response went out. So on its way from one to the other, the exchange stands
//! where only this thread looks.

use std::{cell::Cell, sync::Arc};

use super::{Context, Seat};
use crate::exchange::Exchange;

thread_local! {
    static OPENING: Cell<Option<Tunnel>> = const { Cell::new(None) };
}

/// Dropped with the task, it ends the exchange.
pub(crate) struct Tunnel {
    _seat: Seat,
}

impl Tunnel {
    /// Its response goes out.
    pub(super) fn open(context: &Arc<Context>, exchange: &Arc<Exchange>) {
        let seat = Seat::new(context.clone(), exchange.clone());
        drop(OPENING.replace(Some(Tunnel { _seat: seat })));
    }

    /// The one whose response has just gone out on this thread.
    pub(crate) fn opening() -> Option<Self> {
        OPENING.take()
    }
}
