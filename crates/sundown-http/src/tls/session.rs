//! What lies under the lock: rustls, what it has to say, and whose turn it is. It touches no socket.

use std::{
    fmt,
    io::{self, BufRead, IoSlice, Read, Write},
    mem,
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection};

use super::{Alpn, BATCH, CHUNK, Received, Sealed, records::Records};

/// With so much plaintext unread, rustls takes no more in: what it calls `DEFAULT_RECEIVED_PLAINTEXT_LIMIT`.
const FULL: usize = 16 * 1024;

pub(super) struct Session {
    rustls: ServerConnection,
    turn: Turn,
    /// Ciphertext that a turn has given back: it comes before all that rustls has.
    unsent: Vec<u8>,
    /// A task waits for the socket to take what there is.
    waited_for: bool,
    /// Ciphertext that rustls has no room for yet: less than a chunk, and seldom any.
    unfed: Vec<u8>,
    records: Records,
    /// `close_notify` has come, or FIN.
    ended: bool,
    /// What the peer has sent is not TLS, or not what it should be.
    failed: Option<rustls::Error>,
    /// `close_notify` is queued, or sent.
    closing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Free,
    Taken,
    /// Nobody's any more.
    Over,
}

pub(super) enum Encrypted {
    Accepted(usize),
    /// The socket has not taken what was accepted before.
    TooMuch,
    /// The handshake is not over.
    TooEarly,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut rustls = ServerConnection::new(config)?;
        rustls.set_buffer_limit(Some(BATCH));
        Ok(Session {
            rustls,
            turn: Turn::Free,
            unsent: Vec::new(),
            waited_for: false,
            unfed: Vec::new(),
            records: Records::default(),
            ended: false,
            failed: None,
            closing: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    pub(super) fn alpn(&self) -> Alpn {
        match self.rustls.alpn_protocol() {
            Some(b"h2") => Alpn::Http2,
            Some(b"http/1.1") => Alpn::Http1,
            _ => Alpn::Unspecified,
        }
    }

    // ---- what comes in

    /// Ciphertext from the socket; none at its end.
    pub(super) fn handle_input(&mut self, input: &[u8]) {
        if self.turn == Turn::Over || self.failed.is_some() {
            // Nobody will read it, and nothing may be said to it.
            return;
        }
        if input.is_empty() {
            self.ended = true;
        }
        self.records.handle_input(input);
        self.feed(input);
    }

    fn feed(&mut self, mut input: &[u8]) {
        while !input.is_empty() && !self.ended {
            // It takes some at a time.
            let fed = self.rustls.read_tls(&mut input);
            let fed = fed.map_err(|error| rustls::Error::General(error.to_string()));
            match fed.and_then(|_| self.rustls.process_new_packets()) {
                Ok(state) if state.peer_has_closed() => self.ended = true,
                Ok(state) if state.plaintext_bytes_to_read() >= FULL => {
                    self.unfed = input.to_vec();
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    self.failed = Some(error);
                    return;
                }
            }
        }
    }

    /// None if more ciphertext must come first.
    pub(super) fn handshake(&mut self) -> Option<io::Result<()>> {
        if !self.is_handshaking() {
            return Some(Ok(()));
        }
        if self.turn == Turn::Over {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(error) = &self.failed {
            return Some(Err(invalid(error)));
        }
        self.ended.then(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// None if more ciphertext must come first.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        loop {
            // Its errors say that there is none.
            let bytes = self.rustls.reader().read(buf).unwrap_or(0);
            if bytes > 0 {
                return Some(Ok(bytes));
            }
            if self.unfed.is_empty() || self.ended {
                break;
            }
            let unfed = mem::take(&mut self.unfed);
            self.feed(&unfed);
        }
        if self.turn == Turn::Over {
            return Some(Ok(0));
        }
        if let Some(error) = &self.failed {
            return Some(Err(invalid(error)));
        }
        match self.handshake() {
            Some(Err(error)) => Some(Err(error)),
            _ => self.ended.then_some(Ok(0)),
        }
    }

    /// Whether bytes of the peer's are here that nobody has read as plaintext.
    pub(super) fn has_unread(&mut self) -> bool {
        let plaintext = self.rustls.reader().fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        let is_over = self.ended || self.failed.is_some() || self.turn == Turn::Over;
        plaintext || !is_over && (!self.unfed.is_empty() || self.records.is_partial())
    }

    /// What the rescue is to know; none if the socket knows more.
    pub(super) fn receive(&mut self) -> Option<Received> {
        let mut buf = vec![0; CHUNK];
        match self.read(&mut buf) {
            Some(Ok(0)) => Some(Received::End),
            Some(Ok(bytes)) => {
                buf.truncate(bytes);
                Some(Received::Request(buf))
            }
            Some(Err(_)) => Some(Received::Failed),
            None if self.is_handshaking() => Some(Received::Handshaking),
            None => None,
        }
    }

    // ---- what goes out

    /// Encrypts as much as is accepted at once.
    pub(super) fn encrypt(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Encrypted> {
        if self.turn == Turn::Over || self.closing {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(error) = &self.failed {
            return Err(invalid(error));
        }
        if self.is_handshaking() {
            return Ok(Encrypted::TooEarly);
        }
        if self.has_unsent() {
            return Ok(Encrypted::TooMuch);
        }
        self.rustls.writer().write_vectored(bufs).map(Encrypted::Accepted)
    }

    /// Queues `close_notify`, once.
    pub(super) fn close(&mut self) {
        if self.turn != Turn::Over && !self.is_handshaking() {
            // It says nothing after an alert.
            self.rustls.send_close_notify();
            self.closing = true;
        }
    }

    /// Whether a read has something to send that nobody else waits to.
    pub(super) fn replies(&self) -> bool {
        self.has_unsent() && !self.waited_for && self.turn == Turn::Free
    }

    fn has_unsent(&self) -> bool {
        self.turn == Turn::Taken || !self.unsent.is_empty() || self.rustls.wants_write()
    }

    /// All that is to be sent; none if nothing is.
    pub(super) fn take_turn(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.turn != Turn::Free {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.waited_for = false;
        let bytes = self.take_unsent();
        if bytes.is_empty() {
            return Ok(None);
        }
        self.turn = Turn::Taken;
        Ok(Some(bytes))
    }

    fn take_unsent(&mut self) -> Vec<u8> {
        let mut bytes = mem::take(&mut self.unsent);
        while self.rustls.wants_write() {
            // A vector takes everything.
            let _ = self.rustls.write_tls(&mut bytes);
        }
        bytes
    }

    /// `rest`: what the socket did not take.
    pub(super) fn end_turn(&mut self, rest: Vec<u8>, waits: bool) {
        self.turn = Turn::Free;
        self.unsent = rest;
        self.waited_for = waits;
    }

    pub(super) fn end_for_good(&mut self) {
        self.turn = Turn::Over;
        self.unfed = Vec::new();
    }

    pub(super) fn seal(&mut self, answer: &[u8]) -> Sealed {
        match self.turn {
            Turn::Taken => return Sealed::Busy,
            Turn::Over => return Sealed::Impossible,
            Turn::Free => self.end_for_good(),
        }
        let too_late = self.closing && !answer.is_empty();
        if self.is_handshaking() || self.failed.is_some() || too_late {
            return Sealed::Impossible;
        }
        self.rustls.set_buffer_limit(None);
        if self.rustls.writer().write_all(answer).is_err() {
            return Sealed::Impossible;
        }
        self.rustls.send_close_notify();
        Sealed::Bytes(self.take_unsent())
    }
}

fn invalid(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.clone())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handshaking = self.is_handshaking();
        f.debug_struct("Session")
            .field("turn", &self.turn)
            .field("handshaking", &handshaking)
            .finish_non_exhaustive()
    }
}
