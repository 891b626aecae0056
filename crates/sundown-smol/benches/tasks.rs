//! What a task of a group costs beside a bare one of smol's: spawned, run to its end, and joined.
//!
//! ```text
//! cargo bench -p sundown-smol --bench tasks
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench ends where it cannot go on")]

#[path = "../../sundown-tokio/benches/tasks/turns.rs"]
mod turns;

use std::{process::ExitCode, sync::Arc};

use smol::Executor;
use sundown::Tasks;
use sundown_smol::Smol;

use self::turns::{TASKS, compare, work};

fn main() -> ExitCode {
    let executor = Arc::new(Executor::new());
    let tasks = Tasks::new(Smol::on(executor.clone()));
    let (all, tracking, executor) = (&tasks, tasks.clone(), &executor);
    let mut bare = |waits| {
        smol::block_on(executor.run(async {
            let handles: Vec<_> = (0..TASKS).map(|n| executor.spawn(work(n, waits))).collect();
            for handle in handles {
                handle.await;
            }
        }));
    };
    let mut spawned = |waits| {
        smol::block_on(executor.run(async {
            let handles: Vec<_> = (0..TASKS).map(|n| all.spawn("task", work(n, waits)).unwrap()).collect();
            for handle in handles {
                handle.await.unwrap();
            }
        }));
    };
    let mut tracked = |waits| {
        smol::block_on(executor.run(async {
            let track = |n| tracking.track("task", work(n, waits)).unwrap();
            let handles: Vec<_> = (0..TASKS).map(|n| executor.spawn(track(n))).collect();
            for handle in handles {
                handle.await.unwrap();
            }
        }));
    };
    let ways = [
        ("Executor::spawn", &mut bare as &mut dyn FnMut(bool)),
        ("Tasks::spawn", &mut spawned),
        ("Executor::spawn(Tasks::track)", &mut tracked),
    ];
    compare("smol", ways)
}
