//! What the server, its connections and the rescue share.

use std::{
    io::{self, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    task::Wake,
};

use futures_util::task::AtomicWaker;
use slab::Slab;
use sundown::{Deadline, Gate, Handle, Readiness, Receipt, Runtime, Watch};

use super::config::Config;
use crate::{
    answer::Wording,
    conn::Conn,
    phase::{Phase, PhaseCell},
    traffic::Traffic,
};

pub(crate) struct Shared {
    pub(crate) listener: TcpListener,
    pub(crate) gate: Gate,
    config: Mutex<Config>,
    phase: PhaseCell,
    /// Every connection that a task drives, and those whose task is gone while their client waits. Locked once when a
    /// connection comes and once when it goes; nothing is called under it.
    conns: Mutex<Slab<Arc<Conn>>>,
    pub(super) serving: OnceLock<Serving>,
    pub(super) watch: OnceLock<Watch>,
    pub(super) deadline: OnceLock<Deadline>,
    pub(super) receipt: OnceLock<Receipt>,
    pub(super) accepting: AtomicWaker,
    bell: (UnixStream, UnixStream),
    /// A descriptor to give up when there is no other: one client at a time can be accepted with it.
    spare: Mutex<Option<UnixStream>>,
    deaf: AtomicBool,
    between: AtomicBool,
    pub(super) answered: AtomicU64,
    pub(super) cut: AtomicU64,
}

pub(super) struct Serving {
    pub(super) runtime: Arc<dyn Runtime>,
    readiness: Readiness,
    pub(super) traffic: Traffic,
}

impl Shared {
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let bell = UnixStream::pair()?;
        bell.0.set_nonblocking(true)?;
        bell.1.set_nonblocking(true)?;
        Ok(Shared {
            spare: Mutex::new(Some(bell.0.try_clone()?)),
            listener,
            gate: Gate::new(),
            config: Mutex::default(),
            phase: PhaseCell::default(),
            conns: Mutex::default(),
            serving: OnceLock::new(),
            watch: OnceLock::new(),
            deadline: OnceLock::new(),
            receipt: OnceLock::new(),
            accepting: AtomicWaker::new(),
            bell,
            deaf: AtomicBool::new(false),
            between: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        })
    }

    /// Whether a shutdown will end it.
    pub(super) fn is_component(&self) -> bool {
        self.watch.get().is_some()
    }

    pub(super) fn begin_serving(&self, shutdown: &Handle) -> io::Result<()> {
        let runtime = shutdown.runtime().clone();
        let traffic = Traffic::new(runtime.now());
        let serving = Serving { runtime, readiness: shutdown.readiness(), traffic };
        self.serving.set(serving).map_err(|_| io::Error::other("this server serves already"))
    }

    pub(super) fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wording(&self) -> Wording {
        self.config().wording.clone()
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// Whether the shutdown has begun, though it may not be the server's turn.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_draining() || self.watch.get().is_some_and(Watch::is_draining)
    }

    #[inline]
    pub(crate) fn runtime(&self) -> Option<&Arc<dyn Runtime>> {
        self.serving.get().map(|serving| &serving.runtime)
    }

    pub(crate) fn readiness(&self) -> Option<&Readiness> {
        self.serving.get().map(|serving| &serving.readiness)
    }

    /// A request has come.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.phase() != Phase::Draining {
            return;
        }
        if let Some(serving) = self.serving.get() {
            serving.traffic.touch(serving.runtime.now());
        }
    }

    /// A connection has come, which may be a request on its way.
    pub(crate) fn expect(&self) -> Option<usize> {
        let serving = self.serving.get().filter(|_| self.phase() == Phase::Draining)?;
        Some(serving.traffic.expect(serving.runtime.now()))
    }

    pub(crate) fn expect_no_more(&self, connection: usize) {
        if let Some(serving) = self.serving.get() {
            serving.traffic.expect_no_more(connection);
        }
    }

    pub(crate) fn register(&self, conn: Arc<Conn>) -> usize {
        self.conns.lock().unwrap_or_else(PoisonError::into_inner).insert(conn)
    }

    pub(crate) fn unregister(&self, conn: &Conn) {
        let Some(slot) = conn.slot() else { return };
        let conn = self.conns.lock().unwrap_or_else(PoisonError::into_inner).try_remove(slot);
        drop(conn);
    }

    /// For a connection whose task is gone, and which stood here only because its client waited.
    pub(crate) fn unregister_if_closed(&self, conn: &Conn) {
        if conn.word.is_orphan() {
            self.unregister(conn);
        }
    }

    pub(crate) fn conns(&self) -> Vec<Arc<Conn>> {
        let conns = self.conns.lock().unwrap_or_else(PoisonError::into_inner);
        conns.iter().map(|(_, conn)| conn.clone()).collect()
    }

    /// Newcomers are refused from here on: better than reset when the process ends. (Whose handshake is under way is
    /// reset; the caller has just found the queue empty.)
    pub(crate) fn stop_listening(&self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        // SeqCst, with `set_accepting`: either the acceptor sees it, or the rescue that the acceptor is at it.
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// Closes the spare descriptor. Returns whether it was still there.
    pub(crate) fn give_up_spare(&self) -> bool {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// A connection may be between the accept queue and the registry.
    pub(super) fn set_accepting(&self, accepting: bool) {
        // SeqCst: the rescue looks at this and then at the registry; the acceptor at the queue and then writes both.
        self.between.store(accepting, Ordering::SeqCst);
        if !accepting {
            self.ring();
        }
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.between.load(Ordering::SeqCst)
    }

    pub(crate) fn is_listening(&self) -> bool {
        !self.deaf.load(Ordering::SeqCst)
    }

    pub(crate) fn shares_listener(&self) -> bool {
        self.config().shared_listener
    }

    /// Goes on, and tells every connection's task.
    pub(super) fn advance(&self, to: Phase) {
        if self.phase.advance(to) {
            // Pairs with the fence in `ring`: either the rescue, which looks at the words after this, sees that a
            // connection has moved, or whoever moved it sees the phase and rings.
            fence(Ordering::SeqCst);
            for conn in self.conns() {
                self.wake(&conn);
            }
            let _ = catch_unwind(AssertUnwindSafe(|| self.accepting.wake()));
        }
    }

    /// Wakes a connection's task. Wakers are foreign code: one that panics keeps nobody else asleep.
    pub(crate) fn wake(&self, conn: &Conn) {
        let _ = catch_unwind(AssertUnwindSafe(|| conn.task.wake()));
        if let Some(streams) = conn.streams() {
            streams.wake();
        }
    }

    /// Tells the rescue that a connection has moved.
    #[inline]
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.phase() >= Phase::Answering {
            // A full pipe has been rung already.
            let _ = (&self.bell.0).write(&[1]);
        }
    }

    /// What becomes readable when the bell rings.
    pub(crate) fn bell(&self) -> &UnixStream {
        &self.bell.1
    }

    pub(crate) fn silence_bell(&self) {
        let mut rings = [0; 256];
        while (&self.bell.1).read(&mut rings).is_ok_and(|read| read == rings.len()) {}
    }

    pub(crate) fn count_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whoever waits for the rescue rings its bell.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
