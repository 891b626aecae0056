//! One notifier of a chain, and how it is called: on a thread of its own, for each call, in a private place of its own.
//!
//! 1. **A link that keeps its thread keeps no other's time.** A call is waited for by a future, which can be dropped; the
//!    thread is then left to itself.
//! 2. **A link that waits for ever leaves nothing behind.** When nobody waits for a call any more, its future is dropped
//!    on its thread, which ends.
//! 3. **A call is over when its end is told**, before anything is dropped: destructors may hang.
//! 4. **A link keeps its place**, and with it what it has built there: a call waits for the one before it, which nobody
//!    waits for any more, for a moment; what is then driven elsewhere does not put that in the place's stead.

use std::{
    any::Any,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_channel::oneshot;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use sundown::{
    BoxFuture, Drive, Notifier, NotifyError, Runtime,
    host::{Awaited, swallow},
    panic_message,
};

/// What a notifier is called for.
pub(super) type Work = BoxFuture<'static, Result<(), NotifyError>>;

/// How a call ended, if it did.
pub(super) type Ending = Result<(), String>;

/// How long a call waits for the place of the one before it: as long as the core has a notifier's calls wait.
const PATIENCE: Duration = Duration::from_millis(50);

pub(super) struct Link {
    pub(super) notifier: Arc<dyn Notifier>,
    runtime: Arc<dyn Runtime>,
    /// The lock guards what is kept in it: nothing is driven, made or dropped under it.
    place: Mutex<Place>,
    returned: Condvar,
}

/// Where a link's calls are driven, one after another.
#[derive(Default)]
enum Place {
    /// There is none: it was never made, or a panic has broken it.
    #[default]
    Missing,
    Free(Box<dyn Drive>),
    /// A call is driven in it.
    Busy,
}

impl Link {
    pub(super) fn new(runtime: Arc<dyn Runtime>, notifier: impl Notifier) -> Arc<Self> {
        Arc::new(Link {
            notifier: Arc::new(notifier),
            runtime,
            place: Mutex::default(),
            returned: Condvar::new(),
        })
    }

    /// Makes its place: later there may be no descriptors for one.
    pub(super) fn settle_in(&self) -> io::Result<()> {
        let place = self.runtime.private()?;
        *self.place() = Place::Free(place);
        Ok(())
    }

    /// Does the work on a thread of its own; on the calling one if none can be had, as far as it waits by its waker.
    ///
    /// # Cancel safety
    ///
    /// What is dropped is not waited for, and ends where it waits.
    pub(super) async fn call(self: Arc<Self>, work: Work) -> Ending {
        let (tell, told) = oneshot::channel();
        // In a slot that both sides hold: a thread that cannot be started drops its closure.
        let slot = Arc::new(Mutex::new(Some(work)));
        let (link, theirs) = (self.clone(), slot.clone());
        let body = move || {
            if let Some(work) = take(&theirs) {
                link.drive(work, tell);
            }
        };
        if self.runtime.host().spawn("sundown-link".into(), Box::new(body)).is_ok() {
            return told.await.unwrap_or_else(|_| Err("its thread is gone".into()));
        }
        match take(&slot) {
            Some(work) => AssertUnwindSafe(work).catch_unwind().await.map_or_else(panicked, ended),
            None => Err("no thread could be had for it".into()),
        }
    }

    /// Drives the work to its end, or until nobody waits for it.
    fn drive(&self, mut work: Work, mut tell: oneshot::Sender<Ending>) {
        let (mut place, is_own) = match self.take_place() {
            Ok(taken) => taken,
            Err(why) => return drop(tell.send(Err(format!("no place to run: {why}")))),
        };
        let mut ending = None;
        let driven = catch_unwind(AssertUnwindSafe(|| {
            place.drive(pin!(async {
                if let Either::Left((result, _)) = select(work.as_mut(), tell.cancellation()).await {
                    ending = Some(ended(result));
                }
            }));
        }));
        let (ending, is_whole) = match driven {
            Ok(()) => (ending, true),
            Err(panic) => (Some(panicked(panic)), false),
        };
        let (kept, dropped) = if is_own && is_whole { (Some(place), None) } else { (None, Some(place)) };
        if is_own {
            self.give_back(kept);
        }
        if let Some(ending) = ending {
            let _ = tell.send(ending);
        }
        swallow(|| drop(dropped));
        swallow(|| drop(work));
    }

    /// Its own place, or, if a call before this one does not leave it, another for this once. Which of them it is.
    fn take_place(&self) -> io::Result<(Box<dyn Drive>, bool)> {
        let host = self.runtime.host();
        let mut vacancy = Vacancy { link: self, place: None };
        host.wait(&mut vacancy, Some(host.now() + PATIENCE));
        match vacancy.place {
            Some(place) => Ok((place, true)),
            None => Ok((self.runtime.private()?, false)),
        }
    }

    /// Leaves its own place. `None`: it is broken.
    fn give_back(&self, place: Option<Box<dyn Drive>>) {
        *self.place() = place.map_or(Place::Missing, Place::Free);
        self.returned.notify_all();
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that waits until no call is in a link's place, and has it then, if there is one.
struct Vacancy<'a> {
    link: &'a Link,
    place: Option<Box<dyn Drive>>,
}

impl Vacancy<'_> {
    /// Whether there is nothing to wait for.
    fn take_from(&mut self, place: &mut Place) -> bool {
        match mem::replace(place, Place::Busy) {
            Place::Free(free) => self.place = Some(free),
            Place::Missing => *place = Place::Missing,
            Place::Busy => return self.place.is_some(),
        }
        true
    }
}

impl Awaited for Vacancy<'_> {
    fn is_ready(&mut self) -> bool {
        let link = self.link;
        self.take_from(&mut link.place())
    }

    fn block(&mut self, until: Option<Instant>) -> bool {
        let link = self.link;
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let is_busy = |place: &mut Place| matches!(place, Place::Busy);
        let waited = link.returned.wait_timeout_while(link.place(), left, is_busy);
        let (mut place, _) = waited.unwrap_or_else(PoisonError::into_inner);
        self.take_from(&mut place)
    }
}

fn take(slot: &Mutex<Option<Work>>) -> Option<Work> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn ended(result: Result<(), NotifyError>) -> Ending {
    result.map_err(|error| error.describe())
}

fn panicked(panic: Box<dyn Any + Send>) -> Ending {
    Err(format!("it panicked: {}", panic_message(panic)))
}
