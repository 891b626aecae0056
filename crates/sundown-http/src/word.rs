//! The state word of a connection: who may write on it.
//!
//! Two sides may want to: the runtime's connection task, which speaks HTTP through hyper, and the rescue, which writes
//! raw bytes from outside the runtime. Invariants:
//!
//! 1. **One writer.** Only the compare-and-swap to *taken* gives the rescue the write side, and once the word is
//!    *taken* every write of the runtime fails.
//! 2. **Nothing is cut in half.** The word cannot be taken while bytes of ours may be on their way (*dirty*), nor in
//!    the middle of a system call of the runtime (*busy*), nor once a response is being written (*responding*).
//! 3. **Nothing is answered twice.** A connection that has been told its last (*final*) is only lingered on.
//!
//! ```text
//!          request            response            flushed, body done
//! Idle ───────────> Handler ───────────> Responding ─────────────────> Idle
//!   │                  │                     └── pipelined request ──> Handler (dirty until flushed)
//!   ├────── rescue ────┴──> Taken            Handler ── 101, CONNECT ──> Upgraded
//!   └── HTTP/2 preface ──> Framed
//! ```
//!
//! On a connection that is *framed* (HTTP/2) or *upgraded* no raw bytes of ours can ever be right: it is not taken.
//!
//! The orderings: what wins the word with `AcqRel` sees all that the other side did before it let go; the runtime's
//! `busy` bracket is an `AcqRel` exchange at both ends, so that a rescue which sees it clear also sees the bytes that
//! were read inside it. With less, the rescue could close a connection whose request head the runtime has just read.

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU32, Ordering};

const PHASE: u32 = 0b111;
/// Bytes of ours may not have reached the socket.
const DIRTY: u32 = 1 << 3;
/// The runtime is inside a system call on the socket that the rescue must not cross.
const BUSY: u32 = 1 << 4;
/// Bytes of a request head have been read.
const HEAD: u32 = 1 << 5;
/// The response's body has been handed out whole, or dropped.
const BODY_DONE: u32 = 1 << 6;
/// The last byte has been written, or decided on.
const FINAL: u32 = 1 << 7;
/// The runtime has dropped its side.
const CLOSED: u32 = 1 << 8;
/// Behind the request in hand, part of the next head has been read.
const AHEAD: u32 = 1 << 10;
/// The runtime has dropped its side while a client waits.
const ORPHAN: u32 = 1 << 9;
/// What has been read of a head could also be the beginning of an HTTP/2 preface.
const UNTOLD: u32 = 1 << 11;
/// The request in hand, or the last one, has a body: what comes next may be the rest of it. (hyper knows; we do not.)
const BODY: u32 = 1 << 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Phase {
    Idle = 0,
    Handler,
    Responding,
    Taken,
    Upgraded,
    Framed,
}

/// What the runtime has read where a request may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Nothing,
    /// Part of the head of a request, or all of it.
    Head,
    /// Too little to tell HTTP/1 from HTTP/2.
    Untold,
    /// The preface of HTTP/2.
    Preface,
}

/// What the rescue has taken, and so what it may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// A request whose handler has not answered: the answer to it.
    Exchange,
    /// Part of a request head: an answer without a body.
    PartialHead,
    /// Too little of a head to know its protocol: none.
    Untold,
    /// Nothing, as far as the runtime has read: an answer without a body if the kernel has bytes, or none.
    Idle,
    /// A connection whose last byte is written, or where what comes may not be a request: none.
    Finished,
}

/// The runtime has lost the connection to the rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

#[derive(Debug, Default)]
pub(crate) struct Word(AtomicU32);

/// (There are no others; as many as three bits can tell.)
#[inline]
fn phase(word: u32) -> Phase {
    match word & PHASE {
        0 => Phase::Idle,
        1 => Phase::Handler,
        2 => Phase::Responding,
        3 => Phase::Taken,
        4 => Phase::Upgraded,
        _ => Phase::Framed,
    }
}

