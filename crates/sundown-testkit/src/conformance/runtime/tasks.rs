//! Tasks: where they run, what outlives a handle, and what an abort does.

use std::{
    future::pending,
    sync::mpsc::{Sender, channel},
    thread,
};

use super::{Start, stage::drive};
use crate::conformance::{
    flag::wakeable,
    trial::{Checked, Trial, require},
};

pub(super) fn a_spawned_task_runs(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    stage.run("a task to run", async {})?;
    let runtime = stage.runtime();
    let (tell, ran) = channel();
    let _kept = stage.run("a task to spawn another", async move {
        runtime.spawn(Box::pin(async move {
            let _ = tell.send(());
        }))
    })?;
    trial.wait(&ran, "a task that was spawned in a task to run")
}

pub(super) fn a_task_does_not_run_on_the_thread_that_spawned_it(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let runtime = stage.runtime();
    let (tell, ran) = channel();
    let (spawner, _kept) = trial.at_once("`spawn`", move || {
        let handle = runtime.spawn(Box::pin(async move {
            let _ = tell.send(thread::current().id());
        }));
        (thread::current().id(), handle)
    })?;
    let thread = trial.wait(&ran, "a task to run")?;
    require(thread != spawner, || "expected the task on a thread of the runtime, it ran in `spawn`".into())
}

pub(super) fn a_task_spawned_in_a_place_runs_on_the_runtime(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (runtime, mut place) = (stage.runtime(), stage.place()?);
    let (tell, ran) = channel();
    let (driver, _kept) = trial.off_thread("a place in which a task is spawned", move || {
        let handle = drive(&mut *place, async move {
            runtime.spawn(Box::pin(async move {
                let _ = tell.send(thread::current().id());
            }))
        });
        (thread::current().id(), handle)
    })?;
    let thread = trial.wait(&ran, "a task that was spawned in a place to run")?;
    require(thread != driver, || "expected the task on a thread of the runtime, it ran in the place".into())
}

pub(super) fn a_task_goes_on_when_its_handle_is_dropped(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let ((polled, was_polled), (tell, ended)) = (channel(), channel());
    let (go, going) = wakeable();
    let handle = stage.runtime().spawn(Box::pin(async move {
        going.telling(polled).await;
        let _ = tell.send(());
    }));
    trial.wait(&was_polled, "a task to run, and to wait")?;
    drop(handle);
    go.wake();
    trial.wait(&ended, "a task to go on after its handle was dropped")
}

pub(super) fn an_aborted_task_is_dropped_where_it_waits(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let ((polled, was_polled), (tell, dropped)) = (channel(), channel());
    let handle = stage.runtime().spawn(Box::pin(async move {
        let _tells = OnDrop(tell);
        let _ = polled.send(());
        pending::<()>().await;
    }));
    trial.wait(&was_polled, "a task to run")?;
    handle.abort();
    trial.wait(&dropped, "the destructors of an aborted task")
}

pub(super) fn an_abort_after_the_end_does_nothing(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (tell, dropped) = channel();
    let tells = OnDrop(tell);
    let handle = stage.runtime().spawn(Box::pin(async move { drop(tells) }));
    trial.wait(&dropped, "a task to run")?;
    // On the runtime's thread this task comes after the end of the other.
    stage.run("another task to run", async {})?;
    trial.at_once("`abort` after the end of its task", move || {
        handle.abort();
        handle.abort();
    })?;
    stage.run("a task to run after that", async {})
}

pub(super) fn a_panic_in_a_task_leaves_the_runtime_running(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (go, going) = wakeable();
    let bystander = stage.spawn(going);
    let (tell, unwound) = channel();
    let tells = OnDrop(tell);
    stage.start(async move {
        let _tells = tells;
        // Without the hook, which would print it.
        std::panic::resume_unwind(Box::new("a task's panic, on purpose"));
    });
    trial.wait(&unwound, "a task that panics to be dropped")?;
    stage.run("a task to run after another has panicked", async {})?;
    go.wake();
    trial.wait(&bystander, "a task to go on after another has panicked")
}

/// Tells that it was dropped.
struct OnDrop(Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
