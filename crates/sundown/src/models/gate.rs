//! Enter against close, and the last guard against whoever waits for it.

use super::{Data, block_on, every, interrupted, join, spawn};
use crate::Gate;

/// Enters, works, leaves. Returns whether it was let in.
fn pass(gate: &Gate, work: &Data) -> bool {
    let Ok(_guard) = gate.enter() else { return false };
    work.write();
    true
}

/// Fails if the gate looks whether it is closed before it counts (a load, then an addition), with less than `Release` in
/// `Guard::drop`, and with less than `Acquire` in `close`.
#[test]
fn whoever_was_let_in_is_waited_for_and_its_work_is_seen() {
    every(|| {
        let (gate, work) = (Gate::new(), Data::new());
        let enters = spawn(&(gate.clone(), work.clone()), |(gate, work)| pass(&gate, &work));
        gate.close();
        block_on(gate.empty());
        let seen = work.seen();
        // Whoever was let in had left by then.
        assert_eq!(usize::from(join(enters)), seen);
        assert_eq!(gate.inside(), 0);
    });
}

/// The one that leaves last opens the latch, in the name of the other as well. Fails with less than `AcqRel` in
/// `Guard::drop`.
#[test]
fn of_two_that_leave_the_work_of_both_is_seen() {
    interrupted(4, || {
        let (gate, work) = (Gate::new(), Data::new());
        let leave = || {
            let (guard, work) = (gate.enter().expect("it is open"), work.clone());
            loom::thread::spawn(move || {
                work.write();
                drop(guard);
            })
        };
        let (one, two) = (leave(), leave());
        gate.close();
        block_on(gate.empty());
        assert_eq!(work.seen(), 2);
        join(one);
        join(two);
    });
}

/// Fails if a newcomer who is refused only takes its count back, without looking whether the last one has meanwhile left
/// without being the last.
#[test]
fn one_who_is_refused_does_not_keep_the_drain_waiting() {
    every(|| {
        let gate = Gate::new();
        let guard = gate.enter().expect("it is open");
        let closes = spawn(&gate, |gate| gate.close());
        let leaves = loom::thread::spawn(move || drop(guard));
        let refused = gate.enter().map(drop);
        join(closes);
        join(leaves);
        assert!(gate.enter().is_err(), "{refused:?}");
        block_on(gate.empty());
    });
}

/// It has left again, and that shows it. Fails with less than `Release` in `close`, or less than `Acquire` in
/// `Guard::drop`.
#[test]
fn one_who_is_refused_sees_what_came_before_the_close() {
    every(|| {
        let (gate, deadline) = (Gate::new(), Data::new());
        let closes = spawn(&(gate.clone(), deadline.clone()), |(gate, deadline)| {
            deadline.write();
            gate.close();
        });
        if gate.enter().is_err() {
            assert_eq!(deadline.seen(), 1);
        }
        join(closes);
    });
}

/// Fails if `close` does not wake those who wait for it, or does not look whether nobody is inside.
#[test]
fn of_two_that_close_each_empty_gate_is_empty_and_closed_for_all() {
    interrupted(4, || {
        let gate = Gate::new();
        let closes = spawn(&gate, |gate| gate.close());
        let waits = spawn(&gate, |gate| block_on(gate.closed()));
        gate.close();
        block_on(gate.empty());
        join(closes);
        join(waits);
    });
}
