//! Work that does not come to its end by itself.

use std::future::pending;

use sundown::{Gate, Jobs};

use crate::{in_time, shutdown};

/// What becomes of the tasks that hold a guard and a job each.
#[derive(Clone, Copy, Debug)]
enum End {
    Aborted,
    AbortedUnpolled,
    Panicked,
    RuntimeDropped,
    NeverSpawned,
}

#[test]
fn work_that_is_aborted_panics_or_is_never_polled_has_left_and_is_counted() {
    for end in [End::Aborted, End::AbortedUnpolled, End::Panicked, End::RuntimeDropped, End::NeverSpawned] {
        let (_runtime, shutdown) = shutdown();
        let (gate, jobs) = (Gate::new(), Jobs::new());
        shutdown.component("gate", gate.clone(), []).unwrap();
        shutdown.component("jobs", jobs.clone(), []).unwrap();
        let (guard, job) = (gate.enter().unwrap(), jobs.begin("image-17", ()).unwrap());
        let work = async move {
            let _held = (guard, job);
            match end {
                End::Panicked => std::panic::resume_unwind(Box::new("on purpose")),
                _ => pending::<()>().await,
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            match end {
                End::NeverSpawned => drop(work),
                End::RuntimeDropped => {
                    tokio::spawn(work);
                    tokio::task::yield_now().await;
                }
                _ => {
                    let task = tokio::spawn(work);
                    if matches!(end, End::Aborted) {
                        tokio::task::yield_now().await;
                    }
                    if !matches!(end, End::Panicked) {
                        task.abort();
                    }
                    assert!(task.await.is_err());
                }
            }
        });
        drop(runtime);
        assert_eq!((gate.inside(), jobs.in_flight().total()), (0, Some(0)), "{end:?}");
        shutdown.begin("a test");
        let report = in_time("a shutdown", move || shutdown.finished_blocking());
        assert!(report.is_clean(), "{end:?}: {report}");
        assert_eq!((report.jobs.failed, report.jobs.completed), (1, 0), "{end:?}: {report}");
    }
}
