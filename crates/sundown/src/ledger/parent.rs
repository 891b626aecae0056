//! A ledger inside another: a child without a taker passes on what it has to its parent's, once, and to none below itself. No
//! two ledgers are locked at once.

use std::sync::Arc;

use super::{Claims, Ledger};
use crate::jobs::IncompleteJob;

/// Who is told of everything that is listed here.
#[derive(Default)]
pub(super) enum Parent {
    #[default]
    None,
    /// Not yet: whether it is not below this one is still being looked at.
    Asked(Claims),
    Told(Claims),
}

impl Parent {
    pub(super) fn told(&self) -> Option<Claims> {
        match self {
            Parent::Told(claims) => Some(claims.clone()),
            Parent::None | Parent::Asked(_) => None,
        }
    }
}

impl Ledger {
    /// Passes all that is listed here, now and later, on to a parent, once; unless that is below this one itself.
    pub(crate) fn pass_on(self: &Arc<Self>, claims: &Claims) {
        {
            let mut books = self.books();
            // Once closed, all is in the report.
            if books.closed || !matches!(books.parent, Parent::None) {
                return;
            }
            books.parent = Parent::Asked(claims.clone());
        }
        // After it can be seen: of two that ask each other at once, one at least sees the other.
        let below = self.is_below(&claims.ledger);
        let mut books = self.books();
        if below || books.closed {
            books.parent = Parent::None;
            return;
        }
        books.parent = Parent::Told(claims.clone());
        // What is listed from here on is passed on by whoever lists it. No two locks at once.
        let jobs: Vec<_> = books.jobs.iter().map(|listed| listed.job.clone()).collect();
        let (sum, ended) = (books.ended, books.ended_of.iter().map(|(_, count)| count).sum());
        drop(books);
        jobs.into_iter().for_each(|job| pass(job, Some(claims.clone())));
        claims.count(sum.of_a_child());
        claims.ended(ended);
    }

    /// Whether all that is listed here is passed on to a parent's.
    pub(crate) fn is_passed_on(&self) -> bool {
        self.books().parent.told().is_some()
    }

    /// Whether what is listed in the other comes, or would come, here.
    fn is_below(self: &Arc<Self>, other: &Arc<Ledger>) -> bool {
        let mut passed: Vec<Arc<Ledger>> = vec![other.clone()];
        while let Some(last) = passed.last() {
            if Arc::ptr_eq(last, self) {
                return true;
            }
            let next = match &last.books().parent {
                Parent::Asked(claims) | Parent::Told(claims) => claims.ledger.clone(),
                Parent::None => return false,
            };
            if passed.iter().any(|before| Arc::ptr_eq(before, &next)) {
                return false;
            }
            passed.push(next);
        }
        false
    }
}

/// Lists a child's job in its parent's ledger, under both names.
pub(super) fn pass(job: IncompleteJob, parent: Option<Claims>) {
    let Some(Claims { ledger, component }) = parent else { return };
    let name = format!("{component}/{}", job.component());
    ledger.list(job.of(&name.into()), &component);
}
