//! Each rule for a component can fail: stores with one thing wrong each, around the core's own.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

#[path = "../mutants/mod.rs"]
mod mutants;

mod fault;

mod claiming;
mod closing;
mod draining;
mod ending;

use sundown_testkit::conformance::{self, Suite};

use crate::fault::{Fault, fresh};

fn with<F: Fault>(fault: fn() -> F) -> Suite {
    conformance::drainable(move || fresh(fault()))
}

mutants! { with(|| fault::None);
    a_close_that_waits: with(|| closing::Waits) => close_returns_at_once, also [
        a_drain_waits_for_all_that_is_in_flight,
        a_drain_ends_with_the_last_piece_of_work,
        a_drain_sees_what_ended_before_it_was_polled,
        a_dropped_drain_can_be_asked_again,
        no_work_begins_after_the_close,
        force_returns_at_once,
        work_that_races_with_the_close_is_waited_for,
    ];
    a_close_that_is_done_once: with(closing::Once::default) => close_can_be_repeated, also [
        another_shutdown_finds_nothing,
    ];
    a_close_with_a_back_door: with(closing::BackDoor::default) => no_work_begins_after_the_close, also [
        no_work_begins_after_the_claim,
        work_that_races_with_the_close_is_waited_for,
    ];
    a_count_that_stops: with(|| closing::CountsFew) => in_flight_counts_what_has_begun;
    a_count_of_itself: with(|| closing::CountsItself) => in_flight_is_zero_with_nothing, also [
        a_shutdown_that_drains_is_clean,
    ];

    a_drain_that_waits_for_work: with(|| draining::WaitsForWork)
        => a_drain_with_nothing_in_flight_ends_at_once, also [
        a_drain_sees_what_ended_before_it_was_polled,
        in_flight_is_zero_with_nothing,
        a_shutdown_that_drains_is_clean,
        work_that_races_with_the_close_is_waited_for,
    ];
    a_drain_that_does_not_wait: with(|| draining::DoesNotWait)
        => a_drain_waits_for_all_that_is_in_flight, also [
        a_drain_ends_with_the_last_piece_of_work,
        a_dropped_drain_can_be_asked_again,
        work_that_races_with_the_close_is_waited_for,
    ];
    a_drain_that_sleeps_on: with(|| draining::SleepsOn) => a_drain_ends_with_the_last_piece_of_work, also [
        a_dropped_drain_can_be_asked_again,
        a_shutdown_that_drains_is_clean,
        work_that_races_with_the_close_is_waited_for,
    ];
    a_drain_that_needs_an_event: with(draining::NeedsAnEvent::default)
        => a_drain_sees_what_ended_before_it_was_polled, also [
        in_flight_is_zero_with_nothing,
        a_shutdown_that_drains_is_clean,
        work_that_races_with_the_close_is_waited_for,
    ];
    a_begin_that_looks_and_then_counts: with(draining::LooksAndCounts::default)
        => work_that_races_with_the_close_is_waited_for;
    a_drain_for_once: with(draining::Once::default) => a_dropped_drain_can_be_asked_again;

    a_claim_that_does_not_close: with(claiming::DoesNotClose::default) => no_work_begins_after_the_claim;
    a_claim_that_forgets_one: with(claiming::ForgetsOne::default) => a_claim_takes_every_unfinished_job, also [
        who_is_forced_before_the_others_concludes_with_them,
    ];
    a_commit_that_does_not_ask: with(|| claiming::DoesNotAsk) => a_claimed_job_cannot_commit, also [
        commits_that_race_with_the_claim_are_decided_once,
    ];
    a_claim_of_what_is_done: with(claiming::TakesWhatIsDone::default)
        => a_job_that_has_committed_is_not_claimed, also [
        commits_that_race_with_the_claim_are_decided_once,
        a_shutdown_that_drains_is_clean,
        another_shutdown_finds_nothing,
    ];
    a_claim_that_begins_anew: with(claiming::BeginsAnew::default)
        => a_second_claim_takes_nothing, saying "each job once after two claims", also [
        another_shutdown_finds_nothing,
    ];
    a_claim_that_takes_its_time: with(|| claiming::TakesItsTime)
        => a_claim_returns_at_once, saying "`claim` to return at once";
    a_claim_that_looks_and_then_marks: with(claiming::LooksAndMarks::default)
        => commits_that_race_with_the_claim_are_decided_once;
    a_store_that_never_joins: with(|| claiming::NeverJoins)
        => a_job_dropped_after_the_announcement_is_claimed;

    a_conclusion_that_waits_for_a_taker: with(|| ending::WaitsForATaker)
        => conclude_ends_when_nothing_was_taken_over, also [
        commits_that_race_with_the_claim_are_decided_once,
    ];
    a_conclusion_that_waits_for_the_taker: with(|| ending::WaitsForTheTaker)
        => conclude_ends_when_everything_was_taken_over, also [
        who_is_forced_before_the_others_concludes_with_them,
    ];
    a_force_that_waits: with(|| ending::ForceWaits) => force_returns_at_once;
    a_force_that_is_done_once: with(ending::ForceOnce::default) => force_can_come_first_and_again, also [
        another_shutdown_finds_nothing,
    ];
    a_force_that_is_the_end: with(ending::EndsWithForce::default)
        => who_is_forced_before_the_others_concludes_with_them;
    a_claim_that_needs_jobs: with(|| ending::NeedsJobs) => a_shutdown_that_drains_is_clean, also [
        a_second_claim_takes_nothing, another_shutdown_finds_nothing,
    ];
    a_store_of_one_shutdown: with(ending::JoinsOnce::default) => another_shutdown_finds_nothing;
}
