//! A thread's scratch buffer for reads.
//!
//! hyper lends its own buffer uninitialised, which needs `unsafe` to read into. One initialised buffer a thread costs
//! no memory per connection and nothing to clear per read.

use std::cell::Cell;

/// As much as one read takes: hyper's own buffers grow beyond it only for large uploads.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's buffer. Called inside itself it lends a fresh one.
pub(crate) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    // On a thread that is ending there is none left to keep.
    let mut chunk = SCRATCH.try_with(Cell::take).unwrap_or_default();
    if chunk.len() != CHUNK {
        chunk = vec![0; CHUNK];
    }
    let result = read(&mut chunk);
    let _ = SCRATCH.try_with(|scratch| scratch.set(chunk));
    result
}
