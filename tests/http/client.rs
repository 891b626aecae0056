//! A client that sends what it is told and keeps every byte it gets.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::{Reply, Transcript, stream::Stream};

/// One connection, in clear or over [TLS](super::Tls::connect).
#[derive(Debug)]
pub struct Client {
    stream: Stream,
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
        Ok(Self::over(Stream::connect(address)?))
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
            Ok(Self::over(Stream::plain(TcpStream::from(socket))?))
        };
        connect().unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    pub(super) fn over(stream: Stream) -> Self {
        Client { stream, unread: Vec::new() }
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
        self.stream.send(bytes.as_ref())
    }

    /// Ends our side; the other may still send.
    ///
    /// # Panics
    ///
    /// When the connection is broken.
    pub fn half_close(&mut self) {
        self.stream.half_close().expect("the connection stands");
    }

    /// Resets the connection.
    ///
    /// # Panics
    ///
    /// When the system refuses the option.
    pub fn reset(self) {
        sockopt::set_socket_linger(self.stream.socket(), Some(Duration::ZERO)).expect("it is a socket");
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
            self.read_more();
        }
    }

    /// Reads until so many bytes have come, which stay unread.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub fn wait_for_bytes(&mut self, count: usize) {
        while self.unread.len() < count {
            self.read_more();
        }
    }

    fn read_more(&mut self) {
        if let Err(end) = self.stream.read(&mut self.unread) {
            panic!("{end:?} instead of more after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Reads to the end of the connection.
    pub fn end(mut self) -> Transcript {
        let end = self.stream.read_to_end(&mut self.unread);
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
