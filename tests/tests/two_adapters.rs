//! Two adapters in one process. A binary of its own: its program is the one that links two runtimes.

#![forbid(unsafe_code)]

use std::time::Duration;

use sundown_tests::Child;

const TWO_ADAPTERS: &str = env!("CARGO_BIN_EXE_two_adapters");

#[test]
fn the_process_is_one_adapters_and_both_shutdowns_end_well() {
    let mut child = Child::spawn(TWO_ADAPTERS, "", &[]);
    let refused = child.wait_for("refused ").text;
    assert_eq!(
        refused,
        "refused this process has had a process-wide shutdown already: only one is possible, which owns signals and exit"
    );
    child.wait_for("ready");
    let ending = child.terminate(Duration::from_secs(4), &[]);
    ending.assert_code(0);
    assert_eq!(ending.report().reason(), "SIGTERM");
    assert_eq!(ending.report().jobs("handed_over"), ["ours"]);
    let embedded = ending.record("embedded ");
    assert_eq!(embedded.reason(), "requested: the process ends");
    assert_eq!(embedded.jobs("handed_over"), ["theirs"]);
}
