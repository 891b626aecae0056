//! A tracked connection: its state word, its socket, and the exchange on it.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use futures_util::task::AtomicWaker;
use rustix::net::{RecvFlags, Shutdown};
use sundown::Transport;

use crate::{
    exchange::Exchange,
    preface::{self, Protocol},
    ramp::Rank,
    streams::Streams,
    tls::{Alpn, Tls},
    word::{Phase, Word},
};

pub(crate) struct Conn {
    pub(crate) word: Word,
    pub(crate) transport: Arc<dyn Transport>,
    /// What lies between the transport and HTTP, if anything does.
    tls: Option<Box<Tls>>,
    /// The connection's task, which polls the handler too.
    pub(crate) task: AtomicWaker,
    /// Bytes of a request may be unread when it is answered: linger, lest they destroy the answer (RFC 9112 § 9.6).
    lingers: AtomicBool,
    /// The response ends with the connection: an end that looks clean means *complete* (RFC 9112 § 8).
    close_delimited: AtomicBool,
    /// The last three bytes that were read.
    last_read: AtomicU32,
    /// Its place among the connections that have shown nothing yet; `NOT_EXPECTED` if it is none of them.
    expected: AtomicUsize,
    /// Until when it may take to send its first byte, if it came after the announcement and has not.
    newcomer: Option<Instant>,
    /// Its place in the server's registry; `NO_SLOT` until it has one.
    slot: AtomicUsize,
    /// Its moment to leave has come.
    leaves: AtomicBool,
    /// A read of HTTP/1 has found nothing since its task was last woken: the transport wakes it when there is more.
    drained: AtomicBool,
    exchange: Mutex<Option<Arc<Exchange>>>,
    /// Those of HTTP/2, if it speaks that.
    streams: OnceLock<Arc<Streams>>,
}

const NOT_EXPECTED: usize = usize::MAX;
const NO_SLOT: usize = usize::MAX;

