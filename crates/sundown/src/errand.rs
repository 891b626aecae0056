//! Where foreign code runs during a shutdown: on threads of its own, which may be given up on.
//!
//! An errand thread lives as long as its errand. Two threads are started with the shutdown for the case that no other
//! can be had: errands then queue on the *spare*, where one that blocks forfeits those behind it; wake-ups, on which
//! errands that wait depend, have a thread of their own.

use std::{
    any::Any,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use crate::{
    BoxFuture, Drive, Runtime,
    latch::{Shared, Waiting, swallow},
    report::Outcome,
};

type Errand = Box<dyn FnOnce() + Send>;

pub(crate) struct Errands {
    spare: mpsc::Sender<Errand>,
    waking: mpsc::Sender<Errand>,
    /// How many errands had to share the spare thread.
    spared: AtomicUsize,
}

impl Errands {
    /// Starts the two standing threads.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Errands {
            spare: standing("sundown-spare")?,
            waking: standing("sundown-wake")?,
            spared: AtomicUsize::new(0),
        })
    }

    /// Runs an errand on a thread of its own, or, if none can be had, on the spare one. Never runs or drops it here.
    pub(crate) fn run(&self, name: &str, errand: impl FnOnce() + Send + 'static) {
        if !try_thread(name, Box::new(errand), &self.spare) {
            // Relaxed: a count for the report.
            self.spared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes who waits for a latch that has been set.
    pub(crate) fn wake(&self, latch: &Shared) {
        let latch = latch.clone();
        try_thread("wake", Box::new(move || latch.wake()), &self.waking);
    }

    pub(crate) fn spared(&self) -> usize {
        self.spared.load(Ordering::Relaxed)
    }
}

fn standing(name: &str) -> io::Result<mpsc::Sender<Errand>> {
    let (sender, queue) = mpsc::channel::<Errand>();
    thread::Builder::new().name(name.into()).spawn(move || queue.into_iter().for_each(swallow))?;
    Ok(sender)
}

/// Returns whether the errand has a thread of its own; otherwise it is in the queue of the standing one.
fn try_thread(name: &str, errand: Errand, standing: &mpsc::Sender<Errand>) -> bool {
    // In a slot that both sides hold: a thread that cannot be started drops its closure, and the errand's destructors
    // are foreign code.
    let slot = Arc::new(Mutex::new(Some(errand)));
    let take = |slot: &Mutex<Option<Errand>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let theirs = slot.clone();
    // A thread's name has no zero byte; a component's may.
    let name = format!("sundown-{}", name.replace('\0', "?"));
    let started = thread::Builder::new().name(name).spawn(move || {
        if let Some(errand) = take(&theirs) {
            errand();
        }
    });
    if started.is_ok() {
        return true;
    }
    if let Some(errand) = take(&slot) {
        // The standing thread ends only with its sender, which is ours.
        let _ = standing.send(errand);
    }
    false
}

/// Runs foreign code and says how it ended.
pub(crate) fn observe<R>(work: impl FnOnce() -> R) -> (Outcome, Option<R>) {
    let began = Instant::now();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => (Outcome::Done(began.elapsed()), Some(value)),
        Err(panic) => {
            let message = message_of(&*panic);
            swallow(|| drop(panic));
            (Outcome::Panicked(message), None)
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// A future as an errand: what it could not do is text.
pub(crate) type Work = BoxFuture<'static, Result<(), String>>;

/// A private place that its owner's errands use one after another.
pub(crate) struct Place {
    runtime: Arc<dyn Runtime>,
    free: Mutex<Option<Box<dyn Drive>>>,
    returned: Condvar,
}

/// How long an errand waits for the one before it, which has been told to stop.
const PATIENCE: Duration = Duration::from_millis(50);

impl Place {
    /// Made when the owner joins: later there may be no resources for it.
    pub(crate) fn new(runtime: &Arc<dyn Runtime>) -> io::Result<Arc<Self>> {
        let free = Mutex::new(Some(runtime.private()?));
        Ok(Arc::new(Place { runtime: runtime.clone(), free, returned: Condvar::new() }))
    }

    /// Drives a future until it ends or the latch opens; says how it ended *before* anything is dropped, since
    /// destructors may hang. If the errand before this one does not give the place back, another is made.
    pub(crate) fn drive(&self, mut work: Work, cancel: Shared, tell: impl FnOnce(Outcome)) {
        let mut place = match observe(|| self.take()) {
            (_, Some(Ok(place))) => place,
            (_, Some(Err(error))) => return tell(Outcome::Failed(format!("no place to run: {error}"))),
            (panicked, None) => return tell(panicked),
        };
        let mut result = None;
        let (outcome, _) = observe(|| {
            let racing = Racing { work: work.as_mut(), cancel: Waiting::new(cancel), result: &mut result };
            place.drive(pin!(racing));
        });
        let whole = !outcome.is_failure();
        tell(match (outcome, result) {
            (Outcome::Done(_), None) => Outcome::Late,
            (Outcome::Done(_), Some(Err(error))) => Outcome::Failed(error),
            (outcome, _) => outcome,
        });
        if whole {
            self.give_back(place);
        } else {
            swallow(|| drop(place));
        }
        swallow(|| drop(work));
    }

    fn take(&self) -> io::Result<Box<dyn Drive>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.returned.wait_timeout_while(free, PATIENCE, |free| free.is_none());
        let place = waited.unwrap_or_else(PoisonError::into_inner).0.take();
        place.map_or_else(|| self.runtime.private(), Ok)
    }

    /// The last one given back stays; it is the one that was asked for first, if two were.
    fn give_back(&self, place: Box<dyn Drive>) {
        let second = self.free.lock().unwrap_or_else(PoisonError::into_inner).replace(place);
        self.returned.notify_one();
        swallow(|| drop(second));
    }
}

struct Racing<'a> {
    work: Pin<&'a mut (dyn Future<Output = Result<(), String>> + Send)>,
    cancel: Waiting<Shared>,
    result: &'a mut Option<Result<(), String>>,
}

impl Future for Racing<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(result) = self.work.as_mut().poll(cx) {
            *self.result = Some(result);
            return Poll::Ready(());
        }
        Pin::new(&mut self.cancel).poll(cx)
    }
}
