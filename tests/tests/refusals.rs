//! What cannot work is refused when the shutdown is started, in one line with the name and the number, and leaves
//! nothing behind.

use std::time::Duration;

use rustix::process::Signal;
use sundown::{Builder, Gate, Grace, HandOver, Notifier, NotifyError, Reserve, Shutdown};
use sundown_tests::{Child, side_by_side};
use sundown_tokio::Tokio;

const SECOND_TRY: &str = env!("CARGO_BIN_EXE_second_try");

/// What `start` says, inside a runtime.
fn refusal(set_up: impl FnOnce(Builder) -> Builder) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the system has resources");
    let builder = Shutdown::embedded(Tokio::of(runtime.handle().clone())).grace(Duration::from_secs(10));
    let error = set_up(builder).start().expect_err("it cannot work").to_string();
    assert!(!error.contains('\n'), "one line: {error:?}");
    error
}

#[test]
fn reserves_that_exceed_the_grace_are_refused_with_all_the_numbers() {
    let error = refusal(|builder| {
        builder
            .reserve(Reserve::HandOver, Duration::from_secs(8))
            .reserve(Reserve::Margin, Duration::from_secs(3))
    });
    assert_eq!(
        error,
        "11.000 s are reserved (hand over 8.000 s, margin 3.000 s), but the grace is 10 s (set by the program)"
    );
}

#[test]
fn an_order_that_cannot_work_is_refused_by_name() {
    let cycle = refusal(|builder| {
        builder
            .component("http", Gate::new())
            .after(["jobs"])
            .component("jobs", Gate::new())
            .after(["database"])
            .component("database", Gate::new())
            .after(["http"])
    });
    assert_eq!(cycle, "the order has a cycle: http after jobs after database after http");
    let unknown = refusal(|builder| builder.component("jobs", Gate::new()).after(["htp"]));
    assert_eq!(unknown, "component \"jobs\" comes after \"htp\", which does not exist");
    let twins = refusal(|builder| builder.component("jobs", Gate::new()).component("jobs", Gate::new()));
    assert_eq!(twins, "two components are called \"jobs\"");
    let nameless = refusal(|builder| builder.component("", Gate::new()));
    assert_eq!(nameless, "a component has an empty name");
}

#[test]
fn an_order_before_any_component_is_refused() {
    let error = refusal(|builder| builder.after(["http"]).component("http", Gate::new()));
    assert_eq!(error, "`after` names an order, but no component was added before it");
}

#[test]
fn a_grace_that_is_no_time_or_all_time_is_refused_with_where_it_came_from() {
    assert_eq!(
        refusal(|builder| builder.grace(Duration::ZERO)),
        "the grace is 0 s (set by the program): there is no time to shut down in"
    );
    assert_eq!(
        refusal(|builder| builder.grace(Grace::new(Duration::from_secs(u64::MAX)))),
        "the grace is 18446744073709551615 s (set by the program), at most 31536000 s make sense"
    );
}

#[test]
fn a_runtime_that_is_not_there_is_refused_with_what_to_do() {
    let error = Shutdown::embedded(Tokio::current()).grace(Duration::from_secs(10)).start().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the runtime gives no private place: Tokio::current() was called outside a tokio runtime; call it inside, \
         or use Tokio::of"
    );
}

struct Unprepared;

#[sundown::async_trait]
impl Notifier for Unprepared {
    async fn prepare(&self) -> Result<(), NotifyError> {
        Err(NotifyError::new("no route to monitor:443"))
    }

    async fn incomplete(&self, _: &HandOver) -> Result<(), NotifyError> {
        Ok(())
    }
}

#[test]
fn a_notifier_that_cannot_prepare_is_refused_by_name() {
    let error = refusal(|builder| builder.hand_over_to(Unprepared));
    assert_eq!(error, "notifier take-over could not prepare: failed: no route to monitor:443");
    let error = refusal(|builder| builder.tell(Unprepared));
    assert_eq!(error, "notifier told-1 could not prepare: failed: no route to monitor:443");
}

#[test]
fn two_that_are_to_take_over_are_refused() {
    let error = refusal(|builder| builder.hand_over_to(Unprepared).hand_over_to(Unprepared));
    assert_eq!(
        error,
        "2 notifiers were named to take over, there can be one (others can be told, or chained)"
    );
}

#[test]
fn a_grace_in_the_environment_that_is_no_number_is_refused_by_the_variables_name() {
    for (text, error) in [
        ("abc", "SUNDOWN_GRACE is \"abc\", which is not a number of seconds"),
        ("10s", "SUNDOWN_GRACE is \"10s\", which is not a number of seconds"),
        ("-1", "SUNDOWN_GRACE is \"-1\", which is not a number of seconds"),
        ("0", "the grace is 0 s (set by SUNDOWN_GRACE): there is no time to shut down in"),
    ] {
        let mut child = Child::spawn_with(SECOND_TRY, "grace nothing", &[("SUNDOWN_GRACE", text)]);
        assert_eq!(child.wait_for("refused ").text, format!("refused {error}"));
    }
}

#[test]
fn a_second_shutdown_of_one_process_is_refused_and_the_first_one_stands() {
    let mut child = Child::spawn(SECOND_TRY, "two nothing");
    assert_eq!(
        child.wait_for("refused ").text,
        "refused this process has a process-wide shutdown already: there can be one, which owns signals and exit"
    );
    child.wait_for("ready");
    child.signal(Signal::TERM);
    let ending = child.end();
    assert_eq!(ending.report().reason(), "SIGTERM");
    ending.assert_code(0);
}

const MISTAKES: [&str; 4] = ["cycle", "reserves", "notifier", "grace"];

fn start_wrong(mistake: &str, then: &str) -> Child {
    let mut child = Child::spawn_with(SECOND_TRY, &format!("{mistake} {then}"), &[("SUNDOWN_GRACE", "abc")]);
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
