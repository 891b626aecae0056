//! Accepting, until there is nobody left to accept.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use sundown::{Accept, Runtime, Transport};

use super::shared::Shared;
use crate::phase::Phase;

pub(super) type Accepted = (Arc<dyn Transport>, SocketAddr);

impl Shared {
    /// The next connection; `None` when there will be no more.
    pub(super) async fn next(
        &self,
        listener: &mut dyn Accept,
        runtime: &Arc<dyn Runtime>,
    ) -> io::Result<Option<Accepted>> {
        /// How long to wait for somebody to give a descriptor back.
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            let accepted = self.or_over(poll_fn(|cx| self.poll_accept(listener, cx))).await;
            match accepted {
                None => return Ok(None),
                Some(Ok(accepted)) => return Ok(Some(accepted)),
                Some(Err(error)) => match Refusal::of(&error) {
                    Refusal::Connection => {}
                    Refusal::Resources => {
                        let pause = self.or_over(runtime.sleep_until(runtime.now() + PAUSE)).await;
                        // A descriptor that comes free now is the rescue's: it gives it back, and a task that is
                        // blocked does not.
                        if pause.is_none() || self.phase() >= Phase::Answering {
                            return Ok(None);
                        }
                    }
                    // The rescue has closed the door behind the last client.
                    Refusal::Listener if self.phase() >= Phase::Answering => return Ok(None),
                    Refusal::Listener => return Err(error),
                },
            }
        }
    }

    /// Resolves when what was left has been dropped: until then connections need their runtime.
    pub(super) async fn over(&self) {
        poll_fn(|cx: &mut Context<'_>| {
            self.accepting.register(cx.waker());
            if self.phase() >= Phase::Forced { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// One look into the queue. Whoever comes out is in no list until it is registered.
    fn poll_accept(&self, listener: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        self.set_accepting(true);
        let accepted = listener.poll_accept(cx);
        if !matches!(accepted, Poll::Ready(Ok(_))) {
            self.set_accepting(false);
        }
        accepted
    }

    /// The future's output, or `None` once nothing more is to be accepted.
    async fn or_over<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let last = if self.shares_listener() { Phase::Spreading } else { Phase::Forced };
        let mut future = pin!(future);
        poll_fn(|cx: &mut Context<'_>| {
            self.accepting.register(cx.waker());
            if self.phase() >= last || !self.is_listening() {
                return Poll::Ready(None);
            }
            Pin::as_mut(&mut future).poll(cx).map(Some)
        })
        .await
    }
}

/// What an error of `accept(2)` is about.
enum Refusal {
    Connection,
    Resources,
    Listener,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Refusal::Resources,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
                Refusal::Listener
            }
            // Only the runtime speaks of itself: it is gone.
            None => Refusal::Listener,
            Some(_) => Refusal::Connection,
        }
    }
}
