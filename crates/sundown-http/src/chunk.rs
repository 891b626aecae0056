//! A thread's scratch buffer for reads.
//!
//! hyper lends its own buffer uninitialised, which needs `unsafe` to read into. One initialised buffer a thread costs
//! no memory per connection and nothing to clear per read.

use std::cell::Cell;

/// As much as one read takes: hyper's own buffers grow beyond it only for large uploads.
const CHUNK: usize = 16 * 1024;

type Chunk = Box<[u8; CHUNK]>;

thread_local! {
    /// `None` before the first read of the thread, and inside one.
    static SCRATCH: Cell<Option<Chunk>> = const { Cell::new(None) };
}

/// Lends the thread's buffer. A transport that reads another while it reads (none is known) has one of its own, as has
/// whoever reads while the thread ends.
#[inline]
pub(crate) fn with<T>(read: impl FnOnce(&mut [u8; CHUNK]) -> T) -> T {
    let mut chunk = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_else(fresh);
    let read = read(&mut chunk);
    let _ = SCRATCH.try_with(|scratch| scratch.set(Some(chunk)));
    read
}

#[cold]
fn fresh() -> Chunk {
    Box::new([0; CHUNK])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_one_buffer_and_a_read_inside_a_read_one_of_its_own() {
        let place = || with(|chunk| chunk.as_ptr());
        let first = place();
        assert_eq!(place(), first);
        let inside = with(|outer| {
            assert_eq!(outer.as_ptr(), first);
            place()
        });
        assert_ne!(inside, first);
        assert_eq!(place(), first, "and it is still there");
    }

    #[test]
    fn a_read_that_panics_costs_the_buffer_and_nothing_else() {
        assert!(std::panic::catch_unwind(|| with(|_| panic!("on purpose"))).is_err());
        assert_eq!(with(|chunk| chunk.len()), CHUNK);
    }
}
