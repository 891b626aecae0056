//! Every row of the table of endings, on the wire: with the runtime alive, and blocked.
//!
//! The table is the documentation's own. One process has a connection, or more, for each row, each in its state; then
//! it is terminated, and every connection's end is looked at, to the byte.

mod http1;
mod http2;
mod looks;
mod play;
mod preface;
mod stage;
mod tcp;
mod tls;

use sundown_tests::side_by_side;

use self::{
    When::{Alive, Blocked},
    play::play,
    stage::{Act, Stage},
};
use super::{PROGRAMS, http_accept_queue, http_blocked};

/// The table as users read it.
const PAGE: &str = include_str!("../../../crates/sundown-http/docs/endings.md");

/// How many rows it has.
const ROWS: usize = 41;

/// A state of a row.
#[derive(Clone, Copy)]
struct Case {
    row: usize,
    state: &'static str,
    when: When,
    /// Brings a connection into it.
    begin: fn(&mut Stage) -> Act,
}

/// What the state is possible with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Both,
    Alive,
    Blocked,
}

impl Case {
    fn is_played(&self, blocked: bool) -> bool {
        self.when != if blocked { Alive } else { Blocked }
    }
}

const fn both(row: usize, state: &'static str, begin: fn(&mut Stage) -> Act) -> Case {
    Case { row, state, when: When::Both, begin }
}

const fn alive(row: usize, state: &'static str, begin: fn(&mut Stage) -> Act) -> Case {
    Case { row, state, when: Alive, begin }
}

const fn blocked(row: usize, state: &'static str, begin: fn(&mut Stage) -> Act) -> Case {
    Case { row, state, when: Blocked, begin }
}

/// Rows that need processes of their own: the tests, which the compiler finds.
const ELSEWHERE: [(usize, When, fn()); 8] = [
    (13, Blocked, super::http_alive::of_pipelined_requests_the_first_outstanding_one_is_answered),
    (38, Blocked, http_blocked::who_waits_in_the_accept_queue_of_a_blocked_process_gets_503),
    (39, Alive, http_accept_queue::of_clients_that_hammer_a_process_that_stalls_next_to_nobody_is_reset),
    (39, Blocked, http_accept_queue::of_clients_that_hammer_a_blocked_process_next_to_nobody_is_reset),
    (40, Alive, tcp::a_queue_beside_others_on_its_port_is_answered),
    (40, Blocked, tcp::a_queue_beside_others_on_its_port_is_answered),
    (41, Alive, tcp::a_process_outlives_what_it_has_written),
    (41, Blocked, tcp::a_process_outlives_what_it_has_written),
];

/// Rows that say when another row's means are used, and the rows in which it is seen.
const SEEN_IN: [(usize, &[usize]); 1] = [(36, &[9, 10, 11, 15])];

fn cases() -> impl Iterator<Item = &'static Case> {
    http1::CASES.iter().chain(&http2::CASES).chain(&preface::CASES).chain(&tcp::CASES)
}

/// The rows of the page: a number, and the state.
fn rows() -> Vec<(usize, &'static str)> {
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.parse().ok()?, cells.next()?))
    };
    PAGE.lines().filter_map(row).collect()
}

#[test]
fn the_page_has_every_row_in_order() {
    let numbers: Vec<_> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=ROWS).collect::<Vec<_>>());
    for line in PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")) {
        // Number, state, alive, blocked, where it is specified.
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 5 && cells.iter().all(|cell| !cell.is_empty()), "{line}");
    }
}

#[test]
fn every_row_is_shown_with_the_runtime_alive_and_blocked() {
    let is_shown = |row: usize, is_blocked: bool| {
        let mut all = cases().chain(&tls::CASES);
        let when = if is_blocked { Blocked } else { Alive };
        all.any(|case| case.row == row && case.is_played(is_blocked))
            || ELSEWHERE.iter().any(|shown| (shown.0, shown.1) == (row, when))
    };
    for (row, state) in rows() {
        let itself = [row];
        let seen_in = SEEN_IN.iter().find(|(other, _)| *other == row).map_or(&itself[..], |(_, rows)| rows);
        for is_blocked in [false, true] {
            let all = seen_in.iter().all(|row| is_shown(*row, is_blocked));
            assert!(all, "row {row}, {state}: blocked: {is_blocked}");
        }
    }
}

/// How many threads run tasks: all that there is, or more.
const THREADS: [&str; 2] = ["1", "2"];

#[test]
fn each_state_ends_as_the_table_says() {
    side_by_side(&THREADS, |threads| play(Stage::new(threads, false, None), cases()));
}

#[test]
fn each_state_of_a_blocked_runtime_ends_as_the_table_says() {
    side_by_side(&THREADS, |threads| play(Stage::new(threads, true, None), cases()));
}

#[test]
fn each_state_of_tls_ends_as_the_table_says() {
    side_by_side(&[false, true], |blocked| tls::play_all(*blocked));
}
