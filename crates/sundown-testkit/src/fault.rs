//! Components and notifiers that go wrong on purpose.

use std::{
    fmt,
    future::pending,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sundown::{
    Claims, Deadline, Drainable, HandOver, InFlight, JobId, Notice, Notifier, NotifyError, Receipt, Report,
    Runtime, Watch, async_trait, host::Awaited,
};

use crate::Recorder;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It never ends. An async method gives its thread back; a plain one keeps it.
    Hangs,
    /// It keeps its thread for ever.
    Blocks,
    /// It takes so long. An async method sleeps; a plain one keeps its thread.
    Slow(Duration),
    /// It keeps its thread for so long.
    BlocksFor(Duration),
    /// It returns an error with this message. A method that cannot return one does nothing wrong.
    Fails(String),
    /// It panics with this message. (The panic hook is not told: nothing is printed.)
    Panics(String),
}

/// A method of a component or a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// [`Drainable::joined`].
    Joined,
    /// [`Drainable::close`].
    Close,
    /// [`Drainable::drained`].
    Drained,
    /// [`Drainable::in_flight`].
    InFlight,
    /// [`Drainable::claim`].
    Claim,
    /// [`Drainable::conclude`].
    Conclude,
    /// [`Drainable::force`].
    Force,
    /// [`Notifier::prepare`].
    Prepare,
    /// [`Notifier::draining`].
    Draining,
    /// [`Notifier::incomplete`].
    Incomplete,
    /// [`Notifier::finished`].
    Finished,
}

impl Method {
    /// Those of a [`Drainable`] that a shutdown calls, in their order.
    pub const OF_COMPONENTS: [Method; 6] =
        [Method::Close, Method::Drained, Method::InFlight, Method::Claim, Method::Conclude, Method::Force];

    /// Those of a [`Notifier`] that a shutdown calls once it has begun, in their order.
    pub const OF_NOTIFIERS: [Method; 3] = [Method::Draining, Method::Incomplete, Method::Finished];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Joined => "joined",
            Method::Close => "close",
            Method::Drained => "drained",
            Method::InFlight => "in_flight",
            Method::Claim => "claim",
            Method::Conclude => "conclude",
            Method::Force => "force",
            Method::Prepare => "prepare",
            Method::Draining => "draining",
            Method::Incomplete => "incomplete",
            Method::Finished => "finished",
        })
    }
}

/// A component or a notifier whose methods go wrong as they are told, and write down that they are called.
///
/// # Examples
///
/// ```
/// use sundown::{Gate, Shutdown};
/// use sundown_testkit::{Fault, Faulty, Method, simulation::Simulation};
///
/// Simulation::seeded(1).run(|world| {
///     let broken = Faulty::new(world.runtime(), Gate::new())
///         .before(Method::Force, Fault::Panics("no such table".into()));
///     let shutdown = Shutdown::embedded(world.runtime()).component("cache", broken).start()?;
///     shutdown.begin("a test");
///     let report = shutdown.finished_blocking();
///     assert_eq!(report.components[0].force.to_string(), "panicked: no such table");
///     Ok::<_, sundown::StartError>(())
/// });
/// ```
pub struct Faulty<T> {
    inner: T,
    runtime: Arc<dyn Runtime>,
    before: Vec<(Method, Fault)>,
    after: Vec<(Method, Fault)>,
    recorder: Option<(String, Recorder)>,
}

impl<T> Faulty<T> {
    /// One that does all that this does, and nothing wrong yet. The runtime keeps the time of what is slow.
    pub fn new(runtime: impl Runtime, inner: T) -> Self {
        Faulty { inner, runtime: Arc::new(runtime), before: Vec::new(), after: Vec::new(), recorder: None }
    }

    /// Goes wrong before the method does its work, which it does if it goes on.
    pub fn before(mut self, method: Method, fault: Fault) -> Self {
        self.before.push((method, fault));
        self
    }

    /// Goes wrong when the method has done its work.
    pub fn after(mut self, method: Method, fault: Fault) -> Self {
        self.after.push((method, fault));
        self
    }

    /// Has each call recorded, as `NAME METHOD` when it begins, and as `NAME METHOD ended` when it returns.
    pub fn recorded(mut self, name: impl Into<String>, recorder: &Recorder) -> Self {
        self.recorder = Some((name.into(), recorder.clone()));
        self
    }

    fn note(&self, method: Method, ending: &str) {
        if let Some((name, recorder)) = &self.recorder {
            recorder.note(format!("{name} {method}{ending}"));
        }
    }

    fn plain<R>(&self, method: Method, work: impl FnOnce(&T) -> R) -> R {
        self.note(method, "");
        self.before
            .iter()
            .filter(|(of, _)| *of == method)
            .for_each(|(_, fault)| fault.happen(&*self.runtime));
        let result = work(&self.inner);
        self.after.iter().filter(|(of, _)| *of == method).for_each(|(_, fault)| fault.happen(&*self.runtime));
        self.note(method, " ended");
        result
    }

