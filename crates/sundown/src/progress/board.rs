//! Where the latest page is: how a shutdown stands, as far as no component need be asked.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use super::Step;
use crate::{Deadline, InFlight, latch::Shared, machine::Turn};

/// The lock guards the pointer.
pub(crate) struct Board(Mutex<Arc<Page>>);

/// How it stands, as far as no component need be asked.
pub(crate) struct Page {
    pub(super) number: u64,
    pub(crate) step: Step,
    /// None before the beginning.
    pub(crate) lines: Vec<Line>,
    /// Set when there is another page.
    pub(super) turned: Shared,
}

/// A component's line.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) turn: Turn,
    pub(crate) deadline: Option<Deadline>,
    /// What it had in flight at the claim, once it has said so.
    pub(crate) stragglers: Option<InFlight>,
}

impl Board {
    pub(crate) fn new() -> Self {
        let first = Page { number: 0, step: Step::Running, lines: Vec::new(), turned: Shared::default() };
        Board(Mutex::new(Arc::new(first)))
    }

    pub(crate) fn page(&self) -> Arc<Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another page up, and says who is to be woken for it, if anybody waits.
    #[must_use]
    pub(crate) fn show(&self, step: Step, lines: Vec<Line>) -> Option<Shared> {
        self.replace(|_| Some((step, lines)))
    }

    /// The same page once more, since a component has joined.
    #[must_use]
    pub(crate) fn again(&self) -> Option<Shared> {
        // One that joined just before the beginning is on the page that is up already.
        self.replace(|page| (page.step == Step::Running).then(|| (page.step, Vec::new())))
    }

    fn replace(&self, draw: impl FnOnce(&Page) -> Option<(Step, Vec<Line>)>) -> Option<Shared> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (step, lines) = draw(&page)?;
        let next = Page { number: page.number + 1, step, lines, turned: Shared::default() };
        let last = mem::replace(&mut *page, Arc::new(next));
        drop(page);
        last.turned.set();
        last.turned.is_waited_for().then(|| last.turned.clone())
    }
}
