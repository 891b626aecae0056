//! What waiting costs while nothing is shut down: no allocation, and nothing is left of a million who have waited. A
//! process of its own, in which nobody else allocates.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    future::{Future, pending},
    pin::{Pin, pin},
    task::{Context, Waker},
    time::Duration,
};

use dhat::{HeapStats, Profiler};
use futures_io::AsyncRead;
use sundown::{Gate, Shutdown};
use sundown_tokio::Tokio;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const MANY: usize = 1_000_000;

/// A reader of an idle connection.
struct Idle;

impl AsyncRead for Idle {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Pending
    }
}

/// How many blocks are allocated, and how many more are there when it is over.
fn allocated(mut work: impl FnMut()) -> (u64, isize) {
    // Room is made for the first one who waits, and kept.
    work();
    let before = HeapStats::get();
    work();
    let after = HeapStats::get();
    let left = isize::try_from(after.curr_blocks).unwrap() - isize::try_from(before.curr_blocks).unwrap();
    (after.total_blocks - before.total_blocks, left)
}

fn main() {
    let _profiler = Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let builder = Shutdown::embedded(Tokio::of(runtime.handle().clone()));
    let shutdown = builder.grace(Duration::from_secs(10)).start().unwrap();
    let (watch, gate) = (shutdown.watch(), Gate::new());
    let mut cx = Context::from_waker(Waker::noop());

    let waits = allocated(|| {
        for _ in 0..MANY {
            assert!(pin!(watch.interrupt(pending::<()>())).poll(&mut cx).is_pending());
        }
    });
    assert_eq!(waits, (0, 0), "a million short waits");

    let mut reader = watch.interrupt(Idle);
    let reads = allocated(|| {
        for _ in 0..MANY {
            assert!(Pin::new(&mut reader).poll_read(&mut cx, &mut [0; 8]).is_pending());
        }
    });
    assert_eq!(reads, (0, 0), "an idle reader that is polled a million times");

    let enters = allocated(|| {
        for _ in 0..MANY {
            drop(gate.enter().unwrap());
        }
    });
    assert_eq!(enters, (0, 0), "a million who pass a gate");

    let inside = gate.enter().unwrap();
    let (_, left) = allocated(|| {
        for _ in 0..MANY / 10 {
            assert!(pin!(gate.quiet()).poll(&mut cx).is_pending());
        }
    });
    assert_eq!(left, 0, "those who have waited for a lull");
    drop(inside);
}
