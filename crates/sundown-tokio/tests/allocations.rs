//! What a task of a group allocates beside a bare one of tokio's, and that nothing of it stays. In a program of its own,
//! since every allocation of the process is counted.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

use std::future::Future;

use dhat::{HeapStats, Profiler};
use sundown::Tasks;
use sundown_tokio::Tokio;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const TASKS: u64 = 1_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = Tasks::new(Tokio::of(runtime.handle().clone()));
    let _profiler = Profiler::builder().testing().build();
    let all = &tasks;
    let bare = allocated(&runtime, |n| async move { tokio::spawn(async move { n }).await.unwrap() });
    let ours =
        allocated(&runtime, |n| async move { all.spawn("task", async move { n }).unwrap().await.unwrap() });
    println!("{bare} blocks a bare task, {ours} a task of a group");
    // Its entry, and the box that every runtime takes.
    assert_eq!(ours, bare + 2);
}

/// Blocks a task, of which none is left.
fn allocated<F: Future<Output = u64>>(runtime: &tokio::runtime::Runtime, spawn: impl Fn(u64) -> F) -> u64 {
    runtime.block_on(async {
        // What is kept for all has been allocated then.
        spawn(0).await;
        let before = HeapStats::get();
        for n in 0..TASKS {
            assert_eq!(spawn(n).await, n);
        }
        let after = HeapStats::get();
        assert!(
            after.curr_blocks <= before.curr_blocks + 2,
            "{} before, {} after",
            before.curr_blocks,
            after.curr_blocks
        );
        (after.total_blocks - before.total_blocks) / TASKS
    })
}
