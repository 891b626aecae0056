//! One notifier of a chain, and how it is called: on a thread of its own, for each call, in a private place of its own.
//!
//! 1. **A link that keeps its thread keeps no other's time.** A call is waited for by a future, which can be dropped; the
//!    thread is then left to itself.
//! 2. **A link that waits for ever leaves nothing behind.** When nobody waits for a call any more, its future is dropped
//!    on its thread, which ends.
//! 3. **A call is over when its end is told**, before anything is dropped: destructors may hang.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_channel::oneshot;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use sundown::{BoxFuture, Drive, Notifier, NotifyError, Runtime, panic_message};

/// What a notifier is called for.
pub(super) type Work = BoxFuture<'static, Result<(), NotifyError>>;

/// How a call ended, if it did.
pub(super) type Ending = Result<(), String>;

pub(super) struct Link {
    pub(super) notifier: Arc<dyn Notifier>,
    runtime: Arc<dyn Runtime>,
    /// Where its calls are driven, one after another; `None` while one is. The lock guards the place it is kept in.
    place: Mutex<Option<Box<dyn Drive>>>,
}

impl Link {
    pub(super) fn new(runtime: Arc<dyn Runtime>, notifier: impl Notifier) -> Arc<Self> {
        Arc::new(Link { notifier: Arc::new(notifier), runtime, place: Mutex::default() })
    }

    /// Makes its place: later there may be no descriptors for one.
    pub(super) fn settle_in(&self) -> io::Result<()> {
        let place = self.runtime.private()?;
        *self.place() = Some(place);
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
        let mut place = match self.take_place() {
            Ok(place) => place,
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
        let ending = match driven {
            Ok(()) => {
                *self.place() = Some(place);
                ending
            }
            Err(panic) => {
                // It is only to be dropped now.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(place)));
                Some(panicked(panic))
            }
        };
        if let Some(ending) = ending {
            let _ = tell.send(ending);
        }
        let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
    }

    /// Its place, or, while a call before this one is still in it, another for this once.
    fn take_place(&self) -> io::Result<Box<dyn Drive>> {
        let kept = self.place().take();
        kept.map_or_else(|| self.runtime.private(), Ok)
    }

    fn place(&self) -> MutexGuard<'_, Option<Box<dyn Drive>>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(slot: &Mutex<Option<Work>>) -> Option<Work> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// An error with all its causes.
fn ended(result: Result<(), NotifyError>) -> Ending {
    result.map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    })
}

fn panicked(panic: Box<dyn Any + Send>) -> Ending {
    let message = format!("it panicked: {}", panic_message(&*panic));
    // What was thrown may throw again when it is dropped.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    Err(message)
}
