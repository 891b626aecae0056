//! Connections over the loopback interface: one side is the runtime's, the other a plain blocking socket.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc::Sender},
};

use sundown::{Accept, Transport};

use super::stage::Stage;
use crate::conformance::trial::{Checked, OrBroken};

/// Both ends of a connection.
pub(super) struct Pair {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) client: TcpStream,
}

impl Stage {
    /// A listener inside the runtime.
    pub(super) fn listen(&self) -> Checked<(Box<dyn Accept>, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").or_broken("a listener on 127.0.0.1")?;
        listener.set_nonblocking(true).or_broken("a non-blocking listener")?;
        let address = listener.local_addr().or_broken("the listener's address")?;
        let runtime = self.runtime();
        // Inside, as a server does it.
        let adopted = self.run("a task that calls `adopt`", async move { runtime.adopt(listener) })?;
        Ok((adopted.or_broken("`adopt`")?, address))
    }

    /// A client whose reads and writes end with the patience.
    pub(super) fn connect(&self, address: SocketAddr) -> Checked<TcpStream> {
        let client = TcpStream::connect(address).or_broken("a connection to 127.0.0.1")?;
        client.set_read_timeout(Some(self.patience())).or_broken("a read time-out")?;
        client.set_write_timeout(Some(self.patience())).or_broken("a write time-out")?;
        Ok(client)
    }

    pub(super) fn pair(&self) -> Checked<Pair> {
        let (mut listener, address) = self.listen()?;
        let client = self.connect(address)?;
        let accepted = self.run("a client to be accepted", async move { accept(&mut *listener).await })?;
        let (transport, _) = accepted.or_broken("`poll_accept`")?;
        Ok(Pair { transport, client })
    }
}

pub(super) async fn accept(listener: &mut dyn Accept) -> io::Result<(Arc<dyn Transport>, SocketAddr)> {
    poll_fn(|cx| listener.poll_accept(cx)).await
}

pub(super) async fn read(transport: &dyn Transport, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| transport.poll_read(cx, buf)).await
}

/// The same, and tells each time it has to wait.
pub(super) async fn read_telling(
    transport: &dyn Transport,
    buf: &mut [u8],
    waits: &Sender<()>,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let polled = transport.poll_read(cx, buf);
        if polled.is_pending() {
            let _ = waits.send(());
        }
        polled
    })
    .await
}

pub(super) async fn write(transport: &dyn Transport, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    taken(poll_fn(|cx| transport.poll_write_vectored(cx, bufs)).await?, bufs)
}

/// Some of what there was to take, and not nothing: so a loop of writes comes to its end.
fn taken(some: usize, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let all = bufs.iter().map(|buffer| buffer.len()).sum();
    match (1..=all).contains(&some) {
        true => Ok(some),
        false => Err(io::Error::other(format!("it says that it took {some} of {all} bytes"))),
    }
}

/// No socket's buffers take more.
const MOST: usize = 1 << 30;

/// Writes until the socket is full; tells that; ends when there is room again. Returns how much it wrote in all.
pub(super) async fn fill(transport: &dyn Transport, full: &Sender<()>) -> io::Result<usize> {
    let chunk = vec![b'x'; 256 * 1024];
    let bufs = [IoSlice::new(&chunk)];
    let (mut written, mut waited) = (0, false);
    while !waited {
        if written > MOST {
            return Err(io::Error::other(format!("it took {written} bytes that nobody reads")));
        }
        let some = poll_fn(|cx| {
            let polled = transport.poll_write_vectored(cx, &bufs);
            if polled.is_pending() {
                waited = true;
                let _ = full.send(());
            }
            polled
        })
        .await?;
        written += taken(some, &bufs)?;
    }
    Ok(written)
}

/// Whose connection the descriptor is, as the system knows it.
pub(super) fn peer_of(transport: &dyn Transport) -> io::Result<SocketAddr> {
    let peer = rustix::net::getpeername(transport)?.ok_or(io::ErrorKind::NotConnected)?;
    Ok(SocketAddr::try_from(peer)?)
}
