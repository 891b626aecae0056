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
    inside: Mutex<Inside>,
    returned: Condvar,
}

/// Where the owner's own place is.
enum Inside {
    Free(Box<dyn Drive>),
    /// An errand has it.
    Busy,
    /// A panic has broken it.
    Broken,
}

impl Inside {
    fn is_busy(&mut self) -> bool {
        matches!(self, Inside::Busy)
    }
}

/// How long an errand waits for the one before it, which has been told to stop.
const PATIENCE: Duration = Duration::from_millis(50);

impl Place {
    /// Made when the owner joins: later there may be no resources for it.
    pub(crate) fn new(runtime: &Arc<dyn Runtime>) -> io::Result<Arc<Self>> {
        let inside = Mutex::new(Inside::Free(runtime.private()?));
        Ok(Arc::new(Place { runtime: runtime.clone(), inside, returned: Condvar::new() }))
    }

    /// Drives a future until it ends or the latch opens; says how it ended *before* anything is dropped, since
    /// destructors may hang. If the errand before this one does not give the place back, another is made.
    pub(crate) fn drive(&self, mut work: Work, cancel: Shared, tell: impl FnOnce(Outcome)) {
        let (mut place, own) = match observe(|| self.take()) {
            (_, Some(Ok(taken))) => taken,
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
        let (kept, dropped) = if own && whole { (Some(place), None) } else { (None, Some(place)) };
        if own {
            self.give_back(kept);
        }
        swallow(|| drop(dropped));
        swallow(|| drop(work));
    }

    /// The owner's own place, or, if it cannot be had, another for this once.
    fn take(&self) -> io::Result<(Box<dyn Drive>, bool)> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.returned.wait_timeout_while(inside, PATIENCE, Inside::is_busy);
        let mut inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        match std::mem::replace(&mut *inside, Inside::Busy) {
            Inside::Free(place) => Ok((place, true)),
            other => {
                *inside = other;
                drop(inside);
                Ok((self.runtime.private()?, false))
            }
        }
    }

    /// `None`: it is broken, and was dropped.
    fn give_back(&self, place: Option<Box<dyn Drive>>) {
        *self.inside.lock().unwrap_or_else(PoisonError::into_inner) =
            place.map_or(Inside::Broken, Inside::Free);
        self.returned.notify_all();
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

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::mpsc::channel};

    use super::*;
    use crate::{AbortHandle, Accept};

    /// A place that polls once, and notes its number.
    struct Once(Arc<Mutex<Vec<usize>>>, usize);

    impl Drive for Once {
        fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
            self.0.lock().unwrap().push(self.1);
            let _ = future.poll(&mut Context::from_waker(std::task::Waker::noop()));
        }
    }

    /// Numbers the places it makes.
    struct Recording(AtomicUsize, Arc<Mutex<Vec<usize>>>);

    impl Runtime for Recording {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) -> AbortHandle {
            AbortHandle::new(|| {})
        }

        fn private(&self) -> io::Result<Box<dyn Drive>> {
            Ok(Box::new(Once(self.1.clone(), self.0.fetch_add(1, Ordering::Relaxed))))
        }

        fn adopt(&self, _: TcpListener) -> io::Result<Box<dyn Accept>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn place() -> (Arc<Place>, Arc<Mutex<Vec<usize>>>) {
        let used = Arc::default();
        let runtime: Arc<dyn Runtime> = Arc::new(Recording(AtomicUsize::new(0), Arc::clone(&used)));
        (Place::new(&runtime).unwrap(), used)
    }

    #[test]
    fn an_owners_place_survives_an_errand_that_had_to_do_without_it() {
        let (place, used) = place();
        let (let_go, held) = channel::<()>();
        let (begun, has_begun) = channel();
        thread::scope(|scope| {
            let blocking = async move {
                begun.send(()).unwrap();
                let _ = held.recv();
                Ok(())
            };
            let owner = &place;
            scope.spawn(move || owner.drive(Box::pin(blocking), Shared::default(), |_| {}));
            has_begun.recv().unwrap();
            place.drive(Box::pin(async { Ok(()) }), Shared::default(), |_| {});
            drop(let_go);
        });
        place.drive(Box::pin(async { Ok(()) }), Shared::default(), |_| {});
        assert_eq!(*used.lock().unwrap(), [0, 1, 0]);
    }

    #[test]
    fn a_place_that_a_panic_broke_is_not_waited_for() {
        let (place, used) = place();
        place.drive(Box::pin(async { panic!("on purpose") }), Shared::default(), |_| {});
        let (told, outcome) = channel();
        let began = Instant::now();
        place.drive(Box::pin(async { Ok(()) }), Shared::default(), |outcome| told.send(outcome).unwrap());
        assert!(matches!(outcome.recv().unwrap(), Outcome::Done(_)));
        assert!(began.elapsed() < PATIENCE);
        assert_eq!(*used.lock().unwrap(), [0, 1]);
    }
}
