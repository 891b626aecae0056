//! What the canaries' services are made of: a handler that is told when to end, and a body that is told what to yield.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

/// The error of a handler or a body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Holds a future up until it is opened. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Latch(Rc<Inner>);

#[derive(Default)]
struct Inner {
    is_open: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
    /// How many futures wait for it, and have been polled.
    entered: Cell<usize>,
    /// How many of them are gone.
    left: Cell<usize>,
}

impl Latch {
    pub(crate) fn open(&self) {
        self.0.is_open.set(true);
        let waiting = self.0.waiting.borrow_mut().take();
        waiting.inspect(Waker::wake_by_ref);
    }

    /// With whose waker it was polled last.
    pub(crate) fn waiting(&self) -> Option<Waker> {
        self.0.waiting.borrow().clone()
    }

    pub(crate) fn entered(&self) -> usize {
        self.0.entered.get()
    }

    pub(crate) fn left(&self) -> usize {
        self.0.left.get()
    }

    /// Ends when it is open. It counts as entered from its first poll on, and as left when it is dropped.
    pub(crate) fn wait(&self) -> Waiting {
        Waiting { latch: self.clone(), entered: false }
    }
}

pub(crate) struct Waiting {
    latch: Latch,
    entered: bool,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.entered {
            self.entered = true;
            self.latch.0.entered.update(|entered| entered + 1);
        }
        if self.latch.0.is_open.get() {
            return Poll::Ready(());
        }
        *self.latch.0.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.latch.0.left.update(|left| left + 1);
    }
}

/// What a [`Script`] does next.
pub(crate) enum Step {
    Data(&'static [u8]),
    Trailers(HeaderMap),
    Wait(Waiting),
    Error(BoxError),
}

/// A body of unknown length that does as it is told.
#[derive(Default)]
pub(crate) struct Script(VecDeque<Step>);

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Script(steps.into_iter().collect())
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(Step::Wait(waiting)) = self.0.front_mut() {
            if Pin::new(waiting).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.0.pop_front();
        }
        Poll::Ready(match self.0.pop_front() {
            None => None,
            Some(Step::Data(bytes)) => Some(Ok(Frame::data(Bytes::from_static(bytes)))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Error(error)) => Some(Err(error)),
            Some(Step::Wait(_)) => unreachable!("it was waited for"),
        })
    }
}
