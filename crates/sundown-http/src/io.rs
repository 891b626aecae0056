//! hyper's I/O on a tracked connection: every read and write passes the state word.
//!
//! It leans on two things that hyper does and does not document, each pinned by a canary test: HTTP/1 calls
//! `poll_flush` here only with its own buffer empty, and it drops a response's body before it flushes the last of it.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::ReadBufCursor;

use crate::{
    chunk,
    conn::Conn,
    phase::Phase,
    preface::Protocol,
    server::Shared,
    word::{self, Flushed, Read},
};

/// How long an answered connection is read on for clients that still send: between two reads, and in all. What nginx
/// calls lingering close: <https://nginx.org/en/docs/http/ngx_http_core_module.html#lingering_close>, where they are 5 s
/// and 30 s.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_IN_ALL: Duration = Duration::from_secs(30);

pub(crate) struct TrackedIo {
    conn: Arc<Conn>,
    server: Arc<Shared>,
    /// What was read to tell the protocol, and hyper has not had yet. Most of a connection's life comes after it.
    #[expect(clippy::box_collection, reason = "one word of every connection instead of three")]
    ahead: Option<Box<Vec<u8>>>,
    lingering: Option<Box<Lingering>>,
}

struct Lingering {
    timer: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    ends: Instant,
}

impl TrackedIo {
    pub(crate) fn new(server: Arc<Shared>, conn: Arc<Conn>) -> Self {
        conn.set_expected(server.expect());
        conn.set_slot(server.register(conn.clone()));
        TrackedIo { conn, server, ahead: None, lingering: None }
    }

    pub(crate) fn conn(&self) -> &Arc<Conn> {
        &self.conn
    }

    pub(crate) fn server(&self) -> &Arc<Shared> {
        &self.server
    }

    /// Ends a connection that hyper never had.
    pub(crate) async fn end(mut self) {
        // It has nothing to say: an error is an end too.
        let _ = poll_fn(|cx| hyper::rt::Write::poll_shutdown(Pin::new(&mut self), cx)).await;
    }

    /// Reads on until it is known what the peer speaks; `None` if the connection ends before.
    pub(crate) fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Protocol>>> {
        loop {
            let Ok(reading) = self.conn.word.start_read() else { return Poll::Ready(Ok(None)) };
            let ahead = self.ahead.get_or_insert_default();
            let result = chunk::with(|chunk| {
                self.conn.poll_read(cx, chunk).map_ok(|bytes| {
                    self.conn.note_read(&chunk[..bytes]);
                    ahead.extend_from_slice(&chunk[..bytes]);
                    bytes
                })
            });
            let has_read = matches!(result, Poll::Ready(Ok(bytes)) if bytes > 0);
            let told = if has_read { self.conn.tell(ahead) } else { None };
            let read = match told {
                Some(Protocol::Http1) => Read::Head,
                Some(Protocol::Http2) => Read::Preface,
                None if has_read => Read::Untold,
                None => Read::Nothing,
            };
            self.conn.word.end_read(reading, read);
            if ready!(result)? == 0 || told.is_some() {
                return Poll::Ready(Ok(told));
            }
        }
    }

    /// Hands on what was read before hyper was there.
    #[cold]
    fn read_ahead(&mut self, buf: &mut ReadBufCursor<'_>) {
        let Some(ahead) = &mut self.ahead else { return };
        if self.conn.word.phase() != word::Phase::Taken {
            let room = ahead.len().min(buf.remaining());
            buf.put_slice(&ahead[..room]);
            ahead.drain(..room);
        }
        if ahead.is_empty() {
            self.ahead = None;
        }
    }

    /// All that hyper has written is in the socket.
    #[inline]
    fn flushed(&self) {
        match self.conn.word.flushed() {
            Flushed::Nothing => {}
            Flushed::Other => self.server.ring(),
            Flushed::Response => {
                self.conn.set_exchange(None);
                self.server.ring();
            }
        }
    }

