//! Non-blocking sockets of the standard library's that wait in a reactor, with I/O through `&self`.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    task::{Context, Poll},
};

use sundown::{Accept, Transport};

use super::reactor::{Direction, Reactor};

/// A socket and where it waits.
struct Registered<S: AsFd> {
    socket: Arc<S>,
    reactor: Reactor,
}

impl<S: AsFd + Send + Sync + 'static> Registered<S> {
    /// Tries at once; waits only when the system says that it would block.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        way: Direction,
        mut io: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match io(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.reactor.wait_for(self.socket.clone(), way, cx.waker())?;
                    return Poll::Pending;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

impl<S: AsFd> Drop for Registered<S> {
    fn drop(&mut self) {
        self.reactor.forget(&*self.socket);
    }
}

pub struct Listener(Registered<TcpListener>);

impl Listener {
    pub fn new(listener: TcpListener, reactor: Reactor) -> Self {
        Listener(Registered { socket: Arc::new(listener), reactor })
    }
}

impl Accept for Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, SocketAddr)>> {
        self.0.poll(cx, Direction::Read, TcpListener::accept).map(|accepted| {
            let (stream, peer) = accepted?;
            stream.set_nonblocking(true)?;
            let stream = Registered { socket: Arc::new(stream), reactor: self.0.reactor.clone() };
            Ok((Arc::new(Stream(stream)) as Arc<dyn Transport>, peer))
        })
    }
}

struct Stream(Registered<TcpStream>);

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }
}

impl Transport for Stream {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll(cx, Direction::Read, |mut stream| stream.read(buf))
    }

    fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll(cx, Direction::Write, |mut stream| stream.write_vectored(bufs))
    }
}
