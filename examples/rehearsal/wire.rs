//! HTTP/1.1 as bytes on a socket, read by hand. A client library hides exactly what a rehearsal must see:
//! whether an answer was complete, cut, reset or followed by something; so there is none here. No read or
//! write waits past the wire's `until`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::clock::Stamp;
use crate::head::Head;

/// Heads longer than this are not ours.
const LONGEST_HEAD: usize = 64 * 1024;

/// Why reading could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer ended its side in good order, but too early.
    Closed,
    Reset,
    /// Nothing came within the bound.
    Late,
    Garbled(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Late,
            _ => Self::Reset,
        }
    }
}

/// What lies on a connection between two exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    Quiet,
    Closed,
    Reset,
    Bytes(usize),
}

pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    until: Instant,
    first_byte: Option<Stamp>,
}

impl Wire {
    pub fn connect(address: SocketAddr, bound: Duration, until: Instant) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, bound)?;
        // Nobody listens on the port any more, and the system picked it for our own end: we talk to
        // ourselves.
        if stream.local_addr()? == address {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        Self::new(stream, until)
    }

    pub fn new(stream: TcpStream, until: Instant) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), until, first_byte: None })
    }

    /// Moves the bound of all that follows.
    pub fn set_until(&mut self, until: Instant) {
        self.until = until;
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(left(self.until)))?;
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        // Fails only on a connection that is gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// When the first byte came since the last call.
    pub fn take_first_byte(&mut self) -> Option<Stamp> {
        self.first_byte.take()
    }

    /// Whether an answer has begun, waiting for it at most `pause`. Errors and ends are left for the reader
    /// to find.
    pub fn has_begun_within(&mut self, pause: Duration) -> bool {
        let until = self.until;
        self.until = until.min(Instant::now() + pause);
        let begun = !self.buffer.is_empty() || !matches!(self.fill(), Err(Broken::Late));
        self.until = until;
        begun
    }

    /// What has arrived without being asked for; does not wait.
    pub fn between(&mut self) -> Between {
        if !self.buffer.is_empty() {
            return Between::Bytes(self.buffer.len());
        }
        let looked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut [0; 64]));
        // If this fails the connection is gone, and the next read says so.
        let _ = self.stream.set_nonblocking(false);
        match looked {
            Ok(0) => Between::Closed,
            Ok(count) => Between::Bytes(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Between::Quiet,
            Err(_) => Between::Reset,
        }
    }

    /// Reads a head. Whether an error came before its first byte, [`Wire::take_first_byte`] tells.
    pub fn head(&mut self) -> Result<Head, Broken> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end])?;
                self.buffer.drain(..end + 4);
                return Ok(head);
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(Broken::Garbled("a head without an end".into()));
            }
            self.fill()?;
        }
    }

    /// Reads the body of an answer into `body`; on an error, what came before it is in there.
    pub fn answer_body(&mut self, head: &Head, body: &mut Vec<u8>) -> Result<(), Broken> {
        match head.length()? {
            _ if head.is_chunked() => self.chunks(body),
            Some(length) => self.exactly(length, body),
            None => self.until_the_end(body),
        }
    }

    /// Reads the body of a request: without a length it has none.
    pub fn request_body(&mut self, head: &Head) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        match head.length()? {
            _ if head.is_chunked() => self.chunks(&mut body)?,
            length => self.exactly(length.unwrap_or(0), &mut body)?,
        }
        Ok(body)
    }

    /// Counts what comes until the end of the connection.
    pub fn leftover(&mut self) -> (usize, Result<(), Broken>) {
        let mut rest = Vec::new();
        let end = self.until_the_end(&mut rest);
        (rest.len(), end)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| Broken::Garbled(format!("chunk size {line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.exactly(size, body)?;
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Broken::Garbled(format!("{end:?} after a chunk")));
            }
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), Broken> {
        let mut missing = length;
        loop {
            let here = missing.min(self.buffer.len());
            body.extend(self.buffer.drain(..here));
            missing -= here;
            if missing == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn until_the_end(&mut self, body: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            body.append(&mut self.buffer);
            match self.fill() {
                Ok(()) => {}
                Err(Broken::Closed) => return Ok(()),
                Err(broken) => return Err(broken),
            }
        }
    }

    /// Waits for at least one more byte.
    fn fill(&mut self) -> Result<(), Broken> {
        let mut piece = [0; 4096];
        let count = loop {
            if Instant::now() >= self.until {
                return Err(Broken::Late);
            }
            self.stream.set_read_timeout(Some(left(self.until)))?;
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 {
            return Err(Broken::Closed);
        }
        self.first_byte.get_or_insert_with(Stamp::now);
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(())
    }
}

/// The time to `until`, never zero: the system takes zero for "without a bound".
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
