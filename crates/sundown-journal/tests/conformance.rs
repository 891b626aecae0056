//! The contracts of a component and of a notifier, on what the journal makes of them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

mod place;

use sundown_journal::{DurableJob, Journal};
use sundown_testkit::conformance::{Notifying, Outside, Piece, Subject};

use crate::place::{Place, wait};

/// With the directory that it is in.
struct Durable(DurableJob<usize>);

impl Piece for Durable {
    fn commit(self: Box<Self>) -> bool {
        self.0.complete().is_ok()
    }
}

fn durable() -> Subject {
    let place = Place::new();
    let jobs = Journal::open(place.journal()).unwrap().jobs("jobs");
    Subject::jobs(jobs.clone(), move |id| {
        let _place = &place;
        wait(jobs.begin(id, id.len())).ok().map(Durable)
    })
}

/// A disk accepts everything, or refuses everything.
fn last_link(outside: Outside) -> Option<Notifying> {
    let place = Place::new();
    let journal = Journal::open(place.journal()).unwrap();
    let link = journal.as_last_link().outlives_the_instance();
    match outside {
        Outside::Accepts => (),
        Outside::Refuses => journal.close().unwrap(),
        _ => return None,
    }
    Some(Notifying::new(link, move || {
        // What the next process finds.
        let _ = journal.close();
        let found = Journal::open(place.journal()).unwrap().left_over();
        found.iter().map(|job| job.key().to_string()).collect()
    }))
}

mod durable_jobs {
    sundown_testkit::drainable_conformance!(super::durable);
}

mod the_last_link {
    sundown_testkit::notifier_conformance!(super::last_link);
}
