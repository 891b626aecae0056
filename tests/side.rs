//! Many children at once: they sleep most of the time, so two cores serve a dozen.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

/// Tests every case on a thread of its own.
///
/// # Panics
///
/// With the cases that failed, when all have ended; what each has to say is printed before.
pub fn side_by_side<C: Debug + Sync>(cases: &[C], test: impl Fn(&C) + Sync) {
    let test = &test;
    let failed: Vec<_> = thread::scope(|scope| {
        let spawn = |case| scope.spawn(move || catch_unwind(AssertUnwindSafe(|| test(case))).is_err());
        let running: Vec<_> = cases.iter().map(|case| (case, spawn(case))).collect();
        running
            .into_iter()
            .filter_map(|(case, thread)| thread.join().unwrap_or(true).then_some(case))
            .collect()
    });
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:#?}", failed.len(), cases.len());
}

/// The middle one, and the longest.
///
/// # Panics
///
/// When there are none.
pub fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], *times.last().expect("something was measured"))
}
