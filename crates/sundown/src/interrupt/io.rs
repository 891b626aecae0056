//! Readers and writers of `futures-io`: what is interrupted fails, and says why.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{Interrupt, Interrupted};

impl Interrupted {
    /// Whether an input or output has failed because it was interrupted.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = std::io::Error::from(sundown::Interrupted);
    /// assert!(sundown::Interrupted::caused(&error));
    /// assert!(!sundown::Interrupted::caused(&std::io::ErrorKind::Interrupted.into()));
    /// ```
    pub fn caused(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Interrupted>())
    }
}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        io::Error::other(interrupted)
    }
}

/// The error of an interruption among those of the input and output.
fn or_failed<R>(polled: Poll<Result<io::Result<R>, Interrupted>>) -> Poll<io::Result<R>> {
    polled.map(|ended| ended?)
}

impl<T: AsyncRead> AsyncRead for Interrupt<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        or_failed(self.poll_input(cx, |value, cx| value.poll_read(cx, buf)))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        or_failed(self.poll_input(cx, |value, cx| value.poll_read_vectored(cx, bufs)))
    }
}

impl<T: AsyncWrite> AsyncWrite for Interrupt<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        or_failed(self.poll_output(cx, |value, cx| value.poll_write(cx, buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        or_failed(self.poll_output(cx, |value, cx| value.poll_write_vectored(cx, bufs)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        or_failed(self.poll_ending(cx, T::poll_flush))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        or_failed(self.poll_ending(cx, T::poll_close))
    }
}