    fn write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let taken = || io::Error::from(io::ErrorKind::BrokenPipe);
        if self.conn.word.is_responding() {
            // It is the runtime's until all of it is written.
            return self.conn.poll_write_vectored(cx, bufs);
        }
        if self.conn.exchange().is_none() {
            // hyper refuses what it could not read; more of it may come.
            self.conn.set_lingers(true);
        }
        self.conn.word.start_write().map_err(|_| taken())?;
        let result = self.conn.poll_write_vectored(cx, bufs);
        self.conn.word.end_write();
        result
    }
}

impl hyper::rt::Read for TrackedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_some() {
            this.read_ahead(&mut buf);
            return Poll::Ready(Ok(()));
        }
        let conn = &*this.conn;
        if conn.is_drained() {
            return Poll::Pending;
        }
        let Ok(reading) = conn.word.start_read() else {
            // The rescue answers; hyper sees an end.
            return Poll::Ready(Ok(()));
        };
        chunk::with(|chunk| {
            let room = chunk.len().min(buf.remaining());
            match conn.poll_read(cx, &mut chunk[..room]) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {
                    conn.word.end_read(reading, Read::Head);
                    let read = &chunk[..bytes];
                    conn.note_read(read);
                    buf.put_slice(read);
                    Poll::Ready(Ok(()))
                }
                result => {
                    conn.word.end_read(reading, Read::Nothing);
                    if result.is_pending() {
                        conn.note_drained();
                    }
                    result.map_ok(drop)
                }
            }
        })
    }
}

