//! Readers and writers of tokio's that fail when the service shuts down.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use sundown::Interrupted;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pin_project_lite::pin_project! {
    /// A reader and writer of tokio's whose reads and writes fail when the service shuts down: what
    /// [`sundown::Interrupt`] is to those of `futures-io`, and made of it.
    ///
    /// An idle read is woken, as is a write that nobody takes, also in the halves of a stream that was split. They fail
    /// with [`Interrupted`]. What came before the moment and is ready is read; after it nothing is begun, but for a flush
    /// or a shutdown of the stream, which is tried once more.
    ///
    /// For a stream that is given away. Who reads it himself interrupts the read: `watch.interrupt(stream.read(buf))`.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as what it wraps: it keeps no bytes of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io, time::Duration};
    /// use sundown::{Interrupted, Shutdown};
    /// use sundown_tokio::{Interrupt, Tokio};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let shutdown = Shutdown::embedded(Tokio::current()).grace(Duration::from_secs(2)).start()?;
    /// let (stream, _idle) = tokio::io::duplex(64);
    /// let mut stream = Interrupt::from(shutdown.watch().interrupt(stream));
    /// let reads = tokio::spawn(async move { stream.read_u8().await });
    /// shutdown.begin("the example is over");
    /// assert!(Interrupted::caused(&reads.await?.unwrap_err()));
    /// # Ok(()) }
    /// ```
    #[derive(Debug)]
    pub struct Interrupt<T> {
        #[pin]
        inner: sundown::Interrupt<T>,
    }
}

impl<T> Interrupt<T> {
    /// What is wrapped.
    pub fn get_ref(&self) -> &T {
        self.inner.get_ref()
    }

    /// What is wrapped, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// What is wrapped, to go on without being interrupted.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T> From<sundown::Interrupt<T>> for Interrupt<T> {
    fn from(inner: sundown::Interrupt<T>) -> Self {
        Interrupt { inner }
    }
}

/// The error of an interruption among those of the input and output.
fn or_failed<R>(polled: Poll<Result<io::Result<R>, Interrupted>>) -> Poll<io::Result<R>> {
    polled.map(|ended| ended?)
}

impl<T: AsyncRead> AsyncRead for Interrupt<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        or_failed(self.project().inner.poll_input(cx, |value, cx| value.poll_read(cx, buf)))
    }
}

impl<T: AsyncWrite> AsyncWrite for Interrupt<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        or_failed(self.project().inner.poll_output(cx, |value, cx| value.poll_write(cx, buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        or_failed(self.project().inner.poll_output(cx, |value, cx| value.poll_write_vectored(cx, bufs)))
    }

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        or_failed(self.project().inner.poll_ending(cx, T::poll_flush))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        or_failed(self.project().inner.poll_ending(cx, T::poll_shutdown))
    }
}
