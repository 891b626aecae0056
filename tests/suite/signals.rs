//! Which signal does what, and how often.

use std::time::Duration;

use rustix::process::Signal;
use sundown_tests::{ROOM, promised, side_by_side};

use super::{FLAVOURS, PROGRAMS, on_each_flavour};

const GRACE: Duration = Duration::from_secs(4);
/// What is left of the grace for the drain when nothing is shrunk.
const DRAIN: Duration = Duration::from_millis(2_200);
/// Until when a repeated signal counts as the same one.
const REPEAT: Duration = Duration::from_millis(200);
const JOBS: [&str; 2] = ["job-1", "job-2"];

/// Lets so much time pass that the next signal counts. There is no event to wait for.
fn let_the_repeat_pass() {
    std::thread::sleep(REPEAT + Duration::from_millis(50));
}

#[test]
fn each_of_the_three_signals_begins_and_is_the_reason() {
    let cases = [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")];
    side_by_side(&on_each_flavour(&cases), |&(flavour, (signal, name))| {
        let child = PROGRAMS.ready(flavour);
        let signalled = child.signal(signal);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert!(ending.after(signalled) >= DRAIN, "it drained: {:?}", ending.after(signalled));
        assert_eq!(ending.report().reason(), name);
        assert_eq!(ending.report().jobs("handed_over"), JOBS);
        ending.assert_code(0);
    });
}

#[test]
fn a_second_term_changes_nothing() {
    side_by_side(&FLAVOURS, |flavour| {
        let mut child = PROGRAMS.ready(flavour);
        let signalled = child.signal(Signal::TERM);
        child.wait_for("witness draining");
        for _ in 0..2 {
            let_the_repeat_pass();
            child.signal(Signal::TERM);
        }
        let ending = child.end();
        assert!(ending.after(signalled) >= DRAIN, "it drained on: {:?}", ending.after(signalled));
        // And the deadline was not moved away.
        ending.assert_within(DRAIN + Duration::from_millis(300), signalled);
        assert_eq!(ending.report().jobs("handed_over"), JOBS);
        ending.assert_code(0);
    });
}

#[test]
fn a_second_interrupt_goes_straight_to_the_claim_and_hands_over() {
    let cases = [
        (Signal::INT, Signal::INT, "SIGINT"),
        (Signal::TERM, Signal::INT, "SIGTERM"),
        (Signal::TERM, Signal::QUIT, "SIGTERM"),
        (Signal::QUIT, Signal::INT, "SIGQUIT"),
    ];
    side_by_side(&on_each_flavour(&cases), |&(flavour, (first, second, reason))| {
        let mut child = PROGRAMS.ready(flavour);
        child.signal(first);
        child.wait_for("witness draining");
        let_the_repeat_pass();
        let hurried = child.signal(second);
        let ending = child.end();
        ending.assert_within(Duration::from_millis(250), hurried);
        ending.assert_order(&[
            "jobs close",
            "jobs claim",
            "taker incomplete",
            "jobs conclude",
            "jobs force",
            "release",
        ]);
        assert_eq!(ending.report().jobs("handed_over"), JOBS);
        assert_eq!(ending.report().reason(), reason);
        ending.assert_code(0);
    });
}

#[test]
fn a_third_interrupt_exits_at_once() {
    side_by_side(&FLAVOURS, |flavour| {
        // What the second one started is never over.
        let mut child = PROGRAMS.ready(&format!("--taker blocks-in-incomplete {flavour}"));
        child.signal(Signal::INT);
        child.wait_for("witness draining");
        let_the_repeat_pass();
        child.signal(Signal::INT);
        child.wait_for("taker incomplete");
        let_the_repeat_pass();
        let insisted = child.signal(Signal::INT);
        let ending = child.end();
        ending.assert_within(Duration::ZERO, insisted);
        ending.assert_code(128 + 2);
        assert!(!ending.has("jobs conclude"), "nothing is done any more");
    });
}

#[test]
fn an_interrupt_that_is_delivered_twice_counts_once() {
    // Counted twice, the second delivery would hurry and the next interrupt exit with 130.
    for _attempt in 0..10 {
        let mut child = PROGRAMS.ready("");
        let first = child.signal(Signal::INT);
        child.wait_for("witness draining");
        let second = child.signal(Signal::INT);
        if second - first > REPEAT / 2 {
            continue; // The machine was too slow for it to be one Ctrl-C.
        }
        let_the_repeat_pass();
        let third = child.signal(Signal::INT);
        let claimed = child.wait_for("jobs claim").at;
        assert!(claimed > third, "the drain was cut short by a repeat");
        let ending = child.end();
        ending.assert_within(Duration::from_millis(250), third);
        assert_eq!(ending.report().jobs("handed_over"), JOBS);
        ending.assert_code(0);
        return;
    }
    panic!("too slow to deliver a signal twice within {REPEAT:?}");
}

#[test]
fn a_shutdown_to_which_nothing_was_added_leaves_at_once() {
    let child = PROGRAMS.ready("--bare");
    let signalled = child.signal(Signal::TERM);
    let ending = child.end();
    ending.assert_within(Duration::from_millis(100), signalled);
    assert_eq!(ending.report().reason(), "SIGTERM");
    ending.assert_code(0);
}

#[test]
fn a_component_that_comes_too_late_is_refused_by_name_and_changes_nothing() {
    side_by_side(&FLAVOURS, |flavour| {
        let child = PROGRAMS.ready(&format!("--main adds {flavour}"));
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert_eq!(
            ending.find("refused "),
            Some("component \"late\" comes too late: the service is draining"),
            "{}",
            ending.text()
        );
        assert_eq!(ending.report().jobs("handed_over"), JOBS);
        ending.assert_code(0);
    });
}

#[test]
fn a_signal_tightens_the_deadline_of_a_shutdown_under_way() {
    side_by_side(&FLAVOURS, |flavour| {
        // A minute for a deploy; the platform gives four seconds from its signal.
        let mut child = PROGRAMS.ready(&format!("--begin-within 60 {flavour}"));
        child.wait_for("witness draining requested: deploy");
        assert!(child.stays_for(REPEAT), "there is a minute");
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert!(
            ending.after(signalled) >= DRAIN,
            "what the signal gives is used: {:?}",
            ending.after(signalled)
        );
        assert_eq!(ending.report().reason(), "requested: deploy", "the first reason stands");
        assert_eq!(ending.report().jobs("handed_over"), JOBS);
        ending.assert_code(0);
    });
}

#[test]
fn a_signal_does_not_move_a_nearer_deadline_away() {
    let mut child = PROGRAMS.ready("--grace 60 --begin-within 2");
    let began = child.wait_for("witness draining requested: deploy").at;
    child.signal(Signal::TERM);
    let ending = child.end();
    assert!(ending.after(began) < Duration::from_secs(2) + ROOM, "gone after {:?}", ending.after(began));
    assert_eq!(ending.report().jobs("handed_over"), JOBS);
}

#[test]
fn a_deadline_beyond_all_time_is_as_good_as_none() {
    let mut child = PROGRAMS.ready("--begin-within 18000000000000000000");
    child.wait_for("witness draining requested: deploy");
    let signalled = child.signal(Signal::TERM);
    let ending = child.end();
    ending.assert_within(promised(GRACE), signalled);
    assert_eq!(ending.report().jobs("handed_over"), JOBS);
    ending.assert_code(0);
}