impl hyper::rt::Write for TrackedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.conn.poll_flush(cx))?;
        self.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            if this.conn.word.finish().is_err() {
                // The rescue's from here on.
                return Poll::Ready(Ok(()));
            }
            match ready!(this.conn.poll_farewell(cx)) {
                Ok(()) => this.flushed(),
                // The rescue tells it, and its word is not out yet.
                Err(_) if this.conn.word.phase() == word::Phase::Taken => return Poll::Ready(Ok(())),
                // Who cannot be told is left all the same.
                Err(_) => {}
            }
            this.conn.half_close();
            if this.conn.word.phase() == word::Phase::Upgraded {
                // What its peer still sends is its owner's to read.
                return Poll::Ready(Ok(()));
            }
        }
        let Some(runtime) = this.server.runtime() else { return Poll::Ready(Ok(())) };
        let lingering = match &mut this.lingering {
            Some(lingering) => lingering,
            // While draining, a request may cross the end of an idle connection: it is met by the end, not by a reset.
            None if !this.conn.must_linger() && !this.server.is_draining() => return Poll::Ready(Ok(())),
            None => {
                let now = runtime.now();
                let timer = runtime.sleep_until(now + LINGER);
                this.lingering.insert(Box::new(Lingering { timer, ends: now + LINGER_IN_ALL }))
            }
        };
        while lingering.timer.as_mut().poll(cx).is_pending() {
            match ready!(chunk::with(|chunk| this.conn.transport.poll_read(cx, chunk))) {
                Ok(bytes) if bytes > 0 => {
                    lingering.timer = runtime.sleep_until((runtime.now() + LINGER).min(lingering.ends));
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TrackedIo {
    fn drop(&mut self) {
        if let Some(expected) = self.conn.take_expected() {
            self.server.expect_no_more(expected);
        }
        // A response that ends here, with a panic or its runtime, must not look complete.
        self.conn.prepare_cut();
        let rescued = self.server.is_announced() && self.server.phase() < Phase::Forced;
        let waits = self.conn.word.close(rescued, self.conn.has_bytes());
        if waits || self.conn.word.phase() == word::Phase::Taken {
            // The handler is gone, with its runtime or by a panic, and its client is not: the rescue answers, or is about
            // to. What is left of the job goes where jobs go that are dropped; the exchange stays, for its fate.
            if let Some(exchange) = self.conn.exchange() {
                exchange.end();
            }
        } else {
            self.conn.set_exchange(None);
        }
        if !waits {
            self.server.unregister(&self.conn);
        }
        self.server.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::{
            fd::{AsFd, BorrowedFd},
            unix::net::UnixStream,
        },
        sync::atomic::{AtomicU32, Ordering},
        task::{Wake, Waker},
    };

    use http::Request;
    use sundown::{Gate, Transport};

    use super::*;
    use crate::{conn::silent::Silent, exchange::Exchange, word::Took};

    #[test]
    fn a_head_that_came_in_pieces_has_an_end() {
        let conn = Conn::new(Arc::new(Silent(UnixStream::pair().unwrap().0)));
        for cut in 0..=18 {
            let head = b"GET / HTTP/1.1\r\n\r\n";
            conn.note_read(&head[..cut]);
            assert!(conn.ends_open() || cut == 18, "{cut}");
            conn.note_read(&head[cut..]);
            assert!(!conn.ends_open(), "{cut}");
        }
    }

    #[test]
    fn the_rescue_knows_what_it_has_taken_though_the_task_drops_its_side_at_once() {
        let server = Arc::new(Shared::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap());
        let conn = Arc::new(Conn::new(Arc::new(Silent(UnixStream::pair().unwrap().0))));
        let io = TrackedIo::new(server, conn.clone());
        conn.word.begin_request(false, false).unwrap();
        let guard = Gate::new().enter().unwrap();
        let exchange = Exchange::new(&Request::new(()), false, guard);
        conn.set_exchange(Some(Arc::new(exchange)));
        assert_eq!(conn.word.try_take(), Some(Took::Exchange));
        drop(io);
        assert!(conn.exchange().is_some(), "the answer depends on it");
    }

    /// Has nothing to read, and counts who asks.
    struct Asked(UnixStream, AtomicU32);

    impl AsFd for Asked {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Transport for Asked {
        fn poll_read(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }

        fn poll_write_vectored(&self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    #[test]
    fn an_idle_connection_is_read_once_a_turn_and_one_that_is_its_own_whenever_it_likes() {
        let server = Arc::new(Shared::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap());
        let asked = Arc::new(Asked(UnixStream::pair().unwrap().0, AtomicU32::new(0)));
        let conn = Arc::new(Conn::new(asked.clone()));
        let mut io = TrackedIo::new(server, conn.clone());
        let mut reads = |times| {
            for _ in 0..times {
                let mut bytes = [0; 16];
                let mut buf = hyper::rt::ReadBuf::new(&mut bytes);
                let cx = &mut Context::from_waker(Waker::noop());
                assert!(hyper::rt::Read::poll_read(Pin::new(&mut io), cx, buf.unfilled()).is_pending());
            }
            asked.1.swap(0, Ordering::Relaxed)
        };
        assert_eq!(reads(3), 1);
        conn.begin_turn();
        assert_eq!(reads(3), 1, "another turn");
        conn.word.begin_request(false, false).unwrap();
        conn.word.upgrade().unwrap();
        assert_eq!(reads(3), 3, "its own");
    }

    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_was_taken_with_nothing_on_it_is_not_woken_again() {
        let server = Arc::new(Shared::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap());
        let taken = [false, true].map(|asks| {
            let conn = Arc::new(Conn::new(Arc::new(Silent(UnixStream::pair().unwrap().0))));
            let io = TrackedIo::new(server.clone(), conn.clone());
            let woken = Arc::new(Woken(AtomicU32::new(0)));
            conn.task.register(&Waker::from(woken.clone()));
            if asks {
                conn.word.begin_request(false, false).unwrap();
                let exchange = Exchange::new(&Request::new(()), false, Gate::new().enter().unwrap());
                conn.set_exchange(Some(Arc::new(exchange)));
            }
            assert!(conn.word.try_take().is_some());
            (io, woken)
        });
        server.go_on(Phase::Forced);
        let wakes = taken.map(|(_io, woken)| woken.0.load(Ordering::Relaxed));
        assert_eq!(wakes, [0, 1], "idle, and with a request");
    }
}
