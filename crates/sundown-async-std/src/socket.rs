//! async-std's TCP sockets with I/O through `&self`.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_std::net::{TcpListener, TcpStream};
use futures_util::{AsyncRead, AsyncWrite};
use sundown::{Accept, BoxFuture, Transport};

type Accepted = io::Result<(TcpStream, SocketAddr)>;

pub(crate) struct Listener {
    listener: Arc<TcpListener>,
    /// The accept under way: async-std has no way to poll for one.
    next: Option<BoxFuture<'static, Accepted>>,
}

impl Listener {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Listener { listener: Arc::new(listener), next: None }
    }
}

impl Accept for Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, SocketAddr)>> {
        let listener = &self.listener;
        let next = self.next.get_or_insert_with(|| {
            let listener = listener.clone();
            Box::pin(async move { listener.accept().await })
        });
        let accepted = ready!(next.as_mut().poll(cx));
        self.next = None;
        let (stream, peer) = accepted?;
        Poll::Ready(Ok((Arc::new(Stream(stream)), peer)))
    }
}

struct Stream(TcpStream);

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Transport for Stream {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.0).poll_read(cx, buf)
    }

    fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.0).poll_write_vectored(cx, bufs)
    }
}
