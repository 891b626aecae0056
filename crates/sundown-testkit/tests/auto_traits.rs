//! What every public type keeps of `Send`, `Sync` and `Unpin`: who loses one of these breaks the crate's users. A type
//! that is exported and not named here fails the test by its name.

use std::{any::type_name, collections::BTreeSet};

use sundown_testkit::{conformance::*, simulation::*, *};

/// A type with all three, by its name.
fn pinned<T: Send + Sync + Unpin>() -> String {
    named::<T>()
}

/// One that a single thread has at a time, by its name.
fn sent<T: Send + Unpin>() -> String {
    named::<T>()
}

/// Any type, by its name.
fn named<T: ?Sized>() -> String {
    let path = type_name::<T>().split('<').next().unwrap_or_default();
    path.rsplit([':', ' ']).next().unwrap_or_default().to_owned()
}

/// What `lib.rs` exports, and the two modules.
fn exported() -> BTreeSet<String> {
    let sources = [
        include_str!("../src/lib.rs"),
        include_str!("../src/conformance/mod.rs"),
        include_str!("../src/simulation/mod.rs"),
    ];
    let own = sources[2]
        .split("\npub ")
        .filter(|item| item.starts_with("struct ") || item.starts_with("enum "))
        .filter_map(|item| item.split([' ', '<', ';']).nth(1));
    let lists =
        sources.iter().flat_map(|source| source.split("pub use ").skip(1)).map(|rest| rest.split(';').next());
    let words = lists.flatten().flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_type = |word: &&str| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
    words.filter(is_type).chain(own).map(str::to_owned).collect()
}

#[test]
fn every_public_type_keeps_its_auto_traits() {
    let pinned = [
        pinned::<Event>(),
        pinned::<Fault>(),
        pinned::<Faulty<()>>(),
        pinned::<Hold>(),
        pinned::<Method>(),
        pinned::<Recorder>(),
        pinned::<TakesOver>(),
        pinned::<Ending<()>>(),
        pinned::<Exit<()>>(),
        pinned::<Notifying>(),
        pinned::<Outside>(),
        pinned::<Simulation>(),
        pinned::<Suite>(),
        pinned::<Verdict>(),
        pinned::<Virtual>(),
        pinned::<World>(),
        // They hold what the suite does once.
        sent::<Running>(),
        sent::<Subject>(),
        // A trait.
        named::<dyn Piece>(),
    ];
    let (pinned, exported) = (BTreeSet::from(pinned), exported());
    let odd: Vec<_> = pinned.symmetric_difference(&exported).collect();
    assert!(odd.is_empty(), "exported and not pinned, or pinned and not exported: {odd:?}");
}
