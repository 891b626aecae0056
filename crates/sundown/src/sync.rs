//! The locks and atomics of the primitives: the standard library's, or `loom`'s in the models.
//!
//! What is modelled takes its synchronisation from here, so that the models check the code that is shipped; so does what
//! locks by [`lock`]. The rest of the crate uses the standard library's directly. `Arc` and `OnceLock` stay the standard
//! library's in the models too: a count of references guards nothing of ours, and `loom` has no `OnceLock`.

#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};

/// Locks, whoever has panicked under it: what is guarded is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
