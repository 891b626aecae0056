//! After the end of the runtime: a shutdown still needs its private places, and holds sockets and listeners.

use std::{
    io::IoSlice,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use super::{
    Start,
    stage::{Place, Stage, drive},
};
use crate::conformance::trial::{Checked, OrBroken, Trial, require};

pub(super) fn a_place_works_after_the_runtime_is_gone(trial: &Trial<Start>) -> Checked {
    let mut stage = trial.stage();
    let place = stage.place()?;
    stage.end()?;
    works(trial, &stage, place)
}

pub(super) fn a_place_can_be_made_after_the_runtime_is_gone(trial: &Trial<Start>) -> Checked {
    let mut stage = trial.stage();
    stage.end()?;
    let runtime = stage.runtime();
    let place = trial.off_thread("`private` after the runtime is gone", move || runtime.private())?;
    works(trial, &stage, place.or_broken("`private` after the runtime is gone")?)
}

/// A future with a timer ends there.
fn works(trial: &Trial<Start>, stage: &Stage, mut place: Place) -> Checked {
    let runtime = stage.runtime();
    let driven = trial.off_thread("a place after the runtime is gone", move || {
        drive(&mut *place, runtime.sleep_until(Instant::now() + Duration::from_millis(5)))
    })?;
    require(driven.is_some(), || "expected the place to drive a timer to its end, it returned before".into())
}

pub(super) fn a_spawn_after_the_runtime_is_gone_does_not_panic(trial: &Trial<Start>) -> Checked {
    let mut stage = trial.stage();
    stage.end()?;
    let runtime = stage.runtime();
    trial.at_once("`spawn`, or `abort`, after the runtime is gone", move || {
        runtime.spawn(Box::pin(async {})).abort();
    })
}

pub(super) fn a_socket_does_not_panic_after_the_runtime_is_gone(trial: &Trial<Start>) -> Checked {
    let mut stage = trial.stage();
    let pair = stage.pair()?;
    stage.end()?;
    let transport = pair.transport;
    trial.at_once("a transport after the runtime is gone", move || {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = transport.poll_read(&mut cx, &mut [0; 8]);
        let _ = transport.poll_write_vectored(&mut cx, &[IoSlice::new(b"late")]);
        drop(transport);
    })
}

pub(super) fn a_listener_does_not_panic_after_the_runtime_is_gone(trial: &Trial<Start>) -> Checked {
    let mut stage = trial.stage();
    let (mut listener, address) = stage.listen()?;
    stage.end()?;
    let _client = stage.connect(address)?;
    trial.at_once("a listener after the runtime is gone", move || {
        let _ = listener.poll_accept(&mut Context::from_waker(Waker::noop()));
        drop(listener);
    })
}
