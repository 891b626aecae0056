//! The claim: which jobs it takes, and what that means for them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

use sundown::{Claims, Drainable, panic_message};

use super::stage::{Fresh, Staged, claimed, ids};
use crate::conformance::trial::{AT_ONCE, Checked, OrBroken, Trial, require};

pub(super) fn no_work_begins_after_the_claim(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let claim = |component: &dyn Drainable, claims: &Claims| component.claim(claims);
    let unclosed = Staged { component: subject.component.clone(), closes: false, claim };
    trial.finish(subject.shutdown_of(unclosed).start().or_broken("a shutdown")?)?;
    let begun = (subject.begin)("after").is_some();
    require(!begun, || "expected jobs to be refused after `claim`, without a `close`; one began".into())
}

pub(super) fn a_claim_takes_every_unfinished_job(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let begun = ids(40);
    let _work = subject.works(&begun)?;
    let report = trial.finish(subject.shutdown().start().or_broken("a shutdown")?)?;
    same(&claimed(&report), &begun)
}

/// Each is claimed once, and no other.
fn same(claimed: &[String], expected: &[String]) -> Checked {
    require(claimed == expected, || {
        let missing: Vec<_> = expected.iter().filter(|id| !claimed.contains(id)).collect();
        let mut besides = claimed.to_vec();
        for id in expected {
            if let Some(at) = besides.iter().position(|claimed| claimed == id) {
                besides.remove(at);
            }
        }
        format!(
            "expected the {} unfinished jobs in the report, each once; missing are {missing:?}, besides there \
             are {besides:?}",
            expected.len()
        )
    })
}

pub(super) fn a_claimed_job_cannot_commit(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let work = subject.works(&ids(5))?;
    let report = trial.finish(subject.shutdown().start().or_broken("a shutdown")?)?;
    let taken = claimed(&report);
    for (piece, id) in work.into_iter().zip(ids(5)) {
        let committed = piece.commit();
        require(!(committed && taken.contains(&id)), || {
            format!("expected {id} to be unable to commit once it was claimed, it committed")
        })?;
    }
    Ok(())
}

pub(super) fn a_job_that_has_committed_is_not_claimed(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let mut work = subject.works(&ids(6))?;
    let unfinished = work.split_off(3);
    for (piece, id) in work.into_iter().zip(ids(6)) {
        require(piece.commit(), || format!("expected {id} to commit while the service runs, it could not"))?;
    }
    let report = trial.finish(subject.shutdown().start().or_broken("a shutdown")?)?;
    drop(unfinished);
    let taken = claimed(&report);
    let wrong: Vec<_> = ids(3).into_iter().filter(|id| taken.contains(id)).collect();
    require(wrong.is_empty(), || {
        format!("expected jobs that committed before not to be claimed, saw {wrong:?}")
    })
}

pub(super) fn a_second_claim_takes_nothing(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let begun = ids(5);
    let _work = subject.works(&begun)?;
    let (tell, told) = channel();
    let claim = move |component: &dyn Drainable, claims: &Claims| {
        claim_timed(component, claims, &tell);
        claim_timed(component, claims, &tell);
    };
    let twice = Staged { component: subject.component.clone(), closes: true, claim };
    let report = trial.finish(subject.shutdown_of(twice).start().or_broken("a shutdown")?)?;
    for which in ["a first", "a second"] {
        let what = format!("{which} `claim`");
        trial.wait(&told, &format!("{what} to return"))?.or_broken(&what)?;
    }
    let mut taken = claimed(&report);
    let all = taken.len();
    taken.dedup();
    require(taken.len() == all, || {
        format!("expected each job once after two claims, saw {:?}", claimed(&report))
    })
}

pub(super) fn a_claim_returns_at_once(trial: &Trial<Fresh>) -> Checked {
    let subject = trial.fresh_store()?;
    let _work = subject.works(&ids(40))?;
    let (tell, told) = channel();
    let claim = move |component: &dyn Drainable, claims: &Claims| claim_timed(component, claims, &tell);
    let timed = Staged { component: subject.component.clone(), closes: true, claim };
    trial.finish(subject.shutdown_of(timed).start().or_broken("a shutdown")?)?;
    let took = trial.wait(&told, "`claim` to return at once")?.or_broken("`claim`")?;
    require(took <= AT_ONCE, || format!("expected `claim` to return at once, it took {took:?}"))
}

/// Claims, and tells how long that took or what it panicked with: a shutdown waits for a shorter time than a busy
/// machine may need, so its report is no judge of this.
fn claim_timed(component: &dyn Drainable, claims: &Claims, tell: &Sender<Result<Duration, String>>) {
    let began = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| component.claim(claims)));
    let panicked = |panic: Box<dyn Any + Send>| format!("it panicked: {}", panic_message(panic));
    let _ = tell.send(ended.map(|()| began.elapsed()).map_err(panicked));
}