impl Word {
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        phase(self.0.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn is_responding(&self) -> bool {
        matches!(self.phase(), Phase::Responding | Phase::Upgraded | Phase::Framed)
    }

    /// No request is on it, nor part of one, as far as the runtime has read.
    pub(crate) fn is_quiet(&self) -> bool {
        let word = self.0.load(Ordering::Acquire);
        phase(word) == Phase::Idle && word & (HEAD | DIRTY | BUSY) == 0
    }

    // ---- the runtime's side

    /// A request head is complete. `ahead`: more than that has been read.
    #[inline]
    pub(crate) fn begin_request(&self, has_body: bool, ahead: bool) -> Result<(), Lost> {
        // Behind a body nobody knows where the next head begins.
        let more = if has_body {
            BODY
        } else if ahead {
            AHEAD
        } else {
            0
        };
        self.update(|word| match phase(word) {
            // Bytes of the response before it may still be in hyper's buffer.
            Phase::Responding => Some(Phase::Handler as u32 | DIRTY | more | word & FINAL),
            Phase::Idle => Some(Phase::Handler as u32 | more | word & (DIRTY | FINAL)),
            _ => None,
        })
    }

    /// The handler's answer may go out. If it says that it is the last, no byte may ever follow it: what the kernel
    /// holds then is not a request, but the rest of this one.
    #[inline]
    pub(crate) fn release(&self, is_last: bool) -> Result<(), Lost> {
        let last = if is_last { FINAL } else { 0 };
        self.update(|word| {
            (phase(word) == Phase::Handler)
                .then_some(Phase::Responding as u32 | DIRTY | last | word & (FINAL | AHEAD | BODY))
        })
    }

    /// hyper has been told to stop: a response that is on its way is the last.
    pub(crate) fn set_last(&self) {
        let _ = self.update(|word| (phase(word) == Phase::Responding).then_some(word | FINAL));
    }

    /// The response switches protocols: from here on the connection is its own.
    pub(crate) fn upgrade(&self) -> Result<(), Lost> {
        self.update(|word| (phase(word) == Phase::Handler).then_some(Phase::Upgraded as u32))
    }

    #[inline]
    pub(crate) fn body_done(&self) {
        self.0.fetch_or(BODY_DONE, Ordering::AcqRel);
    }

    /// hyper's buffer is empty, and all of it is in the socket.
    #[inline]
    pub(crate) fn flushed(&self) -> Flushed {
        // The common case of a connection that waits for its handler or its peer costs one load.
        if self.0.load(Ordering::Acquire) & DIRTY == 0 {
            return Flushed::Nothing;
        }
        let mut flushed = Flushed::Nothing;
        let _ = self.update(|word| match phase(word) {
            Phase::Responding if word & BODY_DONE != 0 => {
                flushed = Flushed::Response;
                let head = if word & AHEAD != 0 { HEAD } else { 0 };
                Some(Phase::Idle as u32 | head | word & (FINAL | BODY))
            }
            Phase::Idle | Phase::Handler => {
                flushed = Flushed::Other;
                Some(word & !DIRTY)
            }
            _ => None,
        });
        flushed
    }

    /// Before a read.
    #[inline]
    pub(crate) fn start_read(&self) -> Result<Reading, Lost> {
        match self.phase() {
            Phase::Idle => {}
            Phase::Taken => return Err(Lost),
            // Body bytes, or a tunnel's: nobody's decision depends on them.
            _ => return Ok(Reading::Besides),
        }
        // Only the runtime's task sets it, and it does one thing at a time: an addition is a fetch_or, and cheaper.
        let before = self.0.fetch_add(BUSY, Ordering::AcqRel);
        // (On a word that is taken, it means nothing.)
        if phase(before) == Phase::Taken {
            Err(Lost)
        } else {
            Ok(if before & HEAD == 0 { Reading::First } else { Reading::More })
        }
    }

    #[inline]
    pub(crate) fn end_read(&self, reading: Reading, read: Read) {
        // While it is busy nobody else changes the word.
        match (reading, read) {
            (Reading::Besides, _) => {}
            (_, Read::Nothing) => drop(self.0.fetch_sub(BUSY, Ordering::AcqRel)),
            (Reading::First, Read::Head) => drop(self.0.fetch_add(HEAD - BUSY, Ordering::AcqRel)),
            _ => {
                let _ = self.update(|word| {
                    let word = word & !BUSY;
                    Some(match read {
                        Read::Nothing => word,
                        Read::Head => word & !UNTOLD | HEAD,
                        Read::Untold => word | UNTOLD | HEAD,
                        Read::Preface => word & !PHASE & !UNTOLD & !HEAD | Phase::Framed as u32,
                    })
                });
            }
        }
    }

    /// Before a write. In mid-request it is an interim response; with no request, hyper's own refusal of what it read.
    #[inline]
    pub(crate) fn start_write(&self) -> Result<(), Lost> {
        match self.phase() {
            Phase::Responding | Phase::Upgraded | Phase::Framed => Ok(()),
            Phase::Taken => Err(Lost),
            Phase::Idle => {
                self.update(|word| (phase(word) != Phase::Taken).then_some(word | BUSY | DIRTY | FINAL))
            }
            Phase::Handler => {
                self.update(|word| (phase(word) != Phase::Taken).then_some(word | BUSY | DIRTY))
            }
        }
    }

    #[inline]
    pub(crate) fn end_write(&self) {
        if self.0.load(Ordering::Acquire) & BUSY != 0 {
            self.0.fetch_and(!BUSY, Ordering::AcqRel);
        }
    }

    /// The runtime half-closes.
    pub(crate) fn finish(&self) -> Result<(), Lost> {
        self.update(|word| (phase(word) != Phase::Taken).then_some(word | FINAL))
    }

    /// The runtime drops its side. Returns whether a client waits on it, whom the rescue can still answer: with a request
    /// in a handler, or with one that was not read, or not whole (`unread`: the kernel has bytes).
    pub(crate) fn close(&self, keep_waiting: bool, unread: bool) -> bool {
        let mut waits = false;
        let _ = self.update(|word| {
            let asks = match phase(word) {
                Phase::Handler => true,
                Phase::Idle => unread || word & HEAD != 0,
                _ => false,
            };
            waits = keep_waiting && asks && word & (DIRTY | FINAL) == 0;
            Some(word & !BUSY | if waits { ORPHAN } else { CLOSED })
        });
        waits
    }

    /// Its task is gone. (Asked of one that was kept since its client waited.)
    pub(crate) fn is_orphan(&self) -> bool {
        self.0.load(Ordering::Acquire) & ORPHAN != 0
    }

    // ---- the rescue's side

    /// Takes the write side, if that can be done cleanly now.
    pub(crate) fn try_take(&self) -> Option<Took> {
        let mut took = None;
        let _ = self.update(|word| {
            took = match phase(word) {
                _ if word & (DIRTY | BUSY | CLOSED) != 0 => None,
                Phase::Handler if word & FINAL == 0 => Some(Took::Exchange),
                Phase::Idle if word & (FINAL | BODY) != 0 => Some(Took::Finished),
                Phase::Idle if word & UNTOLD != 0 => Some(Took::Untold),
                Phase::Idle if word & HEAD != 0 => Some(Took::PartialHead),
                Phase::Idle => Some(Took::Idle),
                _ => None,
            };
            took.map(|_| word & !PHASE | Phase::Taken as u32)
        });
        took
    }

    /// Whether a system call of the runtime's is what keeps it from being taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.load(Ordering::Acquire) & BUSY != 0
    }

