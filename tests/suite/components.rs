//! One component misbehaves, or several: every later step still runs, what the others have in hand is handed over, the
//! report names the culprit, and the process is gone on time.

use std::time::Duration;

use rustix::process::Signal;
use sundown_tests::{Ending, side_by_side};

use super::{FLAVOURS, PROGRAMS, on_each_flavour};

const GRACE: Duration = Duration::from_secs(4);

/// What becomes of the good parts, whoever misbehaves beside them.
const GOOD: [&[&str]; 4] = [
    &["gate close", "gate drained", "gate claim", "gate conclude", "gate force", "release", "finished"],
    &["jobs close", "jobs claim", "taker incomplete", "jobs conclude job-1 handed-over job-2 handed-over"],
    &["jobs conclude", "jobs force", "release", "finished"],
    &["taker draining SIGTERM", "taker incomplete", "jobs force", "taker finished", "finished"],
];

fn terminate(arguments: &str) -> Ending {
    PROGRAMS.ready(arguments).terminate(GRACE, &GOOD)
}

/// What a component does (which is its name), the step of the report, what that says, the exit code.
type Case<'a> = (&'a str, &'a str, &'a str, i32);

fn run(cases: &[Case<'_>]) {
    side_by_side(&on_each_flavour(cases), |&(flavour, (name, step, outcome, code))| {
        let ending = terminate(&format!("--component {name} {flavour}"));
        let report = ending.report();
        assert_eq!(report.component(name, step), outcome);
        ending.assert_code(code);
        // Its own job is handed over too, unless it did not come to name it.
        let named = !name.ends_with("-in-claim");
        let mut handed_over = vec!["job-1", "job-2"];
        handed_over.extend(named.then_some(name));
        handed_over.sort_unstable();
        assert_eq!(report.jobs("handed_over"), handed_over);
        assert_eq!(report.component("gate", "drained"), "done");
        assert_eq!(report.component("jobs", "drained"), "late");
    });
}

#[test]
fn a_component_that_panics_in_any_step_costs_only_its_own_part() {
    run(&[
        ("panics-in-close", "closed", "panicked: on purpose in close", 1),
        ("panics-in-drained", "drained", "panicked: on purpose in drained", 1),
        ("panics-in-in_flight", "in_flight", "panicked: on purpose in in_flight", 1),
        ("panics-in-claim", "claim", "panicked: on purpose in claim", 1),
        ("panics-in-claimed", "claim", "panicked: on purpose in claimed", 1),
        ("panics-in-conclude", "conclude", "panicked: on purpose in conclude", 1),
        ("panics-in-force", "force", "panicked: on purpose in force", 1),
    ]);
}

/// Those that keep what is called for longer than there is time: in each method, the step of the report, the exit code.
/// Not to have drained is no failure by itself: the job was handed over.
const KEPT: [(&str, &str, i32); 7] = [
    ("close", "drained", 0),
    ("drained", "drained", 0),
    ("in_flight", "in_flight", 1),
    ("claim", "claim", 1),
    ("claimed", "claim", 1),
    ("conclude", "conclude", 1),
    ("force", "force", 1),
];

fn run_kept(how: &str) {
    let names = KEPT.map(|(method, ..)| format!("{how}-in-{method}"));
    let cases: Vec<_> =
        names.iter().zip(KEPT).map(|(name, (_, step, code))| (&**name, step, "late", code)).collect();
    run(&cases);
}

#[test]
fn a_component_that_blocks_its_thread_in_any_step_costs_only_its_own_part() {
    run_kept("blocks");
}

#[test]
fn a_component_that_is_late_in_any_step_costs_only_its_own_part() {
    run_kept("late");
}

/// It is told on the thread that starts the shutdown, before there is anything to shut down.
#[test]
fn a_component_that_is_slow_to_join_delays_the_start_and_one_that_panics_fails_it() {
    let report = terminate("--component late-in-joined").report();
    assert_eq!(report.jobs("handed_over"), ["job-1", "job-2", "late-in-joined"]);
    let ending = PROGRAMS.unruly("--component panics-in-joined").end();
    assert!(ending.complaints.contains("on purpose in joined"), "{}", ending.text());
    ending.assert_code(101);
}

/// There is no shutdown yet: a signal does what it does by default.
#[test]
fn a_component_that_blocks_in_joining_leaves_the_process_its_signals() {
    let mut child = PROGRAMS.unruly("--component blocks-in-joined");
    child.wait_for("blocks-in-joined joined");
    child.signal(Signal::TERM);
    assert_eq!(child.end().signal(), Some(15));
}

#[test]
fn a_component_that_never_ends_a_step_costs_only_its_own_part() {
    run(&[("never-drains", "drained", "late", 0), ("hangs-in-conclude", "conclude", "late", 1)]);
}

#[test]
fn a_component_that_never_drains_is_reported_with_what_it_had_in_flight() {
    let report = terminate("--component never-drains").report();
    assert_eq!(report.in_flight("never-drains"), Some(1));
    assert_eq!(report.in_flight("jobs"), Some(2));
    assert_eq!(report.in_flight("gate"), None, "it had drained");
}

#[test]
fn a_component_behind_one_that_never_drains_has_its_turn_before_the_claim() {
    side_by_side(&["never-drains", "blocks-in-close", "blocks-in-drained"], |culprit| {
        let ending = terminate(&format!("--in-turn --component {culprit}"));
        ending.assert_order(&["jobs close", "gate close", "gate drained", "jobs in_flight"]);
    });
}

#[test]
fn a_component_behind_one_that_panics_has_its_turn_at_once() {
    side_by_side(&["panics-in-close", "panics-in-drained"], |culprit| {
        let mut child = PROGRAMS.ready(&format!("--in-turn --component {culprit}"));
        let signalled = child.signal(Signal::TERM);
        let closed = child.wait_for("gate close").at;
        assert!(closed - signalled < Duration::from_millis(500), "after {:?}", closed - signalled);
    });
}

#[test]
fn all_misdeeds_at_once_cost_no_more_than_one() {
    let all = [
        "--component never-drains --component panics-in-close --component blocks-in-close",
        "--component panics-in-drained --component blocks-in-drained --component blocks-in-in_flight",
        "--component panics-in-claimed --component blocks-in-claimed --component panics-in-claim",
        "--component blocks-in-claim --component panics-in-conclude --component blocks-in-conclude",
        "--component hangs-in-conclude --component panics-in-force --component blocks-in-force",
        "--told blocks-in-draining --hook blocks-in-release",
    ];
    side_by_side(&FLAVOURS, |flavour| {
        // Time for `main` to print the report in: a quarter of the release reserve.
        let ending = terminate(&format!("--release 1 {flavour} {}", all.join(" ")));
        let report = ending.report();
        ending.assert_code(1);
        for (name, step, outcome) in [
            ("never-drains", "drained", "late"),
            ("panics-in-close", "closed", "panicked: on purpose in close"),
            ("blocks-in-close", "drained", "late"),
            ("blocks-in-claimed", "claim", "late"),
            ("blocks-in-conclude", "conclude", "late"),
            ("panics-in-force", "force", "panicked: on purpose in force"),
            ("blocks-in-force", "force", "late"),
        ] {
            assert_eq!(report.component(name, step), outcome, "{name}");
        }
        assert_eq!(report.hook("culprit"), "late");
        let handed_over = report.jobs("handed_over");
        assert_eq!(
            handed_over.len(),
            2 + 13,
            "all but those of the two that claimed nothing: {handed_over:?}"
        );
    });
}

/// Promise 3: a job is in doubt when its component hung before it could name it.
#[test]
fn what_a_component_had_in_flight_and_never_claimed_is_in_doubt() {
    side_by_side(&["panics-in-claim", "blocks-in-claim", "late-in-claim"], |name| {
        let report = terminate(&format!("--component {name}")).report();
        assert_eq!(report.in_flight(name), Some(1));
        assert_eq!(report.unnamed_in_doubt(), 1);
    });
}
