//! A `main` that does not come back, comes back too early, or cannot end: the process is gone on time all the same, and
//! what was in hand is handed over. Where `main` cannot print, the report is the one that the witness was told.

use std::{thread, time::Duration};

use rustix::process::Signal;
use sundown_tests::{Ending, promised, side_by_side};

use super::PROGRAMS;

const GRACE: Duration = Duration::from_secs(4);
/// How long a process is watched that should stay.
const LONG_ENOUGH: Duration = Duration::from_millis(700);

/// What becomes of the parts in every case, be there time to drain or not. (A notice that draining has begun is of use
/// only where there is.)
fn assert_all_done(ending: &Ending) {
    ending.assert_order(&["gate close", "gate claim"]);
    ending.assert_order(&["jobs close", "jobs claim"]);
    assert_handed_over(ending);
}

/// Whatever is done from the claim on.
fn assert_handed_over(ending: &Ending) {
    ending.assert_order(&["gate claim", "gate conclude", "gate force", "release"]);
    ending.assert_order(&["jobs claim", "taker incomplete", "jobs conclude", "jobs force", "release"]);
    ending.assert_order(&["taker incomplete", "taker finished"]);
    assert_eq!(ending.told().jobs("handed_over"), ["job-1", "job-2"]);
}

#[test]
fn a_main_that_cannot_end_is_ended() {
    let ways = ["--main hangs", "--main runtime-hangs", "--main exit-hangs"];
    let cases: Vec<_> =
        ways.iter().flat_map(|way| [format!("{way} --multi-thread"), (*way).to_owned()]).collect();
    side_by_side(&cases, |arguments| {
        let child = PROGRAMS.ready(arguments);
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert_all_done(&ending);
        ending.assert_order(&["taker draining SIGTERM", "taker incomplete"]);
        assert_eq!(ending.report().reason(), "SIGTERM");
        ending.assert_code(0); // the report is clean
    });
}

#[test]
fn a_main_that_cannot_end_is_ended_with_the_code_of_the_report() {
    side_by_side(&["hangs", "runtime-hangs", "exit-hangs"], |way| {
        let child = PROGRAMS.ready(&format!("--main {way} --component panics-in-force"));
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        ending.assert_code(1);
    });
}

/// Longer than anybody is waited for at the claim.
const STANDSTILL: Duration = Duration::from_millis(400);

#[test]
fn a_process_that_stands_still_around_the_claim_hands_over_all_the_same() {
    let moments: Vec<_> = (0..12).map(|n| Duration::from_micros(n * 150)).collect();
    side_by_side(&moments, |moment| {
        let child = PROGRAMS.ready("");
        let signalled = child.signal(Signal::TERM);
        let hurried = child.signal(Signal::INT);
        while hurried.elapsed() < *moment {
            std::hint::spin_loop();
        }
        child.signal(Signal::STOP);
        thread::sleep(STANDSTILL);
        child.signal(Signal::CONT);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        // A claim waits for the close before it, but not for so long.
        assert_handed_over(&ending);
    });
}

/// The control: these hang, and would for ever.
#[test]
fn without_a_shutdown_the_runtime_and_the_exit_do_hang() {
    let mut cases = vec![("exit-hangs", "destructor")];
    cases.extend(PROGRAMS.drop_waits.then_some(("runtime-hangs", "returning")));
    side_by_side(&cases, |(way, last_line)| {
        let mut child = PROGRAMS.ready(&format!("--alone --main {way}"));
        if *way == "exit-hangs" {
            child.wait_for("returning");
        }
        child.wait_for(last_line);
        assert!(child.stays_for(LONG_ENOUGH), "{way} does not hang by itself");
        child.signal(Signal::KILL);
        assert_eq!(child.end().signal(), Some(9));
    });
}

#[test]
fn a_main_that_returns_early_ends_as_if_in_a_hurry_and_cuts_nothing_short() {
    let mut child = PROGRAMS.unruly("--main returns");
    let began = child.wait_for("ready").at;
    let ending = child.end();
    assert_all_done(&ending);
    assert_eq!(ending.told().reason(), "the shutdown's owner was dropped");
    ending.assert_code(0); // what main returned
    // Nobody waits for the drain, which would take 2.2 s.
    ending.assert_within(Duration::from_secs(1), began);
}

#[test]
fn a_claim_in_a_hurry_does_not_overtake_a_slow_close() {
    let ending = PROGRAMS.ready("--main returns --component dawdles-in-close").end();
    ending.assert_order(&["dawdles-in-close close", "dawdles-in-close claim"]);
    assert_eq!(ending.told().jobs("handed_over"), ["dawdles-in-close", "job-1", "job-2"]);
    ending.assert_code(0);
}

#[test]
fn a_main_that_panics_cuts_nothing_short() {
    side_by_side(&["--main panics", "--main panics --multi-thread"], |arguments| {
        let mut child = PROGRAMS.unruly(arguments);
        let began = child.wait_for("ready").at;
        let ending = child.end();
        assert_all_done(&ending);
        assert_eq!(ending.told().reason(), "the shutdown's owner was dropped");
        ending.assert_code(101); // what a panic of main ends with
        ending.assert_within(Duration::from_secs(1), began);
    });
}

#[test]
fn a_release_hook_that_never_ends_is_named_and_left() {
    let cases = [
        ("hangs", "late"),
        ("blocks", "late"),
        ("late", "late"),
        ("panics", "panicked: on purpose in release"),
    ];
    side_by_side(&cases, |(how, outcome)| {
        // Time for `main` to print the report in: a quarter of the release reserve.
        let child = PROGRAMS.ready(&format!("--release 1 --hook {how}-in-release"));
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert_all_done(&ending);
        assert_eq!(ending.report().hook("culprit"), *outcome);
        assert_eq!(ending.report().hook("good"), "done");
        ending.assert_code(1);
    });
}

#[test]
fn a_blocked_runtime_hears_the_signal_at_once_and_loses_nothing() {
    side_by_side(&["--blocked", "--blocked --multi-thread"], |arguments| {
        let mut child = PROGRAMS.ready(arguments);
        let signalled = child.signal(Signal::TERM);
        let noticed = child.wait_for("witness draining").at - signalled;
        assert!(noticed < Duration::from_millis(200), "noticed after {noticed:?}");
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert_all_done(&ending);
        ending.assert_order(&["taker draining SIGTERM", "taker incomplete"]);
        ending.assert_code(0);
    });
}

/// The control: SIGTERM ends it by its default, at once and with nothing done.
#[test]
fn without_a_shutdown_a_signal_ends_a_blocked_runtime_by_its_default() {
    let child = PROGRAMS.ready("--alone --blocked");
    child.signal(Signal::TERM);
    assert_eq!(child.end().signal(), Some(15));
}
