//! Signals that mean something else than usual, and what they do when the shutdown is over and the process is not.

use std::time::Duration;

use rustix::process::Signal;
use sundown_tests::{Child, promised, side_by_side};

use super::PROGRAMS;

const GRACE: Duration = Duration::from_secs(4);

fn table(words: &str) -> Child {
    Child::spawn(PROGRAMS.fixtures, &format!("table {words}"), &[])
}

/// The fixture in a process that was started with SIGHUP ignored.
fn without_hup(words: &str) -> Child {
    Child::spawn("nohup", &format!("{} table {words}", PROGRAMS.fixtures), &[])
}

#[test]
fn once_a_shutdown_is_over_a_signal_does_what_it_would_have_done_without() {
    let signals = [(Signal::TERM, 15), (Signal::INT, 2), (Signal::QUIT, 3), (Signal::HUP, 1)];
    let ways = ["begins hup", "drops hup"];
    let cases: Vec<_> = ways.iter().flat_map(|way| signals.map(|signal| (*way, signal))).collect();
    side_by_side(&cases, |&(way, (signal, number))| {
        let mut child = table(way);
        child.wait_for("kept");
        let signalled = child.signal(signal);
        let ending = child.end();
        assert_eq!(ending.signal(), Some(number), "{}", ending.text());
        ending.assert_within(Duration::ZERO, signalled);
    });
}

#[test]
fn no_signal_is_lost_while_a_shutdown_ends() {
    let moments: Vec<_> = (0..24).map(|n| Duration::from_micros(n * 100)).collect();
    side_by_side(&moments, |moment| {
        let mut child = table("begins");
        let ending = child.wait_for("ending").at;
        while ending.elapsed() < *moment {
            std::hint::spin_loop();
        }
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        let ended = ending.signal().or(ending.status.code());
        assert!(matches!(ended, Some(15 | 0)), "by the shutdown or by its default: {}", ending.status);
    });
}

#[test]
fn a_signal_that_the_process_ignored_before_is_ignored_again() {
    let mut child = without_hup("begins hup");
    child.wait_for("kept");
    child.signal(Signal::HUP);
    assert!(child.stays_for(Duration::from_millis(300)), "nohup");
    child.signal(Signal::TERM);
    assert_eq!(child.end().signal(), Some(15));
    // Whoever gives it a meaning hears it all the same.
    let mut child = without_hup("hup");
    child.wait_for("ready");
    child.signal(Signal::HUP);
    let ending = child.end();
    assert_eq!(ending.report().reason(), "SIGHUP");
    ending.assert_code(0);
}

#[test]
fn the_first_process_of_a_container_is_spared_the_defaults_again() {
    let Some(mut child) = PROGRAMS.first("table begins") else { return };
    child.wait_for("kept");
    child.signal_its_child();
    child.signal(Signal::TERM);
    assert!(child.stays_for(Duration::from_millis(300)), "as without a shutdown");
    let Some(mut child) = PROGRAMS.first("table begins again") else { return };
    child.wait_for("ready");
    child.signal_its_child();
    child.signal(Signal::TERM);
    assert_eq!(child.end().report().reason(), "SIGTERM");
}

#[test]
fn a_process_that_was_kept_can_be_shut_down_again() {
    side_by_side(&["begins again", "drops again"], |words| {
        let mut child = table(words);
        child.wait_for("kept");
        child.wait_for("ready");
        let signalled = child.signal(Signal::TERM);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        assert_eq!(ending.report().reason(), "SIGTERM");
        ending.assert_code(0);
    });
}

#[test]
fn a_process_that_would_be_kept_is_ended_by_the_shutdown_that_a_signal_began() {
    let mut child = table("hangs");
    child.wait_for("ready");
    let signalled = child.signal(Signal::TERM);
    let ending = child.end();
    ending.assert_within(promised(GRACE), signalled);
    ending.assert_code(0);
}

#[test]
fn a_signal_of_the_programs_own_choice_begins_and_another_exits_at_once() {
    let mut begins = table("hup");
    begins.wait_for("ready");
    begins.signal(Signal::HUP);
    let ending = begins.end();
    assert_eq!(ending.report().reason(), "SIGHUP");
    ending.assert_code(0);

    let mut exits = table("hup");
    exits.wait_for("ready");
    let signalled = exits.signal(Signal::USR1);
    let ending = exits.end();
    ending.assert_within(Duration::ZERO, signalled);
    ending.assert_code(128 + Signal::USR1.as_raw());
    assert!(!ending.has("finished"));
}

#[test]
fn an_observed_stop_does_not_stop_and_nothing_begins() {
    let mut child = table("observes");
    child.wait_for("ready");
    for (signal, name) in [(Signal::TSTP, "SIGTSTP"), (Signal::CONT, "SIGCONT"), (Signal::HUP, "SIGHUP")] {
        child.signal(signal);
        child.wait_for(&format!("observed {name}"));
    }
    child.signal(Signal::TERM);
    let ending = child.end();
    assert_eq!(ending.report().reason(), "SIGTERM");
    ending.assert_code(0);
}

#[test]
fn an_observed_stop_stops_where_the_program_lets_it() {
    let mut child = table("observes stops");
    child.wait_for("ready");
    for _ in 0..2 {
        child.signal(Signal::TSTP);
        child.wait_for("observed SIGTSTP");
        child.wait_for_its_stop();
        child.signal(Signal::CONT);
        child.wait_for("observed SIGCONT");
    }
    child.signal(Signal::TERM);
    let ending = child.end();
    assert_eq!(ending.report().reason(), "SIGTERM");
    ending.assert_code(0);
}

#[test]
fn the_exit_code_shows_the_signal_where_that_is_wanted() {
    let cases =
        [("shows", Signal::TERM, 143), ("shows hangs", Signal::TERM, 143), ("shows hangs", Signal::INT, 130)];
    side_by_side(&cases, |&(words, signal, code)| {
        let mut child = table(words);
        child.wait_for("ready");
        let signalled = child.signal(signal);
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        ending.assert_code(code);
    });
}
