//! The word, checked by `loom` in every interleaving and with every value that a load may see.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p sundown-http --lib --release --target-dir target/models models::
//! ```
//!
//! What runs is the shipped word. Each model's comment names mutants of it that the model was seen to fail with.

use std::sync::Arc;

use loom::{
    sync::atomic::AtomicBool,
    thread::{self, JoinHandle},
};

use super::*;

/// What the runtime's side does, on a thread of its own.
fn runtime<T: Send + 'static>(
    word: &Arc<Word>,
    side: impl FnOnce(&Word) -> T + Send + 'static,
) -> JoinHandle<T> {
    let word = word.clone();
    thread::spawn(move || side(&word))
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the thread has not panicked")
}

/// A flag that nothing but the word publishes.
fn flag() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (flag.clone(), flag)
}

/// A connection with a request in its handler.
fn in_handler() -> Arc<Word> {
    let word = Word::default();
    word.begin_request(false, false).expect("nobody else is there");
    Arc::new(word)
}

/// Fails if `update` looks first and marks later.
#[test]
fn of_a_handler_that_answers_and_the_rescue_one_wins() {
    loom::model(|| {
        let word = in_handler();
        let handler = runtime(&word, |word| word.release(false));
        let took = word.try_take();
        assert_eq!(join(handler).is_err(), took == Some(Took::Exchange));
    });
}

/// Fails if `start_read` looks at the phase and does not mark itself busy, with less than `Release` in `end_read`, and
/// with less than `Acquire` in `update`.
#[test]
fn a_rescue_between_two_reads_knows_what_has_been_read() {
    loom::model(|| {
        let word = Arc::new(Word::default());
        let (reads, has_read) = flag();
        let reader = runtime(&word, move |word| {
            let reading = word.start_read()?;
            reads.store(true, Ordering::Relaxed);
            word.end_read(reading, Read::Head);
            word.begin_request(false, false)
        });
        match word.try_take() {
            Some(Took::Idle) => {
                assert!(!has_read.load(Ordering::Relaxed));
                assert_eq!(join(reader), Err(Lost));
                assert!(!has_read.load(Ordering::Relaxed), "once taken, it does not read");
            }
            Some(Took::PartialHead) => {
                assert!(has_read.load(Ordering::Relaxed));
                assert_eq!(join(reader), Err(Lost));
            }
            Some(Took::Exchange) => assert_eq!(join(reader), Ok(())),
            None => assert_eq!(join(reader), Ok(())),
            Some(other) => panic!("{other:?}"),
        }
    });
}

/// Fails if `start_write` does not mark itself dirty, and with less than `AcqRel` in `update`.
#[test]
fn what_is_written_is_neither_crossed_nor_cut() {
    loom::model(|| {
        let word = in_handler();
        let (writes, is_writing) = flag();
        let writer = runtime(&word, move |word| {
            // 100 Continue.
            word.start_write()?;
            writes.store(true, Ordering::Relaxed);
            word.end_write();
            writes.store(false, Ordering::Relaxed);
            word.flushed();
            Ok::<_, Lost>(())
        });
        let took = word.try_take();
        if took.is_some() {
            assert!(!is_writing.load(Ordering::Relaxed), "half of it is on its way");
            let _ = join(writer);
            assert!(!is_writing.load(Ordering::Relaxed));
        } else {
            assert_eq!(join(writer), Ok(()));
            assert_eq!(word.try_take(), Some(Took::Exchange), "it is all out");
        }
    });
}

/// Fails if `close` looks first and marks later.
#[test]
fn who_waits_on_a_connection_that_is_dropped_is_answered_once() {
    loom::model(|| {
        let word = in_handler();
        let task = runtime(&word, |word| word.close(true, false));
        let first = word.try_take();
        let waits = join(task);
        let second = word.try_take();
        match first {
            Some(took) => assert_eq!((took, second), (Took::Exchange, None)),
            None => assert_eq!((waits, second), (true, Some(Took::Exchange))),
        }
    });
}

/// The body may be dropped on another thread than the one that flushes and is told to stop. Fails if `flushed` does not
/// ask for the body, with less than `Release` in `body_done`, or if that looks first and marks later.
#[test]
fn a_response_that_ends_on_two_threads_ends_once_and_is_the_last() {
    loom::model(|| {
        let word = in_handler();
        word.release(false).expect("nobody else is there");
        let (ends, has_ended) = flag();
        let body = runtime(&word, move |word| {
            ends.store(true, Ordering::Relaxed);
            word.body_done();
        });
        word.set_last();
        let flushed = word.flushed();
        if flushed == Flushed::Response {
            assert!(has_ended.load(Ordering::Relaxed), "it is whole");
        } else {
            assert_eq!(word.try_take(), None, "it is not whole");
        }
        join(body);
        if flushed != Flushed::Response {
            assert_eq!(word.flushed(), Flushed::Response);
        }
        assert_eq!(word.try_take(), Some(Took::Finished), "nothing may follow it");
    });
}
