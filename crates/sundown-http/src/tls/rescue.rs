//! The rescue's side of a connection that it has taken: what the peer wants of it, and the last word.

use std::{
    os::fd::BorrowedFd,
    sync::{MutexGuard, TryLockError},
};

use rustix::{io::Errno, net::RecvFlags};

use super::{CHUNK, Received, Sealed, Session, Tls};

/// How many chunks are read of one connection before another has its turn.
const A_ROUND: usize = 16;

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

    /// None while somebody else has it: who must not wait asks so.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Session>> {
        match self.0.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
