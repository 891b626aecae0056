//! A transport in memory, and the peer's view of it.

use std::{
    cell::{Ref, RefCell},
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Both directions of a connection, seen from the peer's side. Clones are the same connection.
#[derive(Clone, Default)]
pub(crate) struct Wire(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    unread: Vec<u8>,
    is_ended: bool,
    reader: Option<Waker>,
    written: Vec<u8>,
    /// At most so many bytes are taken at a time, and none every other time.
    bite: Option<usize>,
    refuses: bool,
    /// How often it was looked for bytes.
    looks: usize,
    /// How many bytes had been written, and flushed, when it was shut down.
    shut_at: Option<usize>,
}

impl Wire {
    /// One that takes a few bytes at a time, and none every other time.
    pub(crate) fn narrow(bite: usize) -> Self {
        let wire = Self::default();
        wire.0.borrow_mut().bite = Some(bite);
        wire
    }

    /// The server's side.
    pub(crate) fn io(&self) -> Io {
        Io(self.clone())
    }

    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        self.0.borrow_mut().unread.extend_from_slice(bytes.as_ref());
        self.wake();
    }

    /// Ends the peer's side.
    pub(crate) fn half_close(&self) {
        self.0.borrow_mut().is_ended = true;
        self.wake();
    }

    fn wake(&self) {
        let reader = self.0.borrow_mut().reader.take();
        reader.inspect(Waker::wake_by_ref);
    }

    /// All that the server has written.
    pub(crate) fn written(&self) -> Ref<'_, [u8]> {
        Ref::map(self.0.borrow(), |state| &state.written[..])
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written()).into_owned()
    }

    /// How many bytes the server has not read.
    pub(crate) fn unread(&self) -> usize {
        self.0.borrow().unread.len()
    }

    pub(crate) fn looks(&self) -> usize {
        self.0.borrow().looks
    }

    pub(crate) fn shut_at(&self) -> Option<usize> {
        self.0.borrow().shut_at
    }
}

/// The server's side of a [`Wire`].
pub(crate) struct Io(Wire);

impl hyper::rt::Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.0.borrow_mut();
        state.looks += 1;
        if state.unread.is_empty() && !state.is_ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let take = state.unread.len().min(buf.remaining());
        let bytes: Vec<u8> = state.unread.drain(..take).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.0.borrow_mut();
        let mut taken = bytes.len();
        if let Some(bite) = state.bite {
            state.refuses = !state.refuses;
            if state.refuses {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            taken = taken.min(bite);
        }
        state.written.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.0.borrow_mut();
        let written = state.written.len();
        state.shut_at.get_or_insert(written);
        Poll::Ready(Ok(()))
    }
}

/// A task without an executor: it is polled by hand, and says whether it was woken since.
#[derive(Clone, Default)]
pub(crate) struct Task(Arc<Woken>);

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Relaxed: everything here is on one thread.
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    pub(crate) fn waker(&self) -> Waker {
        self.0.clone().into()
    }

    /// Whether it was woken since this was last asked.
    pub(crate) fn was_woken(&self) -> bool {
        self.0.0.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn poll_once<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.waker()))
    }

    /// Polls it, and again as long as that wakes it.
    pub(crate) fn poll<F: Future + ?Sized>(&self, mut future: Pin<&mut F>) -> Poll<F::Output> {
        loop {
            self.was_woken();
            let result = self.poll_once(future.as_mut());
            if result.is_ready() || !self.was_woken() {
                return result;
            }
        }
    }
}
