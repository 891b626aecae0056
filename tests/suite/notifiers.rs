//! A notifier misbehaves: the steps after it still run, the jobs' fates are true, the report names it, and the process
//! is gone on time.

use std::time::Duration;

use rustix::process::Signal;
use sundown_tests::{Ending, promised, side_by_side};

use super::PROGRAMS;

const GRACE: Duration = Duration::from_secs(4);

/// What becomes of the good parts, whatever a notifier does.
const GOOD: [&[&str]; 5] = [
    &["gate close", "gate drained", "gate claim", "gate conclude", "gate force", "release"],
    &["jobs close", "jobs claim", "jobs conclude", "jobs force", "release"],
    // One that is only told is not waited for.
    &["jobs claim", "witness incomplete job-1 job-2"],
    &["witness draining SIGTERM", "witness incomplete"],
    &["jobs force", "witness finished"],
];

const JOBS: [&str; 2] = ["job-1", "job-2"];
const NONE: [&str; 0] = [];

fn terminate(arguments: &str) -> Ending {
    PROGRAMS.ready(arguments).terminate(GRACE, &GOOD)
}

/// How a misdeed shows in the report.
fn outcome(how: &str, step: &str) -> String {
    match how {
        "fails" => format!("failed: on purpose in {step}"),
        "panics" => format!("panicked: on purpose in {step}"),
        _ => "late".to_owned(),
    }
}

const HOWS: [&str; 5] = ["hangs", "blocks", "fails", "panics", "late"];

#[test]
fn a_notifier_that_cannot_prepare_is_a_start_error_that_names_it() {
    let cases = [
        ("--taker hangs", "take-over", "it did not end within 5 s"),
        ("--taker blocks", "take-over", "it did not end within 5 s"),
        ("--taker late", "take-over", "it did not end within 5 s"),
        ("--taker fails", "take-over", "failed: on purpose in prepare"),
        ("--taker panics", "take-over", "panicked: on purpose in prepare"),
        ("--told hangs", "told-2", "it did not end within 5 s"),
        ("--told blocks", "told-2", "it did not end within 5 s"),
        ("--told late", "told-2", "it did not end within 5 s"),
        ("--told fails", "told-2", "failed: on purpose in prepare"),
        ("--told panics", "told-2", "panicked: on purpose in prepare"),
    ];
    side_by_side(&cases, |(culprit, name, outcome)| {
        let ending = PROGRAMS.unruly(&format!("{culprit}-in-prepare")).end();
        assert_eq!(
            ending.find("refused "),
            Some(&*format!("notifier {name} could not prepare: {outcome}")),
            "{}",
            ending.text()
        );
        ending.assert_code(2); // what main chose
    });
}

#[test]
fn one_that_takes_over_and_misbehaves_while_draining_still_takes_over() {
    side_by_side(&HOWS, |how| {
        let ending = terminate(&format!("--taker {how}-in-draining"));
        let report = ending.report();
        assert_eq!(report.notifier("take-over", "draining"), outcome(how, "draining"));
        assert_eq!(report.notifier("take-over", "incomplete"), "done");
        assert_eq!(report.notifier("take-over", "finished"), "done");
        assert_eq!(report.jobs("handed_over"), JOBS);
        ending.assert_code(0); // a notice is best effort
    });
}

#[test]
fn jobs_that_nobody_took_in_time_are_not_called_handed_over() {
    side_by_side(&HOWS, |how| {
        let ending = terminate(&format!("--taker {how}-in-incomplete"));
        let report = ending.report();
        assert_eq!(report.notifier("take-over", "incomplete"), outcome(how, "incomplete"));
        assert_eq!(report.notifier("take-over", "finished"), "done", "it is told the end all the same");
        // The witness acknowledged them, which counts for nothing.
        assert_eq!(report.jobs("handed_over"), NONE);
        let hung = matches!(*how, "hangs" | "blocks" | "late");
        let (in_doubt, unacknowledged): (&[_], &[_]) = if hung { (&JOBS, &NONE) } else { (&NONE, &JOBS) };
        assert_eq!(report.jobs("in_doubt"), in_doubt, "nobody can know how far it came");
        assert_eq!(report.jobs("unacknowledged"), unacknowledged);
        ending.assert_code(1);
    });
}