impl Conn {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Conn {
            word: Word::default(),
            transport,
            tls: None,
            task: AtomicWaker::new(),
            lingers: AtomicBool::new(false),
            close_delimited: AtomicBool::new(false),
            last_read: AtomicU32::new(0),
            expected: AtomicUsize::new(NOT_EXPECTED),
            newcomer: None,
            slot: AtomicUsize::new(NO_SLOT),
            leaves: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            exchange: Mutex::default(),
            streams: OnceLock::new(),
        }
    }

    /// The same, come late: a request is on its way.
    pub(crate) fn late(mut self, until: Instant) -> Self {
        self.newcomer = Some(until);
        self
    }

    /// The same over TLS.
    pub(crate) fn over(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls.map(Box::new);
        self
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    #[inline]
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &self.tls {
            None => self.transport.poll_read(cx, buf),
            Some(tls) => tls.poll_read(cx, &*self.transport, buf),
        }
    }

    #[inline]
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.tls {
            None => self.transport.poll_write_vectored(cx, bufs),
            Some(tls) => tls.poll_write_vectored(cx, &*self.transport, bufs),
        }
    }

    /// Ready once the socket has all that was written.
    #[inline]
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => tls.poll_flush(cx, &*self.transport),
        }
    }

    /// Tells the peer that nothing follows, where there is a word for that besides FIN; ready once the socket has it.
    pub(crate) fn poll_farewell(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => tls.poll_close_notify(cx, &*self.transport),
        }
    }

    /// What the peer speaks, as its first bytes tell, or the handshake has; `None` if they are too few to know.
    pub(crate) fn tell(&self, first: &[u8]) -> Option<Protocol> {
        match self.tls.as_ref().and_then(|tls| tls.alpn()) {
            Some(Alpn::Http1) if !first.is_empty() => Some(Protocol::Http1),
            Some(Alpn::Http2) if !first.is_empty() => Some(Protocol::Http2),
            _ => preface::tell(first),
        }
    }

    #[inline]
    pub(crate) fn exchange(&self) -> Option<Arc<Exchange>> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The request that is on it now; the one before it has been answered.
    #[inline]
    pub(crate) fn set_exchange(&self, exchange: Option<Arc<Exchange>>) {
        let mut current = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, exchange);
        drop(current);
        // If it is nobody else's, it ends by being dropped.
        if let Some(before) = before.filter(|before| Arc::strong_count(before) > 1) {
            before.end();
        }
    }

    /// It was taken with no request on it, and its task was told so: that ends, and nothing that comes changes it.
    pub(crate) fn is_left_to_the_rescue(&self) -> bool {
        self.word.phase() == Phase::Taken && self.exchange().is_none()
    }

    /// It speaks HTTP/2.
    pub(crate) fn open_streams(&self) -> Arc<Streams> {
        self.streams.get_or_init(Arc::default).clone()
    }

    pub(crate) fn streams(&self) -> Option<&Arc<Streams>> {
        self.streams.get()
    }

    /// Every exchange on it now.
    pub(crate) fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.streams().map_or_else(|| self.exchange().into_iter().collect(), |streams| streams.exchanges())
    }

    // Relaxed: only the connection's task writes and takes it.

    pub(crate) fn set_expected(&self, place: Option<usize>) {
        self.expected.store(place.unwrap_or(NOT_EXPECTED), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Relaxed) != NOT_EXPECTED
    }

    #[inline]
    pub(crate) fn take_expected(&self) -> Option<usize> {
        if !self.is_expected() {
            return None;
        }
        Some(self.expected.swap(NOT_EXPECTED, Ordering::Relaxed))
    }

    /// Until when to wait for its first byte.
    pub(crate) fn newcomer(&self) -> Option<Instant> {
        self.newcomer
    }

    // Relaxed: it is set before anybody else can ask.

    pub(crate) fn set_slot(&self, slot: usize) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    pub(crate) fn slot(&self) -> Option<usize> {
        Some(self.slot.load(Ordering::Relaxed)).filter(|slot| *slot != NO_SLOT)
    }

    /// What decides when it leaves.
    pub(crate) fn rank(&self) -> Rank {
        Rank { slot: self.slot().unwrap_or_default(), is_late: self.newcomer().is_some() }
    }

    // Relaxed, these: each is written by the connection's task before it gives the word away, which publishes it.

    pub(crate) fn set_leaves(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    // Relaxed, these too: only the task of HTTP/1 asks, and `is_drained` says when it is not that.

    /// The task goes on, and may be told of a read.
    #[inline]
    pub(crate) fn begin_turn(&self) {
        self.drained.store(false, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn note_drained(&self) {
        // TLS may go on reading after a write.
        self.drained.store(self.tls.is_none(), Ordering::Relaxed);
    }

    /// Whether a read in this turn of the task would find what the last one has: nothing, and a promise to be woken.
    /// hyper reads twice after a response, once to see whether the next request is there and once for its head. A
    /// connection that is its own has other tasks, with turns of which nobody tells us.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed) && self.word.phase() == Phase::Idle
    }

    #[inline]
    pub(crate) fn set_lingers(&self, lingers: bool) {
        self.lingers.store(lingers, Ordering::Relaxed);
    }

    /// Notes how far what was just read has come. A head may end in one read and have begun in another.
    #[inline]
    pub(crate) fn note_read(&self, read: &[u8]) {
        match read {
            [.., a, b, c] => self.last_read.store(u32::from_be_bytes([0, *a, *b, *c]), Ordering::Relaxed),
            few => self.note_few(few),
        }
    }

    #[cold]
    fn note_few(&self, read: &[u8]) {
        let before = self.last_read.load(Ordering::Relaxed);
        let last = read.iter().fold(before, |last, byte| (last << 8) | u32::from(*byte));
        self.last_read.store(last, Ordering::Relaxed);
    }

    /// Whether what was read last does not end with the end of a head.
    #[inline]
    pub(crate) fn ends_open(&self) -> bool {
        let [_, a, b, c] = self.last_read.load(Ordering::Relaxed).to_be_bytes();
        !matches!([a, b, c], [b'\n', b'\r', b'\n'] | [_, b'\n', b'\n'])
    }

    #[inline]
    pub(crate) fn set_close_delimited(&self, close_delimited: bool) {
        self.close_delimited.store(close_delimited, Ordering::Relaxed);
    }

    /// Whether bytes may come, or have come, that nobody will read.
    pub(crate) fn must_linger(&self) -> bool {
        self.lingers.load(Ordering::Relaxed) || self.has_bytes()
    }

    /// Whether there are bytes that the runtime has not read: in the kernel, or on their way through TLS.
    pub(crate) fn has_bytes(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unread()) || has_bytes(self.as_fd())
    }

    /// Ends our side; the peer may still send.
    pub(crate) fn half_close(&self) {
        // The peer may be gone already.
        let _ = rustix::net::shutdown(self, Shutdown::Write);
    }

    /// Makes the end of an unfinished response visible: where only a reset can, by a reset. (Over TLS it is visible
    /// unless the peer is told otherwise.)
    pub(crate) fn prepare_cut(&self) {
        if self.tls.is_none()
            && self.word.phase() == Phase::Responding
            && self.close_delimited.load(Ordering::Relaxed)
        {
            let _ = rustix::net::sockopt::set_socket_linger(self, Some(std::time::Duration::ZERO));
        }
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}

/// Whether the kernel holds bytes that nobody has read.
pub(crate) fn has_bytes(fd: BorrowedFd<'_>) -> bool {
    matches!(peek(fd, &mut [0]), Ok(bytes) if !bytes.is_empty())
}

/// The first bytes in the kernel's buffer, without reading them.
pub(crate) fn peek<'a>(fd: BorrowedFd<'_>, first: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let (bytes, _) = rustix::net::recv(fd, &mut *first, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    Ok(&first[..bytes])
}

#[cfg(test)]
pub(crate) mod silent {
    //! A socket whose runtime never gets to it.

    use super::*;

    pub(crate) struct Silent<S>(pub(crate) S);

    impl<S: AsFd> AsFd for Silent<S> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl<S: AsFd + Send + Sync + 'static> Transport for Silent<S> {
        fn poll_read(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write_vectored(&self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }
}
