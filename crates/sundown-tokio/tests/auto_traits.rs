//! What every public type keeps of `Send`, `Sync` and `Unpin`: who loses one of these breaks the crate's users. A type
//! that is exported and not named here fails the test by its name.

use std::{any::type_name, collections::BTreeSet};

use sundown_tokio::*;

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
    let pinned = [pinned::<Interrupt<()>>(), pinned::<Task<()>>()];
    let (pinned, exported) = (BTreeSet::from(pinned), exported());
    let odd: Vec<_> = pinned.symmetric_difference(&exported).collect();
    assert!(odd.is_empty(), "exported and not pinned, or pinned and not exported: {odd:?}");
}

#[test]
fn the_adapter_can_be_kept_wherever_the_shutdown_goes() {
    assert_eq!(pinned::<Tokio>(), "Tokio");
}