#[test]
fn what_was_acknowledged_before_a_notifier_misbehaved_counts() {
    side_by_side(&HOWS, |how| {
        let ending = terminate(&format!("--taker {how}-in-acknowledged"));
        let report = ending.report();
        assert_eq!(report.notifier("take-over", "incomplete"), outcome(how, "acknowledged"));
        assert_eq!(report.jobs("handed_over"), JOBS);
        assert!(ending.has("jobs conclude job-1 handed-over job-2 handed-over"));
        ending.assert_code(1);
    });
}

#[test]
fn one_that_misbehaves_when_told_the_end_costs_nothing_but_that() {
    side_by_side(&HOWS, |how| {
        // Time for `main` to print the report in: a quarter of the release reserve.
        let ending = terminate(&format!("--release 1 --taker {how}-in-finished --told {how}-in-finished"));
        let report = ending.report();
        assert_eq!(report.notifier("take-over", "finished"), outcome(how, "finished"));
        assert_eq!(report.notifier("told-2", "finished"), outcome(how, "finished"));
        assert_eq!(report.notifier("told-1", "finished"), "done");
        assert_eq!(report.jobs("handed_over"), JOBS);
        ending.assert_code(0); // telling the end is best effort
    });
}

#[test]
fn one_that_is_told_and_misbehaves_in_any_step_is_not_waited_for_by_the_others() {
    let cases: Vec<_> =
        ["draining", "incomplete"].iter().flat_map(|step| HOWS.map(|how| (how, *step))).collect();
    side_by_side(&cases, |(how, step)| {
        let mut child = PROGRAMS.ready(&format!("--told {how}-in-{step}"));
        let signalled = child.signal(Signal::TERM);
        let offered = child.wait_for("taker incomplete").at;
        let concluded = child.wait_for("jobs conclude job-1 handed-over job-2 handed-over").at;
        assert!(
            concluded - offered < Duration::from_millis(250),
            "concluded after {:?}",
            concluded - offered
        );
        let ending = child.end();
        ending.assert_within(promised(GRACE), signalled);
        // Who is told has all the time that is left.
        let (report, in_time) = (ending.report(), (*how, *step) == ("late", "incomplete"));
        let expected = if in_time { "done".to_owned() } else { outcome(how, step) };
        assert_eq!(report.notifier("told-2", step), expected);
        assert_eq!(report.jobs("handed_over"), JOBS);
    });
}

#[test]
fn where_nobody_takes_over_the_jobs_are_unacknowledged_and_the_report_warns() {
    let ending = terminate("--nobody");
    let report = ending.report();
    assert_eq!(report.jobs("unacknowledged"), JOBS);
    assert_eq!(report.jobs("handed_over"), NONE);
    assert_eq!(report.warnings(), ["nobody was named to take over unfinished jobs"]);
    assert!(ending.has("jobs conclude job-1 unacknowledged job-2 unacknowledged"));
    ending.assert_code(1);
}

#[test]
fn one_that_is_told_has_the_time_that_is_left_to_be_told_in() {
    let ending = terminate("--told dawdles-in-incomplete");
    assert_eq!(ending.report().notifier("told-2", "incomplete"), "done");
    assert_eq!(ending.report().notifier("told-2", "finished"), "done");
    assert_eq!(
        ending.told().notifier("told-2", "incomplete"),
        "pending",
        "it was neither late nor done then"
    );
    ending.assert_code(0);
}

/// What a monitoring service is told must not be worse than what happened.
#[test]
fn the_report_that_notifiers_are_told_accuses_nobody_who_may_still_do_well() {
    let told = terminate("").told();
    assert_eq!(told.hook("good"), "pending");
    assert_eq!(told.notifier("take-over", "finished"), "pending");
    assert_eq!(told.component("jobs", "force"), "done");
    assert_eq!(told.notifier("take-over", "incomplete"), "done");
    assert_eq!(told.jobs("handed_over"), JOBS);
}
