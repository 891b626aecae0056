use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use rustix::net::{RecvFlags, recv};
use sundown::Transport;

use super::is_readable;
use crate::fault::Fault;

type Read = Poll<io::Result<usize>>;

/// What was written first comes last.
pub(crate) struct TurnedRound;

impl Fault for TurnedRound {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        let read = right.poll_read(cx, buf);
        if let Poll::Ready(Ok(n)) = read {
            buf[..n].reverse();
        }
        read
    }
}

/// Who waits for data is not woken.
pub(crate) struct DeafRead;

impl Fault for DeafRead {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        match is_readable(right) {
            true => right.poll_read(cx, buf),
            false => right.poll_read(&mut Context::from_waker(Waker::noop()), buf),
        }
    }
}

/// Who waits is woken by data only: what is ready without any is polled on.
pub(crate) struct MissesTheEnd;

struct DataOnly(Waker, OwnedFd);

impl Wake for DataOnly {
    fn wake(self: Arc<Self>) {
        let mut byte = [0];
        if !matches!(recv(&self.1, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((0, _))) {
            self.0.wake_by_ref();
        }
    }
}

impl Fault for MissesTheEnd {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        if is_readable(right) {
            return right.poll_read(cx, buf);
        }
        let fd = right.as_fd().try_clone_to_owned().unwrap();
        let data_only = Waker::from(Arc::new(DataOnly(cx.waker().clone(), fd)));
        right.poll_read(&mut Context::from_waker(&data_only), buf)
    }
}

/// Whoever polled first is woken, for ever.
#[derive(Default)]
pub(crate) struct FirstWaker(OnceLock<Waker>);

impl Fault for FirstWaker {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        let first = self.0.get_or_init(|| cx.waker().clone());
        right.poll_read(&mut Context::from_waker(first), buf)
    }
}

pub(crate) struct EndIsError;

impl Fault for EndIsError {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        right.poll_read(cx, buf).map(|read| match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        })
    }
}

pub(crate) struct ResetIsEnd;

impl Fault for ResetIsEnd {
    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        right.poll_read(cx, buf).map(|read| Ok(read.unwrap_or(0)))
    }
}

#[derive(Default)]
pub(crate) struct SocketGone(AtomicBool);

impl Fault for SocketGone {
    fn ended(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn poll_read(&self, right: &dyn Transport, cx: &mut Context<'_>, buf: &mut [u8]) -> Read {
        assert!(!self.0.load(Ordering::Acquire), "the runtime is gone, on purpose");
        right.poll_read(cx, buf)
    }
}
