//! TLS on a connection whose last word may come from outside the runtime.
//!
//! What rustls knows of a connection is shared by its task, on the user's runtime, and the rescue, on a thread of its
//! own. Records are numbered and encrypted in order: if one is lost, sent twice or overtaken, the peer takes the rest for
//! forged. Invariants:
//!
//! 1. **One order.** A record is encrypted under the lock, and queued under the same hold of it. The order of the queue is
//!    the order of the numbers, whoever queues: a write of the runtime's, a ticket or an alert that a read has caused, the
//!    rescue's answer. (rustls keeps the reply to a key update back until the next record, and puts it first.)
//! 2. **One sender.** Ciphertext leaves the queue only with the *turn*, of which there is one. Who has it holds all that
//!    had been queued, and gives back what the socket did not take before anybody else gets any; what was queued
//!    meanwhile comes after that. So nothing overtakes, though the socket is written to under no lock.
//! 3. **Nothing is lost.** The turn does not outlive a poll. Between two polls, what the socket did not take lies in the
//!    shared queue, not in a future: a future that is dropped loses nothing. A turn that is not given back, since the
//!    transport has panicked, is the last: how much the socket took is unknown, so nothing may follow it.
//! 4. **The rescue's is the last turn.** [`Tls::seal`] takes the whole queue, adds its answer and `close_notify`, and never
//!    gives the turn back: from there on the runtime sends and decrypts nothing. While the runtime has the turn, it takes
//!    nothing and says that it is busy. It must be able to: the state word keeps the runtime's *writes* from the rescue, but
//!    a read of a request's body goes on beside it, and may have tickets, or an alert, to send.
//! 5. **The rescue never waits.** Under the lock there is only rustls, and the rescue's own system call, which waits for
//!    nothing. rustls runs code of the user's in the handshake (to find a certificate, to sign, to verify), which may take
//!    its time; so the rescue only tries the lock.
//! 6. **One reader.** Who reads the socket feeds what he read before anybody reads on. Nothing here sees to that, but the
//!    word does: it cannot be taken while the runtime reads on an idle connection, and of one that has a request in a handler
//!    the rescue reads nothing ([`Tls::receive`]).
//! 7. **What is accepted is bounded.** Plaintext is accepted only when all the ciphertext before it is in the socket, and
//!    then no more than [`BATCH`].
//!
//! A peer that ends its TCP stream without `close_notify` has cut off nothing that would pass for whole: no request ends
//! with its connection (RFC 9112 § 6.3), a frame of HTTP/2 has its length, and RFC 9112 § 9.8 asks a server to expect it.
//! So it is an end, not an error; but for an end in the middle of the handshake.

mod outcome;
mod records;
mod rescue;
mod session;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod turn;

use std::{
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use rustls::ServerConfig;
use sundown::Transport;

pub(crate) use self::outcome::{Alpn, Received, Sealed};
use self::{
    session::{Encrypted, Session},
    turn::Turn,
};

/// How much plaintext is accepted at once: two full records.
const BATCH: usize = 32 * 1024;
/// How much is read at once, on the stack.
const CHUNK: usize = 8 * 1024;

/// The TLS of one connection.
#[derive(Debug)]
pub(crate) struct Tls(Mutex<Session>);

/// What makes the TLS of connections, from a configuration that can.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// # Errors
    ///
    /// As of [`Tls::new`], which is what it tries.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Tls::new(config.clone()).map(|_| Acceptor(config))
    }

    /// For a connection that was just accepted.
    pub(crate) fn accept(&self) -> Result<Tls, rustls::Error> {
        Tls::new(self.0.clone())
    }
}

