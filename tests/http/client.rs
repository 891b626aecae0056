//! A client that sends what it is told and keeps every byte it gets.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::Reply;

/// How long a byte is waited for: more than any shutdown here takes.
const BOUND: Duration = Duration::from_secs(15);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What has come and was not looked at yet.
    unread: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// Connects, if somebody listens.
    ///
    /// # Errors
    ///
    /// Those of `connect(2)`.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect_timeout(&address, BOUND)?)
    }

    /// Connects with so small a receive buffer that little of an answer fits into it.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let connect = || -> io::Result<Self> {
            let socket = rustix::net::socket_with(
                AddressFamily::INET,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )?;
            sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
            rustix::net::connect(&socket, &address)?;
            Self::new(TcpStream::from(socket))
        };
        connect().unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(BOUND))?;
        stream.set_write_timeout(Some(BOUND))?;
        Ok(Client { stream, unread: Vec::new() })
    }

    /// Connects, and sends `GET` with this job id.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    pub fn asking(address: SocketAddr, path: &str, id: &str) -> Self {
        let mut client = Self::connect(address);
        client.get(path, id);
        client
    }

    /// Sends `GET` with this job id.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub fn get(&mut self, path: &str, id: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\n\r\n"));
    }

    /// Sends these bytes.
    ///
    /// # Panics
    ///
    /// When they cannot be sent.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the service takes what is sent to it");
    }

    /// Sends these bytes, if the other side takes them.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Ends our side; the other may still send.
    ///
    /// # Panics
    ///
    /// When the connection is broken.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// Resets the connection.
    ///
    /// # Panics
    ///
    /// When the system refuses the option.
    pub fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("it is a socket");
    }

    /// The next answer on a connection that goes on. `method` is what was asked.
    ///
    /// # Panics
    ///
    /// When the connection ends before the answer does, or what comes is no answer.
    pub fn reply(&mut self, method: &str) -> Reply {
        loop {
            if let Some((reply, length)) = Reply::parse(&self.unread, method, false)
                && reply.is_whole
            {
                self.unread.drain(..length);
                return reply;
            }
            let more = self.read().expect("an answer comes");
            assert!(more > 0, "the connection ended: {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Reads until so many bytes have come, which stay unread.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub fn wait_for_bytes(&mut self, count: usize) {
        while self.unread.len() < count {
            let more = self.read().expect("bytes come");
            assert!(more > 0, "the connection ended: {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut some = [0; 16 * 1024];
        let read = self.stream.read(&mut some)?;
        self.unread.extend_from_slice(&some[..read]);
        Ok(read)
    }

    /// Reads to the end of the connection.
    pub fn end(mut self) -> Transcript {
        let end = loop {
            match self.read() {
                Ok(0) => break End::Fin,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break End::None,
                Err(_) => break End::Reset,
            }
        };
        Transcript { bytes: self.unread, end, at: Instant::now() }
    }

    /// The one answer that comes before a clean end. `method` is what was asked.
    ///
    /// # Panics
    ///
    /// When it is not whole, not alone, or the end is not clean.
    pub fn only_reply(self, method: &str) -> Reply {
        self.end().only_reply(method)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Fin,
    /// By a reset.
    Reset,
    /// Not at all, as long as we waited.
    None,
}

/// All that a client got, from where it had last looked.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Every byte.
    pub bytes: Vec<u8>,
    /// What came after the last one.
    pub end: End,
    /// When that came.
    pub at: Instant,
}

impl Transcript {
    /// The answers in it, to requests of these methods.
    ///
    /// # Panics
    ///
    /// When bytes are no answer, or belong to none.
    pub fn replies(&self, methods: &[&str]) -> Vec<Reply> {
        let mut rest = &self.bytes[..];
        let mut replies = Vec::new();
        let mut methods = methods.iter();
        while !rest.is_empty() {
            let method = methods.next().unwrap_or_else(|| panic!("bytes after the end: {self}"));
            let (reply, length) = Reply::parse(rest, method, self.end == End::Fin)
                .unwrap_or_else(|| panic!("cut in a head: {self}"));
            rest = &rest[length..];
            replies.push(reply);
        }
        replies
    }

    /// The one answer in it, which is whole and followed by nothing but a clean end.
    ///
    /// # Panics
    ///
    /// When it is not so.
    pub fn only_reply(&self, method: &str) -> Reply {
        let replies = self.replies(&[method]);
        assert_eq!(self.end, End::Fin, "{self}");
        let [reply] = &replies[..] else { panic!("no answer: {self}") };
        assert!(reply.is_whole, "cut: {self}");
        reply.clone()
    }

    /// Asserts that nothing came but a clean end.
    ///
    /// # Panics
    ///
    /// When it was not so.
    pub fn assert_silent(&self) {
        assert!(self.bytes.is_empty() && self.end == End::Fin, "{self}");
    }
}

impl std::fmt::Display for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.bytes[..self.bytes.len().min(2000)];
        write!(f, "{} bytes, {:?}: {:?}", self.bytes.len(), self.end, String::from_utf8_lossy(shown))
    }
}
