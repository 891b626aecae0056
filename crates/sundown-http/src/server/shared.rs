//! What the server, its connections and the rescue share.

use std::{
    io,
    net::TcpListener,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use futures_util::task::AtomicWaker;
use slab::Slab;
use sundown::host::swallow;

use crate::{bell::Bell, conn::Conn, course::Course, phase::Phase};

/// A course with sockets: what is said of the one holds for the other.
pub(crate) struct Shared {
    course: Arc<Course>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) listener: TcpListener,
    /// Every connection that a task drives, and those whose task is gone while their client waits. Locked once when a
    /// connection comes and once when it goes; nothing is called under it.
    conns: Mutex<Slab<Arc<Conn>>>,
    pub(super) accepting: AtomicWaker,
    /// A descriptor to give up when there is no other: one client at a time can be accepted with it.
    spare: Mutex<Option<TcpListener>>,
    deaf: AtomicBool,
    between: AtomicBool,
}

impl Deref for Shared {
    type Target = Course;

    fn deref(&self) -> &Course {
        &self.course
    }
}

impl Shared {
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let bell = Arc::new(Bell::new()?);
        Ok(Shared {
            course: Arc::new(Course::with_bell(bell.clone())),
            spare: Mutex::new(Some(listener.try_clone()?)),
            bell,
            listener,
            conns: Mutex::default(),
            accepting: AtomicWaker::new(),
            deaf: AtomicBool::new(false),
            between: AtomicBool::new(false),
        })
    }

    pub(crate) fn course(&self) -> &Arc<Course> {
        &self.course
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
        self.conns_that(|_| true)
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
    pub(crate) fn set_accepting(&self, accepting: bool) {
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

    pub(crate) fn speaks_tls(&self) -> bool {
        self.config().tls.is_some()
    }

    pub(crate) fn shares_listener(&self) -> bool {
        self.config().shared_listener
    }

    /// Those whose task has not heard its last yet.
    pub(crate) fn unfinished(&self) -> Vec<Arc<Conn>> {
        // To hold the others is to close them: at the end there may be no time for ten thousand.
        self.conns_that(|conn| !conn.is_left_to_the_rescue())
    }

    fn conns_that(&self, matter: impl Fn(&Conn) -> bool) -> Vec<Arc<Conn>> {
        let conns = self.conns.lock().unwrap_or_else(PoisonError::into_inner);
        conns.iter().filter(|(_, conn)| matter(conn)).map(|(_, conn)| conn.clone()).collect()
    }

    /// Goes on, and tells every connection's task that has to know.
    pub(crate) fn go_on(&self, to: Phase) {
        if self.advance(to) {
            for conn in self.unfinished() {
                self.wake(&conn);
            }
            swallow(|| self.accepting.wake());
        }
    }

    /// Wakes a connection's task. Wakers are foreign code: one that panics keeps nobody else asleep.
    pub(crate) fn wake(&self, conn: &Conn) {
        swallow(|| conn.task.wake());
        if let Some(streams) = conn.streams() {
            streams.wake();
        }
    }
}

/// Whoever waits for the rescue rings its bell.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
