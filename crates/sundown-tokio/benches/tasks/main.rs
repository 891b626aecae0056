//! What a task of a group costs beside a bare one of tokio's: spawned, run to its end, and joined.
//!
//! ```text
//! cargo bench -p sundown-tokio --bench tasks
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench ends where it cannot go on")]

mod turns;

use std::process::ExitCode;

use sundown::Tasks;
use sundown_tokio::Tokio;
use tokio::runtime::Builder;

use self::turns::{TASKS, compare, work};

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = Tasks::new(Tokio::of(runtime.handle().clone()));
    let (all, tracking) = (&tasks, tasks.clone());
    let mut bare = |waits| {
        runtime.block_on(async {
            let handles: Vec<_> = (0..TASKS).map(|n| tokio::spawn(work(n, waits))).collect();
            for handle in handles {
                handle.await.unwrap();
            }
        });
    };
    let mut spawned = |waits| {
        runtime.block_on(async {
            let handles: Vec<_> = (0..TASKS).map(|n| all.spawn("task", work(n, waits)).unwrap()).collect();
            for handle in handles {
                handle.await.unwrap();
            }
        });
    };
    let mut tracked = |waits| {
        runtime.block_on(async {
            let track = |n| tracking.track("task", work(n, waits)).unwrap();
            let handles: Vec<_> = (0..TASKS).map(|n| tokio::spawn(track(n))).collect();
            for handle in handles {
                handle.await.unwrap().unwrap();
            }
        });
    };
    let ways = [
        ("tokio::spawn", &mut bare as &mut dyn FnMut(bool)),
        ("Tasks::spawn", &mut spawned),
        ("tokio::spawn(Tasks::track)", &mut tracked),
    ];
    compare("tokio", ways)
}
