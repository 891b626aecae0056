//! What a suite says of a subject, whatever that does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use sundown::{Claims, Deadline, Drainable, Gate, InFlight, Jobs, Watch};
use sundown_testkit::conformance::{self, Subject, Suite};

/// A component that does what the closure does when it is closed.
struct Closing<F>(F);

#[sundown::async_trait]
impl<F: Fn() + Send + Sync + 'static> Drainable for Closing<F> {
    fn close(&self, _: &Deadline) {
        (self.0)();
    }

    async fn drained(&self) {}
}

fn closing(does: fn()) -> Suite {
    conformance::drainable(move || Subject::anonymous(Closing(does), || Some(())))
}

#[test]
fn a_rule_that_hangs_is_named_and_given_up_on() {
    let began = Instant::now();
    let hangs = || thread::sleep(Duration::from_secs(3600));
    let verdict = closing(hangs).only("close_returns_at_once").patience(Duration::from_millis(100)).run();
    assert_eq!(verdict.broken(), ["close_returns_at_once"]);
    let said = verdict.to_string();
    assert!(said.contains("`close` did not return within 100ms"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_subject_that_cannot_even_be_made_breaks_the_rule() {
    let suite = conformance::drainable(|| panic!("no such thing, on purpose"));
    let verdict = suite.only("close_can_be_repeated").run();
    assert!(verdict.to_string().contains("it panicked: no such thing, on purpose"), "{verdict}");
}

#[test]
fn every_broken_rule_is_reported_with_its_contract() {
    let suite = closing(|| panic!("never, on purpose"));
    let verdict = suite.run();
    assert!(verdict.broken().contains(&"close_can_be_repeated"));
    assert!(verdict.broken().contains(&"close_returns_at_once"));
    let panic = catch_unwind(AssertUnwindSafe(|| verdict.assert())).unwrap_err();
    let said = panic.downcast_ref::<String>().unwrap();
    let line =
        "broken: close_can_be_repeated\n    contract: `close` is idempotent.\n    `close` panicked: never";
    assert!(said.contains(line), "{said}");
}

#[test]
fn what_cannot_be_tried_is_skipped_by_name() {
    let verdict = conformance::drainable(|| {
        let gate = Gate::new();
        Subject::anonymous(gate.clone(), move || gate.enter().ok())
    })
    .run();
    assert!(verdict.broken().is_empty(), "{verdict}");
    assert!(verdict.skipped().contains(&"a_claimed_job_cannot_commit"));
    assert!(
        verdict.to_string().contains("skipped: a_claimed_job_cannot_commit: nobody can take its work over")
    );
}

#[test]
fn a_rule_can_be_left_out() {
    let (name, suite) = ("close_can_be_repeated", closing(|| {}));
    let all = suite.rules();
    assert!(all.contains(&name));
    assert_eq!(suite.without(name).rules(), all.into_iter().filter(|rule| *rule != name).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "no rule for a component is called close_twice")]
fn a_rule_that_does_not_exist_cannot_be_left_out() {
    drop(closing(|| {}).without("close_twice"));
}

#[test]
#[should_panic(
    expected = "nothing was tried: component: 0 of 1 rules broken, 1 skipped\n  skipped: a_claim_"
)]
fn a_suite_of_which_nothing_was_tried_does_not_pass() {
    closing(|| {}).only("a_claim_returns_at_once").assert();
}

#[test]
#[should_panic(expected = "nothing was tried: component: 0 of 0 rules broken")]
fn a_suite_without_a_rule_does_not_pass() {
    closing(|| {}).only("close_can_be_repeated").without("close_can_be_repeated").assert();
}

#[test]
fn a_test_of_one_rule_may_skip_it() {
    conformance::assert_rule(closing(|| {}), "a_claim_returns_at_once");
}

#[test]
#[should_panic(expected = "no rule for a component is called close_twice")]
fn a_rule_that_does_not_exist_is_a_mistake() {
    drop(closing(|| {}).only("close_twice"));
}

/// A store on a busy machine: its claim takes longer than the shutdown waits for it, and shorter than a second.
struct Busy(Jobs<()>);

#[sundown::async_trait]
impl Drainable for Busy {
    fn joined(&self, watch: &Watch) {
        self.0.joined(watch);
    }

    fn close(&self, _: &Deadline) {
        self.0.close();
    }

    async fn drained(&self) {
        self.0.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        self.0.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.0.claim(claims);
        thread::sleep(Duration::from_millis(400));
    }
}

#[test]
fn a_busy_machine_breaks_no_rule_about_claims() {
    let suite = conformance::drainable(|| {
        let jobs = Jobs::new();
        Subject::jobs(Busy(jobs.clone()), move |id| jobs.begin(id, ()).ok())
    });
    for rule in [
        "a_claim_takes_every_unfinished_job",
        "a_claimed_job_cannot_commit",
        "a_second_claim_takes_nothing",
        "a_claim_returns_at_once",
    ] {
        suite.clone().only(rule).assert();
    }
}
