//! What every public type keeps of `Send`, `Sync` and `Unpin`, and every future: who loses one of these breaks the crate's users. A type
//! that is exported and not named here fails the test by its name.

use std::{any::type_name, collections::BTreeSet};

use sundown_journal::*;

/// A type with all three, by its name.
fn pinned<T: Send + Sync + Unpin>() -> String {
    named::<T>()
}

/// Any type, by its name.
fn named<T: ?Sized>() -> String {
    let path = type_name::<T>().split('<').next().unwrap_or_default();
    path.rsplit([':', ' ']).next().unwrap_or_default().to_owned()
}

/// What `lib.rs` exports.
fn exported() -> BTreeSet<String> {
    let lists = include_str!("../src/lib.rs").split("pub use ").skip(1).map(|rest| rest.split(';').next());
    let words = lists.flatten().flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_type = |word: &&str| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
    words.filter(is_type).map(str::to_owned).collect()
}

#[test]
fn every_public_type_keeps_its_auto_traits() {
    let pinned = [
        pinned::<BeginError>(),
        pinned::<CheckpointError>(),
        pinned::<DurableCommit<()>>(),
        pinned::<DurableJob<()>>(),
        pinned::<DurableJobs<()>>(),
        pinned::<DurableReservation<()>>(),
        pinned::<Full>(),
        pinned::<HandedOver>(),
        pinned::<Journal>(),
        pinned::<JournalError>(),
        pinned::<LastLink>(),
        pinned::<Options>(),
        pinned::<Recovered>(),
        pinned::<ResumeError>(),
        pinned::<WriteError>(),
    ];
    let (pinned, exported) = (BTreeSet::from(pinned), exported());
    let odd: Vec<_> = pinned.symmetric_difference(&exported).collect();
    assert!(odd.is_empty(), "exported and not pinned, or pinned and not exported: {odd:?}");
}

/// Checked where it is compiled, and never run.
#[test]
fn every_future_can_be_sent() {
    fn send(_: impl Future + Send) {}
    fn owned(_: impl Future + Send + 'static) {}
    let _ = |jobs: DurableJobs<String>, left: Recovered| {
        send(jobs.begin("image-17", String::new()));
        send(jobs.resume(&left));
    };
    let _ = |permit: DurableReservation<String>| send(permit.begin("image-17", String::new()));
    let _ = |job: DurableJob<String>| owned(job.taken());
    let _ = |journal: Journal| send(journal.flush());
}
