//! Where foreign code runs during a shutdown: on threads of its own, which may be given up on.
//!
//! An errand thread lives as long as its errand. One spare thread is started with the shutdown; where no other can be
//! had, errands queue on it, and one that blocks forfeits those behind it.

use std::{
    any::Any,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::{Context, Poll},
    thread,
    time::Instant,
};

use crate::{
    BoxFuture, Drive, Runtime,
    latch::{Shared, Waiting},
    report::Outcome,
};

type Errand = Box<dyn FnOnce() + Send>;

pub(crate) struct Errands {
    spare: mpsc::Sender<Errand>,
}

impl Errands {
    /// Starts the spare thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (spare, queue) = mpsc::channel::<Errand>();
        thread::Builder::new().name("sundown-spare".into()).spawn(move || {
            for errand in queue {
                let _ = catch_unwind(AssertUnwindSafe(errand));
            }
        })?;
        Ok(Errands { spare })
    }

    /// Runs an errand on a thread of its own, or, if none can be had, on the spare one. Never runs or drops it here.
    pub(crate) fn run(&self, name: &str, errand: impl FnOnce() + Send + 'static) {
        // In a slot that both sides hold: a thread that cannot be started drops its closure, and the errand's
        // destructors are foreign code.
        let slot: Arc<Mutex<Option<Errand>>> = Arc::new(Mutex::new(Some(Box::new(errand))));
        let take = |slot: &Mutex<Option<Errand>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = slot.clone();
        // A thread's name has no zero byte; a component's may.
        let name = format!("sundown-{}", name.replace('\0', "?"));
        let started = thread::Builder::new().name(name).spawn(move || {
            if let Some(errand) = take(&theirs) {
                errand();
            }
        });
        if started.is_err()
            && let Some(errand) = take(&slot)
        {
            // The spare thread outlives the sender; a closed queue would mean that it could not.
            let _ = self.spare.send(errand);
        }
    }
}

/// Runs foreign code and says how it ended.
pub(crate) fn observe<R>(work: impl FnOnce() -> Result<R, String>) -> (Outcome, Option<R>) {
    let began = Instant::now();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => (Outcome::Done(began.elapsed()), Some(value)),
        Ok(Err(error)) => (Outcome::Failed(error), None),
        Err(panic) => {
            let message = message_of(&*panic);
            // What was thrown may throw again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            (Outcome::Panicked(message), None)
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// Drives a future in a place until it ends or the latch opens; says how it ended *before* anything is dropped, since
/// destructors and the end of a private runtime may hang.
pub(crate) fn drive(
    place: &mut dyn Drive,
    mut future: BoxFuture<'static, Result<(), String>>,
    cancel: Shared,
    tell: impl FnOnce(Outcome),
) {
    let mut result = None;
    let (outcome, _) = observe(|| {
        let racing = Racing { future: future.as_mut(), cancel: Waiting::new(cancel), result: &mut result };
        place.drive(pin!(racing));
        Ok(())
    });
    tell(match (outcome, result) {
        (Outcome::Done(_), None) => Outcome::Late,
        (Outcome::Done(_), Some(Err(error))) => Outcome::Failed(error),
        (outcome, _) => outcome,
    });
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

struct Racing<'a> {
    future: Pin<&'a mut (dyn Future<Output = Result<(), String>> + Send)>,
    cancel: Waiting<Shared>,
    result: &'a mut Option<Result<(), String>>,
}

impl Future for Racing<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(result) = self.future.as_mut().poll(cx) {
            *self.result = Some(result);
            return Poll::Ready(());
        }
        Pin::new(&mut self.cancel).poll(cx)
    }
}

/// A private place that its owner's errands use one after another.
pub(crate) struct Place {
    runtime: Arc<dyn Runtime>,
    free: Mutex<Option<Box<dyn Drive>>>,
    returned: std::sync::Condvar,
}

impl Place {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, place: Box<dyn Drive>) -> Self {
        Place { runtime, free: Mutex::new(Some(place)), returned: std::sync::Condvar::new() }
    }

    /// Runs an errand in the place. If the one before has been told to stop and does not, a new place is made.
    pub(crate) fn drive(
        &self,
        future: BoxFuture<'static, Result<(), String>>,
        cancel: Shared,
        tell: impl FnOnce(Outcome),
    ) {
        match self.take() {
            Ok(mut place) => {
                let mut broken = false;
                drive(&mut *place, future, cancel, |outcome| {
                    broken = matches!(outcome, Outcome::Panicked(_));
                    tell(outcome);
                });
                if !broken {
                    *self.free.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
                    self.returned.notify_one();
                }
            }
            Err(error) => tell(Outcome::Failed(format!("no place to run: {error}"))),
        }
    }

    fn take(&self) -> io::Result<Box<dyn Drive>> {
        const PATIENCE: std::time::Duration = std::time::Duration::from_millis(50);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.returned.wait_timeout_while(free, PATIENCE, |free| free.is_none());
        let place = waited.unwrap_or_else(PoisonError::into_inner).0.take();
        place.map_or_else(|| self.runtime.private(), Ok)
    }
}
