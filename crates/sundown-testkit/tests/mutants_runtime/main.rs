//! Each rule for a runtime can fail: adapters with one thing wrong each, around the right one for tokio.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

#[path = "../mutants/mod.rs"]
mod mutants;

mod fault;

mod clock;
mod places;
mod sockets;
mod tasks;

use sundown_testkit::conformance::{self, Suite};

use crate::fault::{Fault, start};

fn with<F: Fault>(fault: fn() -> F) -> Suite {
    conformance::runtime(move || start(fault()))
}

mutants! { with(|| fault::None);
    a_clock_that_goes_back: with(clock::GoesBack::default) => now_never_goes_back;
    a_clock_that_is_ahead: with(|| clock::Ahead) => now_follows_real_time;
    a_timer_that_is_early: with(|| clock::Early) => a_timer_does_not_resolve_before_its_time;
    a_timer_that_never_comes: with(|| clock::Never) => a_timer_resolves_when_its_time_has_come, also [
        a_timer_does_not_resolve_before_its_time,
        a_timer_taken_up_by_another_task_wakes_that_one,
        a_timer_of_a_year_stays_pending,
        a_timer_polled_in_a_place_runs_while_the_runtime_is_blocked,
    ];
    a_timer_that_waits_for_the_past: with(|| clock::PastPending) => a_moment_that_has_passed_resolves_at_once;
    a_timer_that_overflows: with(|| clock::Overflow) => a_timer_of_a_year_stays_pending;
    a_timer_that_must_end: with(|| clock::MustEnd) => a_timer_can_be_dropped_unfinished, also [
        a_timer_of_a_year_stays_pending,
        a_place_can_be_used_again,
    ];
    a_timer_that_keeps_its_first_waker: with(|| clock::FirstWaker)
        => a_timer_taken_up_by_another_task_wakes_that_one;
    a_timer_of_the_services_reactor: with(|| clock::OnTheService)
        => a_timer_polled_in_a_place_runs_while_the_runtime_is_blocked, also [
        a_place_works_after_the_runtime_is_gone,
        a_place_can_be_made_after_the_runtime_is_gone,
    ];

    a_spawn_inside_that_is_lost: with(|| tasks::LostInside) => a_spawned_task_runs;
    a_spawn_that_polls: with(|| tasks::PolledBySpawn)
        => a_task_does_not_run_on_the_thread_that_spawned_it, also [
        a_task_spawned_in_a_place_runs_on_the_runtime,
    ];
    a_spawn_where_it_stands: with(|| tasks::WhereItStands) => a_task_spawned_in_a_place_runs_on_the_runtime;
    a_handle_that_aborts: with(|| tasks::AbortOnDrop) => a_task_goes_on_when_its_handle_is_dropped;
    an_abort_that_does_nothing: with(|| tasks::DeafAbort) => an_aborted_task_is_dropped_where_it_waits;
    an_abort_that_must_come_in_time: with(|| tasks::TimelyAbort)
        => an_abort_after_the_end_does_nothing, also [
        a_spawn_after_the_runtime_is_gone_does_not_panic,
    ];
    a_runtime_that_a_panic_ends: with(tasks::EndedByPanic::default)
        => a_panic_in_a_task_leaves_the_runtime_running;

    a_place_on_another_thread: with(|| places::Elsewhere) => a_place_drives_on_the_calling_thread;
    a_place_that_gives_up: with(|| places::ThreePolls) => a_place_drives_a_future_to_its_end;
    a_place_that_hears_only_itself: with(|| places::OwnWakes)
        => a_wake_from_another_thread_reaches_a_place, also [
        many_places_work_side_by_side,
        a_place_works_while_the_runtime_is_blocked,
    ];
    a_place_at_a_time: with(places::OneAtATime::default) => many_places_work_side_by_side;
    a_place_for_once: with(|| places::Once) => a_place_can_be_used_again;
    a_place_that_hides_a_panic: with(|| places::Hides) => a_panic_in_a_place_reaches_its_caller;
    a_place_that_waits_in_its_drop: with(|| places::PlainDrop)
        => a_place_can_be_made_and_dropped_inside_a_task;
    a_place_that_needs_the_service: with(|| places::NeedsService)
        => a_place_works_while_the_runtime_is_blocked, also [
        a_timer_polled_in_a_place_runs_while_the_runtime_is_blocked,
    ];

    a_place_that_ends_with_the_service: with(places::DriveGone::default)
        => a_place_works_after_the_runtime_is_gone, also [
        a_place_can_be_made_after_the_runtime_is_gone,
    ];
    no_place_after_the_service: with(places::PrivateGone::default)
        => a_place_can_be_made_after_the_runtime_is_gone;
    a_spawn_that_needs_the_service: with(tasks::SpawnGone::default)
        => a_spawn_after_the_runtime_is_gone_does_not_panic;
    a_socket_that_needs_the_service: with(sockets::SocketGone::default)
        => a_socket_does_not_panic_after_the_runtime_is_gone;
    a_listener_that_needs_the_service: with(sockets::ListenerGone::default)
        => a_listener_does_not_panic_after_the_runtime_is_gone;

    a_listener_that_is_refused: with(|| sockets::Refused) => an_adopted_listener_accepts, also [
        a_socket_does_not_panic_after_the_runtime_is_gone,
        a_listener_does_not_panic_after_the_runtime_is_gone,
        a_pending_accept_is_woken_by_a_client,
        clients_are_accepted_in_their_order,
        the_address_is_the_clients,
        a_client_that_has_left_does_not_stop_the_listener,
        a_read_gives_what_was_written,
        a_pending_read_is_woken_by_data,
        a_read_taken_up_by_another_task_wakes_that_one,
        a_read_at_the_end_gives_zero,
        a_pending_read_is_woken_by_the_end,
        a_reset_is_an_error,
        a_write_to_a_client_that_has_left_is_an_error,
        buffers_reach_the_client_in_their_order,
        a_write_says_how_much_it_took,
        a_write_to_a_full_socket_waits_until_the_client_reads,
        one_task_reads_while_another_writes,
        the_descriptor_is_the_clients_connection,
        the_descriptor_does_not_block,
        another_thread_can_use_the_descriptor_while_the_runtime_is_blocked,
    ];
    an_accept_that_sleeps_on: with(sockets::DeafAccept::default) => a_pending_accept_is_woken_by_a_client;
    an_accept_from_the_back: with(sockets::LastFirst::default) => clients_are_accepted_in_their_order;
    an_accept_with_a_wrong_address: with(|| sockets::WrongAddress) => the_address_is_the_clients, also [
        a_client_that_has_left_does_not_stop_the_listener,
    ];

    an_accept_that_an_error_ends: with(sockets::EndedByError::default)
        => a_client_that_has_left_does_not_stop_the_listener;

    a_read_that_turns_round: with(|| sockets::TurnedRound) => a_read_gives_what_was_written;
    a_read_that_sleeps_on: with(|| sockets::DeafRead) => a_pending_read_is_woken_by_data, also [
        a_pending_read_is_woken_by_the_end,
        a_read_taken_up_by_another_task_wakes_that_one,
        one_task_reads_while_another_writes,
    ];
    a_read_that_misses_the_end: with(|| sockets::MissesTheEnd) => a_pending_read_is_woken_by_the_end;
    a_read_of_the_first_task: with(sockets::FirstWaker::default)
        => a_read_taken_up_by_another_task_wakes_that_one;
    an_end_that_is_an_error: with(|| sockets::EndIsError) => a_read_at_the_end_gives_zero, also [
        a_pending_read_is_woken_by_the_end,
    ];
    a_reset_that_is_an_end: with(|| sockets::ResetIsEnd) => a_reset_is_an_error;

    a_write_from_the_back: with(|| sockets::LastBufferFirst) => buffers_reach_the_client_in_their_order;
    a_write_that_says_all: with(|| sockets::SaysAll) => a_write_says_how_much_it_took, also [
        a_write_to_a_full_socket_waits_until_the_client_reads,
    ];
    a_write_that_takes_nothing: with(|| sockets::TakesNothing)
        => a_write_says_how_much_it_took, saying "it took 0 of", also [
        buffers_reach_the_client_in_their_order,
        a_write_to_a_full_socket_waits_until_the_client_reads,
        one_task_reads_while_another_writes,
    ];
    a_write_that_takes_too_much: with(|| sockets::TakesEverything)
        => a_write_to_a_full_socket_waits_until_the_client_reads, saying "bytes that nobody reads", also [
        a_write_says_how_much_it_took,
        one_task_reads_while_another_writes,
    ];
    a_write_that_sleeps_on: with(|| sockets::DeafWrite)
        => a_write_to_a_full_socket_waits_until_the_client_reads, also [
        a_write_says_how_much_it_took,
        one_task_reads_while_another_writes,
    ];
    a_write_that_always_succeeds: with(|| sockets::AlwaysWritten)
        => a_write_to_a_client_that_has_left_is_an_error;
    one_waker_for_both: with(sockets::OneWaker::default) => one_task_reads_while_another_writes;

    the_descriptor_of_another: with(sockets::Another::default)
        => the_descriptor_is_the_clients_connection, also [
        clients_are_accepted_in_their_order,
        another_thread_can_use_the_descriptor_while_the_runtime_is_blocked,
    ];
    a_descriptor_that_blocks: with(|| sockets::Blocking) => the_descriptor_does_not_block;
    a_descriptor_that_asks_the_service: with(sockets::AsksService::default)
        => another_thread_can_use_the_descriptor_while_the_runtime_is_blocked;
}
