//! One way to spawn tasks beside another: measured in turn, again and again, and compared within a turn.

use std::process::ExitCode;

use rustix::time::{ClockId, clock_gettime};

/// Tasks that are alive at once.
pub(crate) const TASKS: u32 = 5_000;

/// How often each way has its turn. A machine that is slow for a while is slow for all.
const TURNS: usize = 41;

/// What a task may cost at most, in bare ones.
const BOUND: f64 = 2.0;

/// A way to spawn so many tasks and to wait for their ends.
pub(crate) type Way<'a> = (&'static str, &'a mut dyn FnMut());

/// Prints what a task costs in each way, and what that is in bare ones, which are the first way: the medians of the turns.
/// Fails when the second, which is `Tasks::spawn`, costs more than it may.
pub(crate) fn compare(runtime: &str, mut ways: [Way<'_>; 3]) -> ExitCode {
    // The first turn warms up.
    let turns: Vec<[f64; 3]> = (0..=TURNS).map(|_| ways.each_mut().map(|way| took(way.1))).skip(1).collect();
    let mut ratios = [0.0; 3];
    for (way, (name, _)) in ways.iter().enumerate() {
        let nanos = median(turns.iter().map(|turn| turn[way]));
        ratios[way] = median(turns.iter().map(|turn| turn[way] / turn[0]));
        println!("{runtime}, {name}: {nanos:.0} ns a task, {:.2} bare ones", ratios[way]);
    }
    if ratios[1] <= BOUND { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Nanoseconds a task. Of this thread's own time: who is interrupted by others does not pay for them, and all is done here.
fn took(way: &mut dyn FnMut()) -> f64 {
    let began = nanos();
    way();
    (nanos() - began) / f64::from(TASKS)
}

#[allow(clippy::cast_precision_loss, reason = "this program does not run for months")]
fn nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
