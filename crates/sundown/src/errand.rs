//! Where foreign code runs during a shutdown: on threads of its own, which may be given up on.
//!
//! An errand thread lives as long as its errand. Two threads are started with the shutdown for the case that no other
//! can be had: errands then queue on the *spare*, where one that blocks forfeits those behind it, and one that waits
//! is told to stop when its step is over; wake-ups, on which errands that wait depend, have a thread of their own.

use std::{
    any::Any,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    BoxFuture, Drive, Runtime,
    host::{DynHost, Host, Inbox},
    latch::{Shared, Waiting, swallow},
    report::Outcome,
};

type Errand = Box<dyn FnOnce(Seat) + Send>;

/// Where an errand runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// On a thread of its own.
    Own,
    /// On a standing one, where others wait behind it.
    Shared,
}

pub(crate) struct Errands {
    host: DynHost,
    spare: mpsc::Sender<Errand>,
    waking: mpsc::Sender<Errand>,
    /// How many errands had to share the spare thread.
    spared: AtomicUsize,
}

impl Errands {
    /// Starts the two standing threads.
    pub(crate) fn start(host: &DynHost) -> io::Result<Self> {
        Ok(Errands {
            host: host.clone(),
            spare: standing(host, "sundown-spare")?,
            waking: standing(host, "sundown-wake")?,
            spared: AtomicUsize::new(0),
        })
    }

    /// Runs an errand on a thread of its own, or, if none can be had, on the spare one. Never runs or drops it here.
    pub(crate) fn run(&self, name: &str, errand: impl FnOnce(Seat) + Send + 'static) {
        if !self.try_thread(name, Box::new(errand), &self.spare) {
            // Relaxed: a count for the report.
            self.spared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes who waits for a latch that has been set.
    pub(crate) fn wake(&self, latch: &Shared) {
        let latch = latch.clone();
        self.try_thread("wake", Box::new(move |_| latch.wake()), &self.waking);
    }

    pub(crate) fn spared(&self) -> usize {
        self.spared.load(Ordering::Relaxed)
    }

    /// Returns whether the errand has a thread of its own; otherwise it is in the queue of the standing one.
    fn try_thread(&self, name: &str, errand: Errand, standing: &mpsc::Sender<Errand>) -> bool {
        // In a slot that both sides hold: a thread that cannot be started drops its closure, and the errand's
        // destructors are foreign code.
        let slot = Arc::new(Mutex::new(Some(errand)));
        let take = |slot: &Mutex<Option<Errand>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = slot.clone();
        let body = Box::new(move || {
            if let Some(errand) = take(&theirs) {
                errand(Seat::Own);
            }
        });
        // A thread's name has no zero byte; a component's may.
        let name = format!("sundown-{}", name.replace('\0', "?"));
        if self.host.spawn(name, body).is_ok() {
            return true;
        }
        if let Some(errand) = take(&slot) {
            // The standing thread ends only with its sender, which is ours.
            let _ = standing.send(errand);
        }
        false
    }
}

fn standing(host: &DynHost, name: &str) -> io::Result<mpsc::Sender<Errand>> {
    let (sender, queue) = mpsc::channel::<Errand>();
    let theirs = host.clone();
    let body = move || {
        let mut queue = Inbox::new(queue);
        while let Some(errand) = queue.next(&*theirs, None) {
            swallow(|| errand(Seat::Shared));
        }
    };
    host.spawn(name.into(), Box::new(body))?;
    Ok(sender)
}

/// Runs foreign code and says how it ended.
pub(crate) fn observe<R>(host: &dyn Host, work: impl FnOnce() -> R) -> (Outcome, Option<R>) {
    let began = host.now();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => (Outcome::Done(host.now().saturating_duration_since(began)), Some(value)),
        Err(panic) => (Outcome::Panicked(panic_message(panic)), None),
    }
}

/// The message of a panic, as `catch_unwind` gives it. What was thrown is dropped here, where it may throw again.
///
/// # Examples
///
/// ```
/// let panic = std::panic::catch_unwind(|| panic!("no such table")).unwrap_err();
/// assert_eq!(sundown::panic_message(panic), "no such table");
/// ```
pub fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("no message").to_owned();
    swallow(|| drop(panic));
    message
}

/// A future as an errand: what it could not do is text.
pub(crate) type Work = BoxFuture<'static, Result<(), String>>;

/// A private place that its owner's errands use one after another.
pub(crate) struct Place {
    host: DynHost,
    runtime: Arc<dyn Runtime>,
    inside: Mutex<Inside>,
}

/// Where the owner's own place is.
enum Inside {
    Free(Box<dyn Drive>),
    /// An errand has it, and sets this when it does no longer.
    Busy(Shared),
    /// A panic has broken it.
    Broken,
}

/// How long an errand waits for the one before it, which has been told to stop.
const PATIENCE: Duration = Duration::from_millis(50);

impl Place {
    /// Made when the owner joins: later there may be no resources for it.
    pub(crate) fn new(host: &DynHost, runtime: &Arc<dyn Runtime>) -> io::Result<Arc<Self>> {
        let inside = Mutex::new(Inside::Free(runtime.private()?));
        Ok(Arc::new(Place { host: host.clone(), runtime: runtime.clone(), inside }))
    }

    /// Drives a future until it ends or the latch opens; says how it ended *before* anything is dropped, since
    /// destructors may hang. If the errand before this one does not give the place back, another is made.
    pub(crate) fn drive(&self, mut work: Work, cancel: Shared, tell: impl FnOnce(Outcome)) {
        let (mut place, own) = match observe(&*self.host, || self.take()) {
            (_, Some(Ok(taken))) => taken,
            (_, Some(Err(error))) => return tell(Outcome::Failed(format!("no place to run: {error}"))),
            (panicked, None) => return tell(panicked),
        };
        let mut result = None;
        let (outcome, _) = observe(&*self.host, || {
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
        let until = self.host.now() + PATIENCE;
        loop {
            let mut inside = self.inside();
            let returned = match std::mem::replace(&mut *inside, Inside::Broken) {
                Inside::Free(place) => {
                    *inside = Inside::Busy(Shared::default());
                    return Ok((place, true));
                }
                Inside::Busy(returned) => returned,
                Inside::Broken => break,
            };
            *inside = Inside::Busy(returned.clone());
            drop(inside);
            if !self.host.wait(&mut &*returned, Some(until)) {
                break;
            }
        }
        Ok((self.runtime.private()?, false))
    }

    /// `None`: it is broken, and was dropped.
    fn give_back(&self, place: Option<Box<dyn Drive>>) {
        let before = std::mem::replace(&mut *self.inside(), place.map_or(Inside::Broken, Inside::Free));
        if let Inside::Busy(returned) = before {
            returned.set();
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::{net::TcpListener, sync::mpsc::channel, thread, time::Instant};

    use super::*;
    use crate::{AbortHandle, Accept, host::System};

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
        (Place::new(&System::shared(), &runtime).unwrap(), used)
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

    #[test]
    fn what_was_thrown_may_throw_again() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let panic = catch_unwind(|| std::panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(panic_message(panic), "no message");
    }
}
