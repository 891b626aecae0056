//! A start that is refused leaves nothing behind: the signals keep their default, and what is wrong can be corrected.

use rustix::process::Signal;
use sundown_tests::{Child, side_by_side};

use super::PROGRAMS;

#[test]
fn a_grace_in_the_environment_that_is_no_number_is_refused_by_the_variables_name() {
    for (text, error) in [
        ("abc", "SUNDOWN_GRACE is \"abc\", which is not a number of seconds"),
        ("10s", "SUNDOWN_GRACE is \"10s\", which is not a number of seconds"),
        ("-1", "SUNDOWN_GRACE is \"-1\", which is not a number of seconds"),
        ("0", "the grace is 0 s (set by SUNDOWN_GRACE): there is no time to shut down in"),
    ] {
        let mut child = PROGRAMS.second_try("grace", "nothing", text);
        assert_eq!(child.wait_for("refused ").text, format!("refused {error}"));
    }
}

#[test]
fn a_second_shutdown_of_one_process_is_refused_and_the_first_one_stands() {
    let mut child = PROGRAMS.second_try("two", "nothing", "4");
    assert_eq!(
        child.wait_for("refused ").text,
        "refused this process has had a process-wide shutdown already: only one is possible, which owns signals and exit"
    );
    child.wait_for("ready");
    child.signal(Signal::TERM);
    let ending = child.end();
    assert_eq!(ending.report().reason(), "SIGTERM");
    ending.assert_code(0);
}

const MISTAKES: [&str; 4] = ["cycle", "reserves", "notifier", "grace"];

fn start_wrong(mistake: &str, then: &str) -> Child {
    let mut child = PROGRAMS.second_try(mistake, then, "abc");
    child.wait_for("refused ");
    child.wait_for("ready");
    child
}

#[test]
fn a_start_that_failed_leaves_the_signals_to_their_default() {
    let signals = [(Signal::TERM, 15), (Signal::INT, 2), (Signal::QUIT, 3)];
    let cases: Vec<_> =
        MISTAKES.iter().flat_map(|mistake| signals.map(|signal| (*mistake, signal))).collect();
    side_by_side(&cases, |&(mistake, (signal, number))| {
        let child = start_wrong(mistake, "nothing");
        child.signal(signal);
        assert_eq!(child.end().signal(), Some(number));
    });
}

#[test]
fn a_start_that_failed_can_be_corrected_and_tried_again() {
    side_by_side(&MISTAKES, |mistake| {
        let child = start_wrong(mistake, "corrected");
        child.signal(Signal::TERM);
        let ending = child.end();
        assert_eq!(ending.report().reason(), "SIGTERM");
        assert_eq!(ending.report().component("gate", "drained"), "done");
        ending.assert_code(0);
    });
}
