use std::{
    io::{self, IoSlice},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use sundown::Transport;

use crate::fault::Fault;

type Io = Poll<io::Result<usize>>;

pub(crate) struct LastBufferFirst;

impl Fault for LastBufferFirst {
    fn poll_write(&self, right: &dyn Transport, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Io {
        let turned: Vec<_> = bufs.iter().rev().copied().collect();
        right.poll_write_vectored(cx, &turned)
    }
}

/// Takes a part, and says that it took all.
pub(crate) struct SaysAll;

impl Fault for SaysAll {
    fn poll_write(&self, right: &dyn Transport, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Io {
        let all = bufs.iter().map(|buffer| buffer.len()).sum();
        right.poll_write_vectored(cx, bufs).map(|written| written.map(|_| all))
    }
}

/// Says at once that it took nothing, for ever.
pub(crate) struct TakesNothing;

impl Fault for TakesNothing {
    fn poll_write(&self, _: &dyn Transport, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Io {
        Poll::Ready(Ok(0))
    }
}

/// Loses what the socket does not take, and is never full.
pub(crate) struct TakesEverything;

impl Fault for TakesEverything {
    fn poll_write(&self, right: &dyn Transport, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Io {
        let all = bufs.iter().map(|buffer| buffer.len()).sum();
        match right.poll_write_vectored(cx, bufs) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(all)),
        }
    }
}

/// Hides what became of it.
pub(crate) struct AlwaysWritten;

impl Fault for AlwaysWritten {
    fn poll_write(&self, right: &dyn Transport, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Io {
        let all = bufs.iter().map(|buffer| buffer.len()).sum();
        right.poll_write_vectored(cx, bufs).map(|written| Ok(written.unwrap_or(all)))
    }
}

/// Who waits for room is not woken.
pub(crate) struct DeafWrite;

impl Fault for DeafWrite {
    fn poll_write(&self, right: &dyn Transport, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Io {
        // The first poll of a socket may have to ask the reactor, and is woken.
        match right.poll_write_vectored(&mut Context::from_waker(Waker::noop()), bufs) {
            Poll::Pending if is_writable(right) => right.poll_write_vectored(cx, bufs),
            polled => polled,
        }
    }
}

fn is_writable(right: &dyn Transport) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec::try_from(std::time::Duration::ZERO).unwrap();
    poll(&mut [PollFd::new(&right, PollFlags::OUT)], Some(&now)).unwrap() > 0
}

/// Keeps one waker, whoever polled last for whatever.
#[derive(Default)]
pub(crate) struct OneWaker(Arc<Slot>);

#[derive(Default)]
struct Slot(Mutex<Option<Waker>>);

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.0.lock().unwrap().take() {
            waker.wake();
        }
    }
}

impl OneWaker {
    fn keep(&self, cx: &Context<'_>) -> Waker {
        *self.0.0.lock().unwrap() = Some(cx.waker().clone());
        self.0.clone().into()
    }
}

impl Fault for OneWaker {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Io {
        right.poll_read(&mut Context::from_waker(&self.keep(cx)), buf)
    }

    fn poll_write(&self, right: &dyn Transport, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Io {
        right.poll_write_vectored(&mut Context::from_waker(&self.keep(cx)), bufs)
    }
}
