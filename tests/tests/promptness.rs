//! Promise 8, for the bare core: it leaves as soon as it can.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sundown_tests::{Child, median};

const UNRULY: &str = env!("CARGO_BIN_EXE_unruly");
const RUNS: usize = 20;

/// The median is what is promised, with room for a slow machine; a single run may meet a busy one.
fn assert_prompt(what: &str, bound: Duration, run: impl Fn() -> Duration) {
    let (median, longest) = median((0..RUNS).map(|_| run()).collect());
    println!("{what}: median {median:?}, longest {longest:?} of {RUNS}");
    assert!(median < bound, "{what}: median {median:?} of {RUNS}, bound {bound:?}");
}

fn gone_after(child: Child, event: Instant) -> Duration {
    let ending = child.end();
    ending.assert_code(0);
    assert!(ending.has("release") && ending.has("finished"), "no step was left out: {}", ending.text());
    ending.after(event)
}

#[test]
fn with_nothing_in_flight_it_is_gone_at_once() {
    assert_prompt("from the signal to the end", Duration::from_millis(100), || {
        let child = Child::ready(UNRULY, "--jobs 0");
        let signalled = child.signal(Signal::TERM);
        gone_after(child, signalled)
    });
}

#[test]
fn it_is_gone_as_soon_as_the_last_guard_is() {
    assert_prompt("from the last guard to the end", Duration::from_millis(60), || {
        let mut child = Child::ready(UNRULY, "--jobs 0 --hold");
        child.signal(Signal::TERM);
        child.wait_for("witness draining");
        let released = child.tell("release");
        gone_after(child, released)
    });
}
