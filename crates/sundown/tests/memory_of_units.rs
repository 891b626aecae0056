//! Nothing that is kept of a unit outlives the unit: crates were met that keep 85 to 120 bytes of each one that has
//! ever been. In a program of its own, without a harness, since every allocation of the process is counted.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use dhat::{HeapStats, Profiler};
use sundown::{Gate, Jobs, Shutdown};
use sundown_tokio::Tokio;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Of those that allocate: each allocation is looked at.
const MANY: usize = 4_000;
/// What grows by doubling has grown by then.
const WARM: usize = 100;
/// Less than two bytes each; what other threads allocate is among it.
const NOISE: usize = 2 * MANY;

/// Does it many times, and says how many bytes that has left behind, and how often it has allocated.
fn left_by(times: usize, mut unit: impl FnMut()) -> (usize, u64) {
    (0..WARM).for_each(|_| unit());
    let before = HeapStats::get();
    (0..times).for_each(|_| unit());
    let after = HeapStats::get();
    (after.curr_bytes.saturating_sub(before.curr_bytes), after.total_blocks - before.total_blocks)
}

/// Polls it once and drops it.
fn give_up(future: impl Future) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn main() {
    let _profiler = Profiler::builder().testing().build();
    let (gate, jobs) = (Gate::new(), Jobs::new());

    // Before there are other threads, which allocate as well.
    let guards = left_by(1_000_000, || drop(gate.enter().unwrap()));
    assert_eq!(guards, (0, 0), "an anonymous guard allocates nothing");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone()))
        .component("gate", gate.clone())
        .component("jobs", jobs.clone())
        .grace(Duration::from_secs(60))
        .start()
        .unwrap();

    let left = |what: &str, unit: &mut dyn FnMut()| {
        let (bytes, _) = left_by(MANY, unit);
        assert!(bytes < NOISE, "{what}: {bytes} bytes are left of {MANY}");
    };
    left("jobs that complete", &mut || jobs.begin_unnamed(17).unwrap().complete().unwrap());
    left("jobs that are dropped", &mut || drop(jobs.begin("image-17", 17).unwrap()));
    let doubtful = Jobs::new();
    left("commits that are dropped", &mut || drop(doubtful.begin_unnamed(17).unwrap().commit().unwrap()));
    left("reservations", &mut || drop(jobs.reserve().unwrap()));
    left("checkpoints", &mut || jobs.begin_unnamed(17).unwrap().checkpoint("half"));
    left("tickets", &mut || {
        let job = jobs.begin_unnamed(17).unwrap();
        give_up(job.ticket().decided());
        give_up(job.taken());
    });
    left("looks at what is in flight", &mut || drop(jobs.in_flight()));
    left("waits for a gate", &mut || {
        give_up(gate.closed());
        give_up(gate.empty());
    });
    left("watches", &mut || {
        let watch = shutdown.watch();
        give_up(watch.draining());
        give_up(watch.claimed());
    });
    left("handles", &mut || {
        let handle = shutdown.handle();
        give_up(handle.finished());
        drop((handle.readiness(), handle.deadline()));
    });
    left("refused components", &mut || {
        assert!(shutdown.component("gate", Gate::new(), []).is_err());
    });
    shutdown.begin("a test");
    assert!(shutdown.finished_blocking().is_clean());
}
