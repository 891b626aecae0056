//! Waits in `poll(2)` for sockets and timers, and wakes who waits for them.
//!
//! A reactor does nothing by itself: somebody turns it. The executor has a thread for that; a private place is a
//! reactor that is turned by whoever blocks on it. Invariants:
//!
//! 1. **Nothing is missed.** Interests are noted before the bell is rung, and whoever turns the reactor looks at them
//!    after the bell: a change made while it waits ends the wait. `poll(2)` tells of what is ready, not of what has
//!    become ready, so that an event between a look at the socket and the interest in it is told too.
//! 2. **One shot.** Who is woken is out of the table; who still waits comes back.
//! 3. **A descriptor in the table is open**, since the table holds it: its number is nobody else's.
//! 4. Wakers are woken, and dropped, outside the lock.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::timer::{TimerId, Timers};

pub type Source = Arc<dyn AsFd + Send + Sync>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Read,
    Write,
}

impl Direction {
    fn flags(self) -> PollFlags {
        match self {
            Direction::Read => PollFlags::IN,
            Direction::Write => PollFlags::OUT,
        }
    }
}

/// Clones are the same reactor.
#[derive(Clone)]
pub struct Reactor {
    shared: Arc<Shared>,
}

struct Shared {
    /// The lock guards the table; nothing foreign runs under it.
    table: Mutex<Table>,
    /// A byte written into the bell is heard by the ear, which is polled with the rest.
    bell: UnixStream,
    ear: UnixStream,
}

#[derive(Default)]
struct Table {
    timers: Timers,
    interests: BTreeMap<(RawFd, Direction), (Source, Waker)>,
    stopped: bool,
}

thread_local! {
    /// The reactor that this thread blocks on.
    static CURRENT: RefCell<Option<Reactor>> = const { RefCell::new(None) };
}

impl Reactor {
    /// # Errors
    ///
    /// When the system gives no descriptors for the bell.
    pub fn new() -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Reactor { shared: Arc::new(Shared { table: Mutex::default(), bell, ear }) })
    }

    /// The one that the calling thread blocks on, if it does.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Drives a future to its end on the calling thread, which turns the reactor meanwhile.
    pub fn block_on<F: Future + ?Sized>(&self, mut future: Pin<&mut F>) -> F::Output {
        let _here = Here(CURRENT.replace(Some(self.clone())));
        let woken = Arc::new(Woken { reactor: self.clone(), is: AtomicBool::new(true) });
        let waker = Waker::from(woken.clone());
        loop {
            // AcqRel: what was done before the wake is seen by the poll.
            if !woken.is.swap(false, Ordering::AcqRel) {
                self.turn();
            } else if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
    }

    /// Waits until something happens, and wakes who waited for it.
    pub fn turn(&self) {
        let (sources, next) = {
            let table = self.table();
            let sources: Vec<_> =
                table.interests.iter().map(|(key, (source, _))| (*key, source.clone())).collect();
            (sources, table.timers.next())
        };
        let mut fds = vec![PollFd::new(&self.shared.ear, PollFlags::IN)];
        fds.extend(
            sources.iter().map(|((_, way), source)| PollFd::from_borrowed_fd(source.as_fd(), way.flags())),
        );
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        // A length that the system cannot say is waited for without an end: a change will ring.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        // Interrupted by a signal, nothing is known of any descriptor.
        let is_known = poll(&mut fds, timeout.as_ref()).is_ok();
        let is_ready = |fd: &PollFd<'_>| is_known && !fd.revents().is_empty();

        let _ = (&self.shared.ear).read(&mut [0; 64]);
        let mut woken: Vec<Waker> = Vec::new();
        {
            let mut table = self.table();
            woken.extend(table.timers.expired(Instant::now()));
            for (_, (key, _)) in fds[1..].iter().zip(&sources).filter(|(fd, _)| is_ready(fd)) {
                woken.extend(table.interests.remove(key).map(|(_, waker)| waker));
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes whoever asks when the socket can be read or written, once.
    ///
    /// # Errors
    ///
    /// When the reactor has stopped.
    pub fn wait_for(&self, source: Source, way: Direction, waker: &Waker) -> io::Result<()> {
        let key = (source.as_fd().as_raw_fd(), way);
        let interest = (source, waker.clone());
        let mut table = self.table();
        if table.stopped {
            drop(table);
            return Err(io::Error::other("the executor has stopped"));
        }
        let before = table.interests.insert(key, interest);
        drop(table);
        drop(before);
        self.ring();
        Ok(())
    }

    /// Nobody waits for this socket any more: it is about to be closed.
    pub fn forget(&self, source: &impl AsFd) {
        let fd = source.as_fd().as_raw_fd();
        let forgotten = {
            let mut table = self.table();
            [Direction::Read, Direction::Write].map(|way| table.interests.remove(&(fd, way)))
        };
        drop(forgotten);
        // It may be in the hands of `poll(2)`, which must let go of it.
        self.ring();
    }

    /// A timer for this moment.
    pub fn new_timer(&self, at: Instant) -> TimerId {
        self.table().timers.new_id(at)
    }

    /// Wakes whoever asks when the timer's moment has come, once.
    pub fn wait_until(&self, timer: TimerId, waker: &Waker) {
        let waker = waker.clone();
        let before = self.table().timers.set(timer, waker);
        drop(before);
        self.ring();
    }

    /// Nobody waits for this timer any more.
    pub fn cancel(&self, timer: TimerId) {
        let waiting = self.table().timers.cancel(timer);
        drop(waiting);
    }

    /// Ends the waiting of everybody: sockets fail from here on, and timers are late for ever.
    pub fn stop(&self) {
        let woken: Vec<_> = {
            let mut table = self.table();
            table.stopped = true;
            let sockets = std::mem::take(&mut table.interests).into_values().map(|(_, waker)| waker);
            sockets.chain(table.timers.clear()).collect()
        };
        self.ring();
        woken.into_iter().for_each(Waker::wake);
    }

    pub fn is_stopped(&self) -> bool {
        self.table().stopped
    }

    fn ring(&self) {
        // If the bell is full, it has been rung.
        let _ = (&self.shared.bell).write(&[1]);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the thread that blocks on a reactor.
struct Woken {
    reactor: Reactor,
    is: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // AcqRel: what the waker's owner did is seen by the poll that follows.
        if !self.is.swap(true, Ordering::AcqRel) {
            self.reactor.ring();
        }
    }
}

/// Puts back what the thread blocked on before.
struct Here(Option<Reactor>);

impl Drop for Here {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
