//! The machine under a shutdown: its clock, its threads, its process. The system's own, or one that is made up.
//!
//! Hidden, and for this workspace alone: `sundown-testkit`'s simulation runs the same conductor and the same errands as a
//! service does, on threads and a clock of its own, and the links of `sundown-notify`'s `First` as well. Whatever in this
//! crate reads the time, starts a thread or blocks one, does it through a [`Host`]: a shutdown touches the machine in no
//! other way. (A [`Jobs`](crate::Jobs) that has joined none yet reads the system's clock.) What guards against foreign
//! panics, [`swallow`], is here for the other crates as well.

use std::{
    fmt, io,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    thread,
    time::Instant,
};

use uuid::Uuid;

pub use crate::latch::{Latch, swallow};
use crate::{Environment, Signal, conductor::Event, signals};

/// What a shutdown stands on.
///
/// Unwind safe, so that whatever holds one is: a panic may pass through any of it.
pub trait Host: Send + Sync + UnwindSafe + RefUnwindSafe + 'static {
    /// The current moment, monotonic.
    fn now(&self) -> Instant;

    /// What tells how much grace the platform gives.
    fn environment(&self) -> Environment;

    /// An identifier that nothing else has.
    fn id(&self) -> Uuid;

    /// Runs the body on a thread of its own.
    ///
    /// # Errors
    ///
    /// When there is none to be had; the body is dropped.
    fn spawn(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// Blocks the calling thread until the event is there or the moment has come. Returns whether it is there.
    fn wait(&self, event: &mut dyn Awaited, until: Option<Instant>) -> bool;

    /// Takes the process: its signals and its end. Returns whether nobody had it.
    fn own(&self) -> bool;

    /// Gives the process back: its signals do what they would do without a shutdown. When this returns, none is delivered
    /// any more, and somebody else can take it.
    fn disown(&self);

    /// Delivers the signals that are wanted, from now on. To be called by who owns the process.
    ///
    /// # Errors
    ///
    /// When they cannot be listened to.
    fn listen(&self, signals: Signals) -> io::Result<()>;

    /// Does what a signal would have done without a shutdown: ends the process, stops it, or nothing.
    fn act_by_default(&self, signal: Signal);

    /// Ends the process at once, without destructors and exit hooks.
    fn exit(&self, status: i32);
}

/// What a thread can block on.
pub trait Awaited {
    /// Whether it is there.
    fn is_ready(&mut self) -> bool;

    /// Blocks the calling thread, for the system's own host. Returns whether it is there.
    fn block(&mut self, until: Option<Instant>) -> bool;
}

/// Where a host puts the signals that arrive, and which of them are wanted.
pub struct Signals {
    mailbox: Sender<Event>,
    wanted: Vec<Signal>,
}

impl Signals {
    pub(crate) fn new(mailbox: Sender<Event>, wanted: Vec<Signal>) -> Self {
        Signals { mailbox, wanted }
    }

    /// Those that are to be delivered. The others go on doing what they do.
    pub fn wanted(&self) -> &[Signal] {
        &self.wanted
    }

    /// Tells the shutdown. Returns whether there still is one.
    pub fn deliver(&self, at: Instant, signal: Signal) -> bool {
        self.mailbox.send(Event::Signal(at, signal)).is_ok()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

pub(crate) type DynHost = Arc<dyn Host>;

/// The system itself.
#[derive(Debug)]
pub(crate) struct System;

/// One per process: signals and the exit are.
static OWNED: AtomicBool = AtomicBool::new(false);

impl System {
    pub(crate) fn shared() -> DynHost {
        Arc::new(System)
    }
}

impl Host for System {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn environment(&self) -> Environment {
        Environment::of_this_process()
    }

    fn id(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn spawn(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::Builder::new().name(name).spawn(body).map(drop)
    }

    fn wait(&self, event: &mut dyn Awaited, until: Option<Instant>) -> bool {
        event.block(until)
    }

    fn own(&self) -> bool {
        // AcqRel: the one that fails sees that the other has succeeded; nothing else is published with it.
        !OWNED.swap(true, Ordering::AcqRel)
    }

    fn disown(&self) {
        signals::leave();
        OWNED.store(false, Ordering::Release);
    }

    fn listen(&self, signals: Signals) -> io::Result<()> {
        signals::listen(signals)
    }

    fn act_by_default(&self, signal: Signal) {
        signals::act_by_default(signal);
    }

    fn exit(&self, status: i32) {
        // `_exit`: no destructors and no exit hooks, which may hang.
        signal_hook::low_level::exit(status);
    }
}

/// The receiving end of a channel, for a thread that blocks on it through a [`Host`].
pub(crate) struct Inbox<T> {
    receiver: Receiver<T>,
    next: Option<T>,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(receiver: Receiver<T>) -> Self {
        Inbox { receiver, next: None, closed: false }
    }

    /// What comes next; `None` if nothing has come by then, or nobody can send any more.
    pub(crate) fn next(&mut self, host: &dyn Host, until: Option<Instant>) -> Option<T> {
        host.wait(self, until);
        self.next.take()
    }
}

impl<T> Awaited for Inbox<T> {
    fn is_ready(&mut self) -> bool {
        if self.next.is_none() {
            match self.receiver.try_recv() {
                Ok(next) => self.next = Some(next),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.closed = true,
            }
        }
        self.next.is_some() || self.closed
    }

    fn block(&mut self, until: Option<Instant>) -> bool {
        if self.is_ready() {
            return true;
        }
        let received = match until {
            None => self.receiver.recv().map_err(RecvTimeoutError::from),
            Some(at) => self.receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(next) => self.next = Some(next),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => self.closed = true,
        }
        true
    }
}
