//! Work that ends while the shutdown comes for it.

use std::{
    sync::{Arc, Barrier},
    thread,
};

use sundown::{Claims, Drainable, Gate, Shutdown};

use super::{
    Piece,
    stage::{Fresh, Staged, claimed},
};
use crate::conformance::{
    bare::block_on,
    trial::{Checked, OrBroken, Trial, require},
};

const ROUNDS: usize = 20;
const THREADS: usize = 4;
const JOBS: usize = 25;

pub(super) fn commits_that_race_with_the_claim_are_decided_once(trial: &Trial<Fresh>) -> Checked {
    (0..ROUNDS).try_for_each(|_| race(trial))
}

fn race(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let start = Arc::new(Barrier::new(THREADS + 1));
    let mut threads = Vec::new();
    for thread in 0..THREADS {
        let ids: Vec<_> = (0..JOBS).map(|job| format!("job-{thread}-{job}")).collect();
        let (work, start) = (subject.works(&ids)?, start.clone());
        threads.push(thread::spawn(move || commit_all(ids, work, &start)));
    }
    let claim = move |component: &dyn Drainable, claims: &Claims| {
        start.wait();
        component.claim(claims);
    };
    let racing = Staged { component: subject.component.clone(), closes: true, claim };
    let report = trial.finish(subject.shutdown_of(racing).start().or_broken("a shutdown")?)?;
    let claimed = claimed(&report);
    for thread in threads {
        let decided = thread.join().map_err(|_| "a thread that commits").or_broken("`commit`")?;
        for (id, committed) in decided {
            let times = claimed.iter().filter(|claimed| **claimed == id).count();
            require(times == usize::from(!committed), || match committed {
                true => format!(
                    "expected {id} not to be claimed, since it committed; it was claimed {times} times"
                ),
                false => format!(
                    "expected {id} to be claimed once, since it could not commit; it was {times} times"
                ),
            })?;
        }
    }
    Ok(())
}

/// Whether each could commit.
fn commit_all(ids: Vec<String>, work: Vec<Box<dyn Piece>>, start: &Barrier) -> Vec<(String, bool)> {
    start.wait();
    ids.into_iter().zip(work.into_iter().map(|piece| piece.commit())).collect()
}

pub(super) fn a_job_dropped_after_the_announcement_is_claimed(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let first = Gate::new();
    let inside = first.enter().or_broken("to enter a gate")?;
    let builder =
        subject.embedded().component("first", first).component("subject", subject.component.clone());
    let shutdown: Shutdown = builder.after(["first"]).start().or_broken("a shutdown")?;
    let work = subject.work("dropped")?;
    shutdown.begin("a rule is checked");
    let watch = shutdown.watch();
    trial.off_thread("the announcement", move || block_on(watch.draining()))?;
    // The component's turn comes when those inside the gate have left.
    drop(work);
    let report = trial.finish(shutdown)?;
    drop(inside);
    let claimed = claimed(&report);
    require(claimed == ["dropped"], || {
        format!("expected the job that was dropped after the announcement to be claimed, saw {claimed:?}")
    })
}