impl Tls {
    /// A connection that was just accepted.
    ///
    /// # Errors
    ///
    /// Those of the configuration, whatever the peer. A configuration that allows early data is one of them: anybody can
    /// send a copy of it (RFC 8470), so a job must not begin with it.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        if config.max_early_data_size > 0 {
            return Err(rustls::Error::General("early data is not supported".into()));
        }
        Ok(Tls(Mutex::new(Session::new(config)?)))
    }

    /// Drives the handshake to its end. What rustls has left to say at its end goes out with what follows.
    ///
    /// # Errors
    ///
    /// Those of the transport and of the protocol, or that the peer has ended it early.
    pub(crate) fn poll_handshake(
        &self,
        cx: &mut Context<'_>,
        transport: &dyn Transport,
    ) -> Poll<io::Result<()>> {
        self.poll_until(cx, transport, Session::handshake)
    }

    /// Reads some plaintext, after the handshake if that is not over; zero at the end.
    ///
    /// # Errors
    ///
    /// Those of the transport and of the protocol. What came before the error is read first; the peer has been told of an
    /// error of the protocol, if its socket took that at once.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        transport: &dyn Transport,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_until(cx, transport, |session| session.read(buf))
    }

    /// Accepts some plaintext, and says how much. Ready once it is encrypted; [`poll_flush`](Self::poll_flush) says when
    /// the socket has it.
    ///
    /// # Errors
    ///
    /// Those of the transport and of the protocol, or that nothing may be written any more.
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        transport: &dyn Transport,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            let encrypted = self.lock().encrypt(bufs)?;
            match encrypted {
                Encrypted::Accepted(bytes) => {
                    // It is accepted, whether the socket takes it or not. An error comes again.
                    let _ = self.poll_send(cx, transport, false);
                    return Poll::Ready(Ok(bytes));
                }
                Encrypted::TooMuch => ready!(self.poll_flush(cx, transport))?,
                Encrypted::TooEarly => ready!(self.poll_handshake(cx, transport))?,
            }
        }
    }

    /// Ready once all that was accepted, and whatever else TLS has to say, is in the socket.
    ///
    /// # Errors
    ///
    /// Those of the transport, or that the rescue has taken what was left.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>, transport: &dyn Transport) -> Poll<io::Result<()>> {
        self.poll_send(cx, transport, true)
    }

    /// Tells the peer that nothing follows; ready once that, and all before it, is in the socket. Of an unfinished
    /// handshake there is nothing to tell. Reading goes on.
    ///
    /// # Errors
    ///
    /// As of [`poll_flush`](Self::poll_flush).
    pub(crate) fn poll_close_notify(
        &self,
        cx: &mut Context<'_>,
        transport: &dyn Transport,
    ) -> Poll<io::Result<()>> {
        self.lock().close();
        self.poll_flush(cx, transport)
    }

    /// Whether the handshake is not over.
    #[cfg(test)]
    pub(crate) fn is_handshaking(&self) -> bool {
        self.lock().is_handshaking()
    }

    /// What the peer has agreed to speak, once the handshake is over. Waits for nobody: who has the bytes of a request
    /// is told.
    pub(crate) fn alpn(&self) -> Option<Alpn> {
        let session = self.try_lock()?;
        (!session.is_handshaking()).then(|| session.alpn())
    }

    /// Whether bytes of the peer's are here that nobody has read as plaintext: they are out of the kernel. Waits for
    /// nobody: while somebody is at it there may be some.
    pub(crate) fn has_unread(&self) -> bool {
        self.try_lock().is_none_or(|mut session| session.has_unread())
    }

    /// A panic in the middle of a step (of the user's, in the handshake) leaves rustls in a state that says so itself.
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, and sends what reading causes, until the step has a result.
    fn poll_until<T>(
        &self,
        cx: &mut Context<'_>,
        transport: &dyn Transport,
        mut step: impl FnMut(&mut Session) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut session = self.lock();
            let result = step(&mut session);
            let (replies, handshaking) = (session.replies(), session.is_handshaking());
            drop(session);
            if replies {
                let sent = self.poll_send(cx, transport, false);
                // The peer owes us nothing before it has our flight. After the handshake a broken socket shows itself
                // when it is read, and the result is worth more.
                if handshaking && result.is_none() {
                    ready!(sent)?;
                }
            }
            if let Some(result) = result {
                return Poll::Ready(result);
            }
            let mut chunk = [0; CHUNK];
            let bytes = ready!(transport.poll_read(cx, &mut chunk))?;
            self.lock().handle_input(&chunk[..bytes]);
        }
    }

    /// Sends all that is queued. Who `waits` for it will come back; a read leaves the rest to him, lest the transport wake
    /// the reader in his place.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        transport: &dyn Transport,
        waits: bool,
    ) -> Poll<io::Result<()>> {
        loop {
            let Some(mut turn) = Turn::take(self)? else { return Poll::Ready(Ok(())) };
            // Under no lock: a transport is not ours.
            let result = transport.poll_write_vectored(cx, &[IoSlice::new(&turn.bytes)]);
            turn.end(
                match &result {
                    Poll::Ready(Ok(bytes)) => *bytes,
                    Poll::Ready(Err(_)) | Poll::Pending => 0,
                },
                waits && result.is_pending(),
            );
            if ready!(result)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
    }
}
