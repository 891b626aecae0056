//! In the place of TLS where the feature is off: nothing speaks it, which the compiler knows too.

#[expect(dead_code, reason = "nothing has any of these outcomes")]
mod outcome;

use std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    task::{Context, Poll},
};

use sundown::Transport;

pub(crate) use self::outcome::{Alpn, Received, Sealed};

#[derive(Debug)]
pub(crate) enum Tls {}

#[derive(Clone, Debug)]
pub(crate) enum Acceptor {}

impl Acceptor {
    pub(crate) fn accept(&self) -> io::Result<Tls> {
        match *self {}
    }
}

impl Tls {
    pub(crate) fn poll_read(
        &self,
        _: &mut Context<'_>,
        _: &dyn Transport,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_write_vectored(
        &self,
        _: &mut Context<'_>,
        _: &dyn Transport,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_flush(&self, _: &mut Context<'_>, _: &dyn Transport) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_close_notify(&self, _: &mut Context<'_>, _: &dyn Transport) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn alpn(&self) -> Option<Alpn> {
        match *self {}
    }

    pub(crate) fn has_unread(&self) -> bool {
        match *self {}
    }

    pub(crate) fn seal(&self, _: &[u8]) -> Sealed {
        match *self {}
    }

    pub(crate) fn receive(&self, _: BorrowedFd<'_>) -> Received {
        match *self {}
    }
}
