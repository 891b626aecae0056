//! A flag that a future waits for and a thread sets.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    task::{Context, Poll, Waker},
};

/// Sets the flag. Dropped without that, it leaves who waits waiting.
#[derive(Clone, Debug)]
pub(crate) struct Setter(Arc<Mutex<State>>);

/// Resolves when the flag is set.
#[derive(Clone, Debug)]
pub(crate) struct Flag(Arc<Mutex<State>>);

/// The lock guards both; wakers are woken outside it.
#[derive(Debug, Default)]
struct State {
    set: bool,
    wakers: Vec<Waker>,
}

pub(crate) fn wakeable() -> (Setter, Flag) {
    let state = Arc::default();
    (Setter(Arc::clone(&state)), Flag(state))
}

impl Setter {
    pub(crate) fn wake(&self) {
        let wakers = {
            let mut state = lock(&self.0);
            state.set = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Flag {
    /// Resolves with the flag, and tells each time that it waits for it, when it can be woken already.
    pub(crate) async fn telling(mut self, waits: Sender<()>) {
        poll_fn(|cx| {
            let polled = Pin::new(&mut self).poll(cx);
            if polled.is_pending() {
                let _ = waits.send(());
            }
            polled
        })
        .await;
    }
}

impl Future for Flag {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.set {
            return Poll::Ready(());
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
