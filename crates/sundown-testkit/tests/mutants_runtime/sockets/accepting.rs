use std::{
    io,
    net::TcpListener,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use sundown::{Accept, Runtime};
use sundown_tokio::Tokio;

use super::is_readable;
use crate::fault::{Accepted, Fault};

pub(crate) struct Refused;

impl Fault for Refused {
    fn adopt(&self, _: &Tokio, _: TcpListener) -> io::Result<Box<dyn Accept>> {
        Err(io::Error::other("no listeners, on purpose"))
    }
}

/// Who waits for a client is not woken.
#[derive(Default)]
pub(crate) struct DeafAccept(OnceLock<TcpListener>);

impl Fault for DeafAccept {
    fn adopt(&self, right: &Tokio, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        self.0.set(listener.try_clone()?).unwrap();
        right.adopt(listener)
    }

    fn poll_accept(&self, right: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<Accepted> {
        match is_readable(self.0.get().unwrap()) {
            true => right.poll_accept(cx),
            false => right.poll_accept(&mut Context::from_waker(Waker::noop())),
        }
    }
}

/// Of two that wait, the second comes first.
#[derive(Default)]
pub(crate) struct LastFirst(Mutex<Option<Accepted>>);

impl Fault for LastFirst {
    fn poll_accept(&self, right: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<Accepted> {
        let mut kept = self.0.lock().unwrap();
        if let Some(kept) = kept.take() {
            return Poll::Ready(kept);
        }
        let first = ready!(right.poll_accept(cx));
        Poll::Ready(match right.poll_accept(cx) {
            Poll::Ready(second) => {
                *kept = Some(first);
                second
            }
            Poll::Pending => first,
        })
    }
}

/// Gives the address of nobody.
pub(crate) struct WrongAddress;

impl Fault for WrongAddress {
    fn poll_accept(&self, right: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<Accepted> {
        right.poll_accept(cx).map(|accepted| accepted.map(|(right, _)| (right, ([127, 0, 0, 1], 1).into())))
    }
}

/// Looks at each connection, and is broken by one that has left.
#[derive(Default)]
pub(crate) struct EndedByError(AtomicBool);

impl Fault for EndedByError {
    fn poll_accept(&self, right: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<Accepted> {
        let (transport, peer) = ready!(right.poll_accept(cx))?;
        let left = rustix::net::getpeername(&transport).is_err();
        match self.0.fetch_or(left, Ordering::AcqRel) || left {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            false => Poll::Ready(Ok((transport, peer))),
        }
    }
}

#[derive(Default)]
pub(crate) struct ListenerGone(AtomicBool);

impl Fault for ListenerGone {
    fn ended(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn poll_accept(&self, right: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<Accepted> {
        assert!(!self.0.load(Ordering::Acquire), "the runtime is gone, on purpose");
        right.poll_accept(cx)
    }
}
