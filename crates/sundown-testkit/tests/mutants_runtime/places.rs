//! Wrong private places.

use std::{
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
};

use sundown::{Drive, Runtime};
use sundown_tokio::Tokio;
use tokio::runtime::{self, Builder};

use crate::fault::{Driven, Fault};

/// Drives on another thread.
pub(crate) struct Elsewhere;

impl Fault for Elsewhere {
    fn drive(&self, _: &Tokio, place: &mut dyn Drive, future: Driven<'_>) {
        thread::scope(|scope| drop(scope.spawn(move || place.drive(future))));
    }
}

/// Three polls are enough for everybody.
pub(crate) struct ThreePolls;

impl Fault for ThreePolls {
    fn drive(&self, _: &Tokio, place: &mut dyn Drive, mut future: Driven<'_>) {
        let mut polls = 0;
        place.drive(pin!(poll_fn(|cx| {
            polls += 1;
            if polls > 3 { Poll::Ready(()) } else { future.as_mut().poll(cx) }
        })));
    }
}

/// Wakes of other threads are lost.
pub(crate) struct OwnWakes;

struct Own(Waker, ThreadId);

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        if thread::current().id() == self.1 {
            self.0.wake_by_ref();
        }
    }
}

impl Fault for OwnWakes {
    fn drive(&self, _: &Tokio, place: &mut dyn Drive, mut future: Driven<'_>) {
        place.drive(pin!(poll_fn(|cx| {
            let own = Waker::from(Arc::new(Own(cx.waker().clone(), thread::current().id())));
            future.as_mut().poll(&mut Context::from_waker(&own))
        })));
    }
}

#[derive(Default)]
pub(crate) struct OneAtATime(Mutex<()>);

impl Fault for OneAtATime {
    fn drive(&self, _: &Tokio, place: &mut dyn Drive, future: Driven<'_>) {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.drive(future);
    }
}

/// A place that drives one future, and no more.
pub(crate) struct Once;

struct OncePlace(Option<Box<dyn Drive>>);

impl Drive for OncePlace {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        if let Some(mut place) = self.0.take() {
            place.drive(future);
        }
    }
}

impl Fault for Once {
    fn private(&self, right: &Tokio) -> io::Result<Box<dyn Drive>> {
        Ok(Box::new(OncePlace(Some(right.private()?))))
    }
}

/// Nobody hears of a panic.
pub(crate) struct Hides;

impl Fault for Hides {
    fn drive(&self, _: &Tokio, place: &mut dyn Drive, future: Driven<'_>) {
        let _ = catch_unwind(AssertUnwindSafe(|| place.drive(future)));
    }
}

/// A place whose runtime is dropped as any other value, which tokio forbids inside a task.
pub(crate) struct PlainDrop;

struct Plain(runtime::Runtime);

impl Drive for Plain {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        self.0.block_on(future);
    }
}

impl Fault for PlainDrop {
    fn private(&self, _: &Tokio) -> io::Result<Box<dyn Drive>> {
        Ok(Box::new(Plain(Builder::new_current_thread().enable_all().build()?)))
    }
}

/// Asks the service for permission, if there is a service.
pub(crate) struct NeedsService;

impl Fault for NeedsService {
    fn drive(&self, right: &Tokio, place: &mut dyn Drive, future: Driven<'_>) {
        let (tell, granted) = mpsc::channel::<()>();
        right.spawn(Box::pin(async move { drop(tell) }));
        let _ = granted.recv();
        place.drive(future);
    }
}

#[derive(Default)]
pub(crate) struct DriveGone(AtomicBool);

impl Fault for DriveGone {
    fn ended(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn drive(&self, _: &Tokio, place: &mut dyn Drive, future: Driven<'_>) {
        if !self.0.load(Ordering::Acquire) {
            place.drive(future);
        }
    }
}

#[derive(Default)]
pub(crate) struct PrivateGone(AtomicBool);

impl Fault for PrivateGone {
    fn ended(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn private(&self, right: &Tokio) -> io::Result<Box<dyn Drive>> {
        match self.0.load(Ordering::Acquire) {
            true => Err(io::Error::other("the runtime is gone, on purpose")),
            false => right.private(),
        }
    }
}