    /// Goes to what `next` says, unless that is nothing.
    #[inline]
    fn update(&self, next: impl FnMut(u32) -> Option<u32>) -> Result<(), Lost> {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).map(drop).map_err(|_| Lost)
    }
}

/// What an emptied buffer has brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    Nothing,
    /// Something that is no response, or not all of one.
    Other,
    Response,
}

/// A read of the runtime's under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// Where no request can begin.
    Besides,
    /// Of a request of which nothing is known yet.
    First,
    /// Of one that has begun.
    More,
}

#[cfg(all(test, loom))]
mod models;

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn of_a_handler_and_the_rescue_one_wins() {
        let mut rescued = 0;
        for _ in 0..20_000 {
            let word = Word::default();
            word.begin_request(false, false).unwrap();
            let start = Barrier::new(2);
            let (released, took) = thread::scope(|scope| {
                let handler = scope.spawn(|| {
                    start.wait();
                    word.release(false).is_ok()
                });
                start.wait();
                let took = word.try_take();
                (handler.join().unwrap(), took)
            });
            assert_ne!(released, took == Some(Took::Exchange));
            rescued += u32::from(!released);
        }
        assert!(0 < rescued && rescued < 20_000, "the race did not happen: {rescued}");
    }

    #[test]
    fn once_taken_the_runtime_writes_nothing() {
        let word = Word::default();
        word.begin_request(false, false).unwrap();
        assert_eq!(word.try_take(), Some(Took::Exchange));
        assert_eq!(word.start_write(), Err(Lost));
        assert_eq!(word.release(false), Err(Lost));
        assert_eq!(word.begin_request(false, false), Err(Lost));
        assert_eq!(word.finish(), Err(Lost));
        assert!(word.start_read().is_err());
        assert_eq!(word.try_take(), None, "and it is taken once");
    }

    #[test]
    fn a_connection_is_not_taken_in_the_middle_of_anything() {
        let word = Word::default();
        let reading = word.start_read().unwrap();
        assert_eq!(word.try_take(), None, "while reading");
        word.end_read(reading, Read::Head);
        word.begin_request(false, false).unwrap();
        word.start_write().unwrap();
        assert_eq!(word.try_take(), None, "while writing 100 Continue");
        word.end_write();
        assert_eq!(word.try_take(), None, "with 100 Continue half flushed");
        word.flushed();
        word.release(false).unwrap();
        assert_eq!(word.try_take(), None, "while responding");
        word.body_done();
        assert_eq!(word.flushed(), Flushed::Response);
        assert_eq!(word.try_take(), Some(Took::Idle));
    }

    #[test]
    fn what_has_been_told_its_last_is_told_no_more() {
        let refused = Word::default();
        let reading = refused.start_read().unwrap();
        refused.end_read(reading, Read::Head);
        refused.start_write().unwrap(); // hyper's own 400
        refused.end_write();
        assert_eq!(refused.try_take(), None);
        refused.flushed();
        assert_eq!(refused.try_take(), Some(Took::Finished));

        let closed = Word::default();
        closed.finish().unwrap();
        assert_eq!(closed.try_take(), Some(Took::Finished));
    }

    #[test]
    fn a_pipelined_request_waits_for_the_answer_before_it() {
        let word = Word::default();
        word.begin_request(false, false).unwrap();
        word.release(false).unwrap();
        word.body_done();
        word.begin_request(false, false).unwrap();
        assert_eq!(word.try_take(), None, "the first answer is not flushed");
        assert_eq!(word.flushed(), Flushed::Other);
        assert_eq!(word.try_take(), Some(Took::Exchange));
    }

    #[test]
    fn what_follows_the_last_response_is_not_taken_for_a_request() {
        let last = Word::default();
        last.begin_request(false, false).unwrap();
        last.release(true).unwrap();
        last.body_done();
        assert_eq!(last.flushed(), Flushed::Response);
        assert_eq!(last.try_take(), Some(Took::Finished), "before hyper has closed it");

        let told = Word::default();
        told.begin_request(false, false).unwrap();
        told.release(false).unwrap();
        told.set_last();
        told.body_done();
        assert_eq!(told.flushed(), Flushed::Response);
        assert_eq!(told.try_take(), Some(Took::Finished));
    }

    #[test]
    fn part_of_a_head_behind_a_request_is_known() {
        let word = Word::default();
        word.begin_request(false, true).unwrap();
        word.release(false).unwrap();
        word.body_done();
        assert_eq!(word.flushed(), Flushed::Response);
        assert!(!word.is_quiet());
        assert_eq!(word.try_take(), Some(Took::PartialHead));
    }

    #[test]
    fn part_of_a_head_is_known() {
        let word = Word::default();
        let reading = word.start_read().unwrap();
        word.end_read(reading, Read::Head);
        assert!(!word.is_quiet());
        assert_eq!(word.try_take(), Some(Took::PartialHead));
    }

    #[test]
    fn the_rest_of_a_body_is_not_taken_for_a_request() {
        let word = Word::default();
        word.begin_request(true, true).unwrap();
        word.release(false).unwrap();
        word.body_done();
        assert_eq!(word.flushed(), Flushed::Response);
        let reading = word.start_read().unwrap();
        word.end_read(reading, Read::Head);
        word.begin_request(false, false).unwrap();
        word.release(false).unwrap();
        word.body_done();
        assert_eq!(word.flushed(), Flushed::Response);
        assert_eq!(word.try_take(), Some(Took::Idle), "behind one without a body all is known");

        word.0.store(0, Ordering::Relaxed);
        word.begin_request(true, true).unwrap();
        word.release(false).unwrap();
        word.body_done();
        assert_eq!(word.flushed(), Flushed::Response);
        assert_eq!(word.try_take(), Some(Took::Finished));
    }

    #[test]
    fn what_could_be_http_2_is_not_written_on_in_http_1() {
        let untold = Word::default();
        let reading = untold.start_read().unwrap();
        untold.end_read(reading, Read::Untold);
        assert!(!untold.is_quiet());
        assert_eq!(untold.try_take(), Some(Took::Untold));

        let told = Word::default();
        for read in [Read::Untold, Read::Head] {
            let reading = told.start_read().unwrap();
            told.end_read(reading, read);
        }
        assert_eq!(told.try_take(), Some(Took::PartialHead));

        let framed = Word::default();
        for read in [Read::Untold, Read::Preface] {
            let reading = framed.start_read().unwrap();
            framed.end_read(reading, read);
        }
        assert_eq!(framed.phase(), Phase::Framed);
        assert_eq!(framed.try_take(), None);
        assert_eq!(framed.start_write(), Ok(()));
    }

    #[test]
    fn a_dropped_connection_keeps_a_waiting_client_only_if_it_can_be_answered() {
        let waiting = Word::default();
        waiting.begin_request(false, false).unwrap();
        assert!(waiting.close(true, false));
        assert_eq!(waiting.try_take(), Some(Took::Exchange));

        let idle = Word::default();
        assert!(!idle.close(true, false));
        assert_eq!(idle.try_take(), None);

        let unread = Word::default();
        assert!(unread.close(true, true));
        assert_eq!(unread.try_take(), Some(Took::Idle));

        let torn = Word::default();
        torn.begin_request(false, false).unwrap();
        torn.start_write().unwrap();
        assert!(!torn.close(true, true), "100 Continue may be half written");
    }
}
