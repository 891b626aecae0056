//! Work that ends while the shutdown comes for it.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
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
const JOBS: usize = 10;

/// A component that never refuses is another rule's.
const MOST: usize = 10_000;

pub(super) fn work_that_races_with_the_close_is_waited_for(trial: &Trial<Fresh>) -> Checked {
    (0..ROUNDS).try_for_each(|_| close_beside_begins(trial))
}

fn close_beside_begins(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh();
    let ((tell, begun), over) = (channel(), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (begin, tell, over) = (subject.begin.clone(), tell.clone(), over.clone());
            thread::spawn(move || begin_until_refused(thread, &*begin, &tell, &over))
        })
        .collect();
    for _ in 0..THREADS {
        trial.wait(&begun, "work to begin")?;
    }
    trial.close(&subject)?;
    trial.wait(&subject.drained()?.over, "`drained` to resolve once no work begins any more")?;
    // SeqCst: whoever holds work and sees this holds it after the drain.
    over.store(true, Ordering::SeqCst);
    let slipped_in = trial.off_thread("those who begin work", move || {
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum::<usize>()
    })?;
    require(slipped_in == 0, || {
        format!("expected nothing in flight after the drain, saw {slipped_in} pieces of work that slipped in")
    })
}

/// How often it had work in flight when the drain was over.
fn begin_until_refused(
    thread: usize,
    begin: &(dyn Fn(&str) -> Option<Box<dyn Piece>> + Send + Sync),
    tell: &Sender<()>,
    over: &AtomicBool,
) -> usize {
    let mut slipped_in = 0;
    for n in 0..MOST {
        let Some(piece) = begin(&format!("job-{thread}-{n}")) else { break };
        slipped_in += usize::from(over.load(Ordering::SeqCst));
        piece.commit();
        let _ = tell.send(());
    }
    slipped_in
}

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