    async fn go_wrong(&self, faults: &[(Method, Fault)], method: Method) -> Result<(), NotifyError> {
        for (_, fault) in faults.iter().filter(|(of, _)| *of == method) {
            fault.come_true(&*self.runtime).await?;
        }
        Ok(())
    }

    async fn slow<R>(&self, method: Method, work: impl Future<Output = R>) -> Result<R, NotifyError> {
        self.note(method, "");
        self.go_wrong(&self.before, method).await?;
        let result = work.await;
        self.go_wrong(&self.after, method).await?;
        self.note(method, " ended");
        Ok(result)
    }
}

#[async_trait]
impl<T: Drainable> Drainable for Faulty<T> {
    fn joined(&self, watch: &Watch) {
        self.plain(Method::Joined, |inner| inner.joined(watch));
    }

    fn close(&self, deadline: &Deadline) {
        self.plain(Method::Close, |inner| inner.close(deadline));
    }

    async fn drained(&self) {
        let _ = self.slow(Method::Drained, self.inner.drained()).await;
    }

    fn in_flight(&self) -> InFlight {
        self.plain(Method::InFlight, Drainable::in_flight)
    }

    fn claim(&self, claims: &Claims) {
        self.plain(Method::Claim, |inner| inner.claim(claims));
    }

    async fn conclude(&self, receipt: &Receipt) {
        let _ = self.slow(Method::Conclude, self.inner.conclude(receipt)).await;
    }

    fn force(&self) {
        self.plain(Method::Force, Drainable::force);
    }
}

#[async_trait]
impl<T: Notifier> Notifier for Faulty<T> {
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.slow(Method::Prepare, self.inner.prepare()).await?
    }

    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        self.slow(Method::Draining, self.inner.draining(notice)).await?
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        self.slow(Method::Incomplete, self.inner.incomplete(hand_over)).await?
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        self.slow(Method::Finished, self.inner.finished(report)).await?
    }
}

impl<T: fmt::Debug> fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("before", &self.before)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl Fault {
    /// Goes wrong in a plain function: a release hook's destructor, a handler.
    pub fn happen(&self, runtime: &dyn Runtime) {
        match self {
            Fault::Hangs | Fault::Blocks => drop(runtime.host().wait(&mut Never, None)),
            Fault::Slow(time) | Fault::BlocksFor(time) => keep_thread(runtime, *time),
            Fault::Fails(_) => {}
            Fault::Panics(message) => resume_unwind(Box::new(message.clone())),
        }
    }

    /// Goes wrong in an async one: a release hook, a task.
    ///
    /// # Errors
    ///
    /// That of [`Fault::Fails`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, but where it keeps the thread.
    pub async fn come_true(&self, runtime: &dyn Runtime) -> Result<(), NotifyError> {
        match self {
            Fault::Hangs => pending().await,
            Fault::Slow(time) => runtime.sleep_until(runtime.now() + *time).await,
            Fault::Fails(message) => return Err(NotifyError::new(message.clone())),
            Fault::Blocks | Fault::BlocksFor(_) | Fault::Panics(_) => self.happen(runtime),
        }
        Ok(())
    }
}

fn keep_thread(runtime: &dyn Runtime, time: Duration) {
    let host = runtime.host();
    host.wait(&mut Never, Some(host.now() + time));
}

/// What never comes.
struct Never;

impl Awaited for Never {
    fn is_ready(&mut self) -> bool {
        false
    }

    fn block(&mut self, until: Option<Instant>) -> bool {
        loop {
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return false,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
    }
}

/// A notifier that acknowledges what it is offered: all, or the first so many. Clones are the same notifier.
#[derive(Clone, Debug)]
pub struct TakesOver {
    most: usize,
    taken: Arc<Mutex<Vec<JobId>>>,
}

impl TakesOver {
    /// Acknowledges every job.
    pub fn all() -> Self {
        Self::first(usize::MAX)
    }

    /// Acknowledges so many of each hand-over, and then fails.
    pub fn first(most: usize) -> Self {
        TakesOver { most, taken: Arc::default() }
    }

    /// The jobs whose acknowledgement counted, in the order of the hand-over.
    pub fn taken(&self) -> Vec<JobId> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Notifier for TakesOver {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        for job in hand_over.jobs().iter().take(self.most) {
            if hand_over.acknowledge(job.key()) {
                self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(job.id().clone());
            }
        }
        match hand_over.jobs().len().saturating_sub(self.most) {
            0 => Ok(()),
            more => Err(NotifyError::new(format!("{more} jobs more than the {} it takes", self.most))),
        }
    }
}
