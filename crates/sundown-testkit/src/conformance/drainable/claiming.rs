//! The claim: which jobs it takes, and what that means for them.

use std::sync::mpsc::channel;

use sundown::{Claims, Drainable, Outcome};

use super::stage::{Fresh, Staged, claimed, ids};
use crate::conformance::trial::{AT_ONCE, Checked, OrBroken, Trial, Unmet, require};

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
    let claim = |component: &dyn Drainable, claims: &Claims| {
        component.claim(claims);
        component.claim(claims);
    };
    let twice = Staged { component: subject.component.clone(), closes: true, claim };
    let report = trial.finish(subject.shutdown_of(twice).start().or_broken("a shutdown")?)?;
    ended_well("claim", &report.components[0].claim)?;
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
    let (tell, returned) = channel();
    let claim = move |component: &dyn Drainable, claims: &Claims| {
        component.claim(claims);
        let _ = tell.send(());
    };
    let telling = Staged { component: subject.component.clone(), closes: true, claim };
    let report = trial.finish(subject.shutdown_of(telling).start().or_broken("a shutdown")?)?;
    match returned.try_recv() {
        Ok(()) => match &report.components[0].claim {
            Outcome::Done(took) if *took > AT_ONCE => {
                Err(Unmet::broken(format!("expected `claim` to return at once, it took {took:?}")))
            }
            outcome => ended_well("claim", outcome),
        },
        Err(_) => {
            Err(Unmet::broken("expected `claim` to return at once, it had not when the shutdown was over"))
        }
    }
}

/// It returned, without a panic.
pub(super) fn ended_well(method: &str, outcome: &Outcome) -> Checked {
    require(matches!(outcome, Outcome::Done(_)), || {
        format!("expected `{method}` to return in time: it {outcome}")
    })
}
