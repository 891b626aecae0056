//! Each rule for a notifier can fail: notifiers with one thing wrong each.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

#[path = "../mutants/mod.rs"]
mod mutants;

mod fault;
mod faults;

use sundown_testkit::conformance::{self, Suite};

use crate::fault::{Fault, fresh};

fn with<F: Fault>(fault: fn() -> F) -> Suite {
    conformance::notifier(move |outside| Some(fresh(outside, fault())))
}

mutants! { with(|| fault::None);
    a_notifier_that_needs_a_runtime: with(|| faults::NeedsARuntime)
        => prepare_works_outside_the_services_runtime, also [
        a_refusing_outside_breaks_no_news,
        nothing_is_taken_where_nothing_is_offered,
        everything_accepted_is_acknowledged,
        nothing_refused_is_acknowledged,
        a_refusal_is_an_error_of_the_call,
        a_part_accepted_is_acknowledged_to_the_job,
        a_hanging_outside_does_not_hold_the_call_past_its_deadline,
        nothing_is_acknowledged_while_the_outside_hangs,
        what_was_accepted_before_a_hang_counts,
        a_dropped_call_does_not_panic,
        odd_ids_arrive,
        odd_payloads_arrive,
        thousands_of_jobs_are_acknowledged_to_the_job,
    ];
    news_that_must_be_accepted: with(|| faults::NewsMustBeAccepted) => a_refusing_outside_breaks_no_news;
    a_probe_that_counts_as_a_job: with(|| faults::ProbeCounts) => nothing_is_taken_where_nothing_is_offered;

    a_notifier_that_forgets_the_last: with(|| faults::ForgetsTheLast)
        => everything_accepted_is_acknowledged, also [
        odd_ids_arrive,
        odd_payloads_arrive,
        thousands_of_jobs_are_acknowledged_to_the_job,
    ];
    a_notifier_that_acknowledges_first: with(|| faults::AcknowledgesFirst)
        => nothing_refused_is_acknowledged, also [
        a_refusing_outside_breaks_no_news,
        a_part_accepted_is_acknowledged_to_the_job,
        nothing_is_acknowledged_while_the_outside_hangs,
        what_was_accepted_before_a_hang_counts,
        a_dropped_call_does_not_panic,
    ];
    a_refusal_that_nobody_hears_of: with(|| faults::SaysNothing) => a_refusal_is_an_error_of_the_call;
    a_part_for_the_whole: with(|| faults::PartForTheWhole) => a_part_accepted_is_acknowledged_to_the_job;

    a_call_that_waits_for_ever: with(|| faults::WaitsForEver)
        => a_hanging_outside_does_not_hold_the_call_past_its_deadline;
    silence_that_counts_as_yes: with(|| faults::SilenceIsYes)
        => nothing_is_acknowledged_while_the_outside_hangs, also [
        what_was_accepted_before_a_hang_counts,
        a_dropped_call_does_not_panic,
    ];
    acknowledgements_at_the_end: with(|| faults::AtTheEnd) => what_was_accepted_before_a_hang_counts;
    a_call_that_must_end: with(|| faults::MustEnd) => a_dropped_call_does_not_panic;

    ids_of_plain_text: with(|| faults::PlainText) => odd_ids_arrive;
    payloads_of_one_packet: with(|| faults::OnePacket) => odd_payloads_arrive;
    a_thousand_and_no_more: with(|| faults::AThousand) => thousands_of_jobs_are_acknowledged_to_the_job;
}
