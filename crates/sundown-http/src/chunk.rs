//! A thread's scratch buffer for reads.
//!
//! hyper lends its own buffer uninitialised, which needs `unsafe` to read into. One initialised buffer a thread costs
//! no memory per connection and nothing to clear per read.

use std::cell::RefCell;

/// As much as one read takes: hyper's own buffers grow beyond it only for large uploads.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<[u8; CHUNK]> = const { RefCell::new([0; CHUNK]) };
}

/// Lends the thread's buffer.
#[inline]
pub(crate) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with(|scratch| {
        let mut scratch = scratch.try_borrow_mut();
        let mut own;
        read(match &mut scratch {
            Ok(scratch) => &mut scratch[..],
            // A transport that reads another while it reads: none is known.
            Err(_) => {
                own = vec![0; CHUNK];
                &mut own
            }
        })
    })
}
