//! The bytes under a client: of a socket, or of TLS on one.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned};

use super::End;

/// How long a byte is waited for: more than any shutdown here takes.
const BOUND: Duration = Duration::from_secs(15);

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::plain(TcpStream::connect_timeout(&address, BOUND)?)
    }

    pub(super) fn plain(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(BOUND))?;
        socket.set_write_timeout(Some(BOUND))?;
        Ok(Stream::Plain(socket))
    }

    /// Shakes hands.
    pub(super) fn secure(self, connection: ClientConnection) -> io::Result<Self> {
        let Stream::Plain(socket) = self else { panic!("it is secure") };
        let mut tls = StreamOwned::new(connection, socket);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Stream::Tls(Box::new(tls)))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(tls) => {
                tls.write_all(bytes)?;
                // Writing hides the socket's errors.
                tls.flush()
            }
        }
    }

    pub(super) fn half_close(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = self {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Reads some bytes, or the end.
    pub(super) fn read(&mut self, into: &mut Vec<u8>) -> Result<(), End> {
        let mut some = [0; 16 * 1024];
        let read = match self {
            Stream::Plain(socket) => socket.read(&mut some),
            Stream::Tls(tls) => match tls.read(&mut some) {
                // This is the close_notify; the end of the connection is still to come.
                Ok(0) => match tls.sock.read(&mut some) {
                    Ok(read) if read > 0 => panic!("{read} bytes after a close_notify"),
                    end => end,
                },
                read => read,
            },
        };
        match read {
            Ok(0) => Err(End::Fin),
            Ok(read) => {
                into.extend_from_slice(&some[..read]);
                Ok(())
            }
            Err(error) => Err(match error.kind() {
                io::ErrorKind::WouldBlock => End::None,
                // So rustls says that there was no close_notify.
                io::ErrorKind::UnexpectedEof => End::Ragged,
                io::ErrorKind::InvalidData => panic!("no TLS: {error}"),
                _ => End::Reset,
            }),
        }
    }

    pub(super) fn read_to_end(&mut self, into: &mut Vec<u8>) -> End {
        loop {
            if let Err(end) = self.read(into) {
                return end;
            }
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("socket", self.socket()).field("is_secure", &self.is_secure()).finish()
    }
}
