//! An adapter without its runtime: used outside of it, or when it has been dropped. That works, or `start` says why not.

use std::time::Duration;

use sundown_tests::{Ending, side_by_side};

use super::PROGRAMS;

const GRACE: Duration = Duration::from_secs(4);

const GOOD: [&[&str]; 3] = [
    &["gate close", "gate drained", "gate claim", "gate conclude", "gate force", "release", "finished"],
    &["jobs close", "jobs claim", "taker incomplete", "jobs conclude job-1 handed-over job-2 handed-over"],
    &["taker incomplete", "jobs force", "taker finished"],
];

fn terminate(arguments: &str) -> Ending {
    let ending = PROGRAMS.ready(arguments).terminate(GRACE, &GOOD);
    ending.assert_code(0);
    ending
}

#[test]
fn an_adapter_that_is_made_outside_its_runtime_works_or_is_refused_with_what_to_do() {
    let Some(refusal) = PROGRAMS.outside else {
        terminate("--main outside");
        return;
    };
    let ending = PROGRAMS.unruly("--main outside").end();
    assert_eq!(ending.find("refused "), Some(refusal), "{}", ending.text());
    ending.assert_code(2); // what main chose
}

#[test]
fn a_runtime_that_is_dropped_while_draining_takes_no_job_with_it() {
    side_by_side(&["", "--multi-thread"], |flavour| {
        let ending = terminate(&format!("--main leaves {flavour}"));
        ending.assert_order(&["dropped", "finished"]);
    });
}

/// Its drop may wait for ever.
#[test]
fn a_blocked_runtime_that_is_dropped_keeps_nobody() {
    side_by_side(&["", "--multi-thread"], |flavour| {
        let child = PROGRAMS.ready(&format!("--main leaves --blocked {flavour}"));
        let ending = child.terminate(GRACE, &[&GOOD[0][..6], GOOD[1], GOOD[2]]);
        assert_eq!(ending.told().jobs("handed_over"), ["job-1", "job-2"]);
        ending.assert_code(0);
    });
}
