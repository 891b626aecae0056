//! What may move between threads.

use std::rc::Rc;

use sundown::{
    JoinError, JoinHandle, Restart, TaskBuilder, TaskCounts, TaskEnd, TaskFate, Tasks, Then, Tracked,
};

fn moves<T: Send>() {}
fn is_shared<T: Send + Sync>() {}
fn is_unpin<T: Unpin>() {}
fn is_all<T: Send + Sync + Unpin>(_: T) {}

/// `true` if a method of this name is there for the type alone, when it is not `Send`.
macro_rules! is_send {
    ($type:ty) => {{
        struct Probe<T>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "it is asked for some types only")]
        trait Otherwise {
            fn is_send(&self) -> bool {
                false
            }
        }
        impl<T> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "it is there for some types only")]
        impl<T: Send> Probe<T> {
            fn is_send(&self) -> bool {
                true
            }
        }
        Probe::<$type>(std::marker::PhantomData).is_send()
    }};
}

#[test]
fn what_is_shared_between_threads_is_pinned() {
    is_shared::<Tasks>();
    is_unpin::<Tasks>();
    is_shared::<TaskBuilder<'_>>();
    is_shared::<(Then, Restart, TaskCounts, TaskEnd, TaskFate, JoinError)>();
    // Whatever can move comes out of a handle, though it cannot be shared.
    is_shared::<JoinHandle<std::cell::Cell<u8>>>();
    is_unpin::<JoinHandle<std::marker::PhantomPinned>>();
    moves::<Tracked<std::future::Ready<u8>>>();
    is_shared::<Tracked<std::future::Pending<u8>>>();
    is_unpin::<Tracked<std::future::Ready<u8>>>();
    let tasks = Tasks::new(crate::bare::Bare::default());
    fn moved<F: Future + Send>(_: F) {}
    moved(tasks.empty());
    moved(tasks.next_end());
    moved(tasks.restarting(Restart::default(), || std::future::ready(Ok::<(), u8>(()))));
    is_all(tasks);
}

#[test]
fn a_tracked_future_moves_only_if_its_own_does() {
    assert!(is_send!(Tracked<std::future::Ready<u8>>));
    assert!(!is_send!(Tracked<std::future::Ready<Rc<u8>>>));
    assert!(!is_send!(JoinHandle<Rc<u8>>));
}
