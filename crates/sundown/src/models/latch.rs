//! Register against set: nobody sleeps on a latch that is set, be it a task or a thread.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use super::{Data, block_on, every, interrupted, join, spawn};
use crate::{
    host::Awaited,
    latch::{Shared, Waiting},
};

/// Fails without the second look at the flag in `Waiting::poll`, with `wake` before `set` in `open`, and with `Relaxed`
/// in either of `set` and `is_set`.
#[test]
fn a_task_that_registers_while_the_latch_opens_wakes_and_sees_what_came_before() {
    every(|| {
        let (latch, data) = (Shared::default(), Data::new());
        let opener = spawn(&(latch.clone(), data.clone()), |(latch, data)| {
            data.write();
            latch.open();
        });
        block_on(Waiting::new(latch));
        assert_eq!(data.seen(), 1);
        join(opener);
    });
}

/// Setting and waking are two threads' work: the conductor's and an errand's. Fails as the one before, and if `wake` took
/// the wakers without the lock that `register` takes.
#[test]
fn a_task_wakes_though_another_thread_sets_than_wakes() {
    every(|| {
        let latch = Shared::default();
        let conductor = spawn(&latch, |latch| {
            latch.set();
            join(spawn(&latch, |latch| latch.wake()));
        });
        block_on(Waiting::new(latch));
        join(conductor);
    });
}

/// Fails if `set` notifies without having taken the lock in between.
#[test]
fn a_thread_that_blocks_while_the_latch_is_set_wakes() {
    every(|| {
        let (latch, data) = (Shared::default(), Data::new());
        let setter = spawn(&(latch.clone(), data.clone()), |(latch, data)| {
            data.write();
            latch.set();
        });
        assert!((&mut &*latch).block(None));
        assert_eq!(data.seen(), 1);
        join(setter);
    });
}

/// Fails if `wake` stops after the first waker, and if `forget` removed a slot that is not its own.
#[test]
fn one_that_goes_takes_nobody_elses_wake_up() {
    interrupted(4, || {
        let latch = Shared::default();
        let goes = spawn(&latch, |latch| {
            let mut waiting = Waiting::new(latch);
            let _ = Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop()));
        });
        let stays = spawn(&latch, |latch| block_on(Waiting::new(latch)));
        latch.open();
        join(goes);
        join(stays);
    });
}

/// Fails if `register` leaves the old waker where a slot is taken already.
#[test]
fn of_two_polls_the_last_one_s_waker_is_woken() {
    every(|| {
        let latch = Shared::default();
        let opener = spawn(&latch, |latch| latch.open());
        let mut waiting = Waiting::new(latch);
        let _ = Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop()));
        block_on(waiting);
        join(opener);
    });
}
