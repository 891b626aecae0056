//! A plain thread as a component.

use std::{
    any::Any,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

use async_trait::async_trait;

use crate::{
    Deadline, Drainable, InFlight, Receipt, Unit,
    host::{DynHost, System},
    latch::{Shared, Waiting, swallow},
};

/// A plain thread as a component: told to end by [`on_close`](Self::on_close) or a [`Watch`](crate::Watch) that it asks, drained
/// when it has ended.
///
/// If it panics, `drained` panics with the same message, which the report then has. A thread cannot be ended from outside: one
/// that still runs at the end of a shutdown is left running, which its part of the report says, as `left running`, besides that
/// it is lost. What it returns is dropped. Dropped without a shutdown, the component lets go of its thread, which goes on.
///
/// # Examples
///
/// ```
/// # use std::{sync::{Mutex, mpsc}, time::Duration};
/// use sundown::{Shutdown, Thread};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[tokio::main(flavor = "current_thread")] async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (orders, inbox) = mpsc::channel::<String>();
/// let press = Thread::spawn("press", move || {
///     // It ends when it has done all that there is, and nobody can send it more.
///     for order in inbox { println!("{order}") }
/// })?;
/// let orders = Mutex::new(Some(orders));
/// let press = press.on_close(move || drop(orders.lock().unwrap().take()));
/// let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current())
///     .component("press", press)
///     .grace(Duration::from_secs(10))
///     .start()?;
/// shutdown.begin("the example is over");
/// assert!(shutdown.finished().await.is_clean());
/// # Ok(()) }
/// # run() }
/// ```
pub struct Thread {
    name: String,
    host: DynHost,
    since: Instant,
    end: Arc<End>,
    on_close: Box<dyn Fn() + Send + Sync>,
}

/// What the thread leaves.
#[derive(Default)]
struct End {
    ended: Shared,
    /// What it panicked with, until somebody is told. The lock guards the place.
    thrown: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Thread {
    /// Starts a thread.
    ///
    /// # Errors
    ///
    /// When none can be had.
    ///
    /// # Panics
    ///
    /// When the name has a zero byte.
    pub fn spawn<T>(name: impl Into<String>, body: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let (name, host, end) = (name.into(), System::shared(), Arc::<End>::default());
        let theirs = end.clone();
        let run = move || {
            match catch_unwind(AssertUnwindSafe(body)) {
                Ok(value) => swallow(|| drop(value)),
                Err(panic) => *theirs.thrown.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic),
            }
            theirs.ended.open();
        };
        host.spawn(name.clone(), Box::new(run))?;
        Ok(Thread { name, since: host.now(), host, end, on_close: Box::new(|| {}) })
    }

    /// The component of a thread that was started before. Another thread waits for its end.
    ///
    /// # Errors
    ///
    /// When no thread can be had that waits; then the thread is let go of.
    pub fn new<T: Send + 'static>(handle: JoinHandle<T>) -> io::Result<Self> {
        let name = handle.thread().name().unwrap_or("unnamed").to_owned();
        let waits = Self::spawn("sundown-join", move || match handle.join() {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        })?;
        Ok(Thread { name, ..waits })
    }

    /// What to do when the component's turn has come: tell the thread to end. It returns at once.
    #[must_use]
    pub fn on_close(self, close: impl Fn() + Send + Sync + 'static) -> Self {
        Thread { on_close: Box::new(close), ..self }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.end.ended.is_set()
    }

    /// Panics as the thread did, once.
    fn pass_on(&self) {
        let thrown = self.end.thrown.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = thrown {
            resume_unwind(panic);
        }
    }
}

#[async_trait]
impl Drainable for Thread {
    fn close(&self, _: &Deadline) {
        (self.on_close)();
    }

    async fn drained(&self) {
        Waiting::new(self.end.ended.clone()).await;
        self.pass_on();
    }

    fn in_flight(&self) -> InFlight {
        let age = Some(self.host.now().saturating_duration_since(self.since));
        InFlight::named((!self.has_ended()).then(|| Unit { name: format!("thread {}", self.name), age }))
    }

    async fn conclude(&self, receipt: &Receipt) {
        if !self.has_ended() {
            receipt.note("left running", 1);
            return;
        }
        // Since the claim, perhaps, and not well.
        self.pass_on();
        receipt.seen_to();
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("name", &self.name)
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
