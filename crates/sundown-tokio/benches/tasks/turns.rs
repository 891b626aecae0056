//! One way to spawn tasks beside another: measured in turn, again and again, and compared within a turn.

use std::{future::poll_fn, process::ExitCode, task::Poll};

use rustix::time::{ClockId, clock_gettime};

/// Tasks that are alive at once.
pub(crate) const TASKS: u32 = 5_000;

/// How often each way has its turn. A machine that is slow for a while is slow for all.
const TURNS: usize = 41;

/// What a task may cost at most, in bare ones.
const BOUND: f64 = 2.0;

/// What a task does: it returns a number, at once or when it has waited for its next turn.
pub(crate) async fn work(n: u32, waits: bool) -> u32 {
    let mut waiting = waits;
    poll_fn(|cx| {
        if !std::mem::replace(&mut waiting, false) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    n
}

/// A way to spawn so many tasks and to wait for their ends.
pub(crate) type Way<'a> = (&'static str, &'a mut dyn FnMut(bool));

/// Prints what a task costs in each way, and what that is in bare ones, which are the first way: the medians of the turns.
/// Fails when one that waits, as tasks do, costs more than it may by the second way, which is `Tasks::spawn`.
pub(crate) fn compare(runtime: &str, mut ways: [Way<'_>; 3]) -> ExitCode {
    let mut holds = true;
    for waits in [false, true] {
        // The first turn warms up.
        let turns = (0..=TURNS).map(|_| ways.each_mut().map(|way| took(|| (way.1)(waits))));
        let turns: Vec<[f64; 3]> = turns.skip(1).collect();
        for (way, (name, _)) in ways.iter().enumerate() {
            let nanos = median(turns.iter().map(|turn| turn[way]));
            let ratio = median(turns.iter().map(|turn| turn[way] / turn[0]));
            let what = if waits { "that waits once" } else { "that ends at once" };
            println!("{runtime}, {name}: {nanos:.0} ns a task {what}, {ratio:.2} bare ones");
            holds &= !waits || way != 1 || ratio <= BOUND;
        }
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Nanoseconds a task. Of this thread's own time: who is interrupted by others does not pay for them, and all is done here.
fn took(way: impl FnOnce()) -> f64 {
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
