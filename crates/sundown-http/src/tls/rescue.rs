//! The rescue's side of a connection that it has taken: what the peer wants of it, and the last word.

use std::{
    os::fd::BorrowedFd,
    sync::{MutexGuard, TryLockError},
};

use rustix::{io::Errno, net::RecvFlags};

use super::{CHUNK, Session, Tls};

/// How many chunks are read of one connection before another has its turn.
const A_ROUND: usize = 16;

/// What the rescue has sealed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// All that is still to be written on the socket. Nobody else writes there any more.
    Bytes(Vec<u8>),
    /// The runtime is in the middle of a step: try again in a moment.
    Busy,
    /// The peer would understand nothing: close it.
    Impossible,
}

/// What the rescue has found on a connection that no handler has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// No byte of the peer's is unread.
    Nothing,
    /// Part of a record, whose kind only the rest of it tells.
    Partial,
    /// Bytes of a request.
    Request(Vec<u8>),
    /// The peer will send no more, and says so by `close_notify` or by its FIN.
    End,
    /// The handshake is not over.
    Handshaking,
    /// The socket is broken, or what came is not TLS.
    Failed,
    /// The runtime is in the middle of a step: try again in a moment.
    Busy,
}

impl Tls {
    /// All that is still to be written, in order: what the socket did not take before, the answer, `close_notify`. Without
    /// an answer (`&[]`), it is how a connection ends that waits for none. The rest of the connection is the caller's: he
    /// writes these bytes, and reads on only to discard.
    pub(crate) fn seal(&self, answer: &[u8]) -> Sealed {
        let Some(mut session) = self.try_lock() else { return Sealed::Busy };
        session.seal(answer)
    }

    /// Reads what has come, without waiting, and says what it is. Only of a connection that no handler has; no more than
    /// one chunk of a request.
    pub(crate) fn receive(&self, socket: BorrowedFd<'_>) -> Received {
        let Some(mut session) = self.try_lock() else { return Received::Busy };
        let mut chunk = [0; CHUNK];
        for _ in 0..A_ROUND {
            if let Some(received) = session.receive() {
                return received;
            }
            match rustix::net::recv(socket, &mut chunk, RecvFlags::DONTWAIT) {
                Ok((bytes, _)) => session.handle_input(&chunk[..bytes]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if session.has_unread() => return Received::Partial,
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(_) => return Received::Failed,
            }
        }
        // It says much and asks nothing.
        session.receive().unwrap_or(Received::Partial)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Session>> {
        match self.0.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
