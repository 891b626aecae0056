//! The one thread that writes.
//!
//! Callers put what they have into the [queue](queue) and wait for the answer, or do not. The thread takes all that is
//! there, writes it as one batch, answers, and takes what has come meanwhile: it waits for nobody's company, and many
//! callers share a sync all the same.
//!
//! Invariants:
//!
//! 1. **Everyone who waits is answered**, whatever the store does: by the outcome of the batch, or, when the thread ends,
//!    by the channel's own end.
//! 2. **What nobody waits for is not lost by a failure**: it waits again, behind nothing that came later.
//! 3. **A put that failed is not there**: it is forgotten as soon as the store can be written again, if nobody can know
//!    whether it came onto the disk. One that was refused before that leaves nothing to remember, however many come
//!    while the disk is down.
//! 4. **Answers are given under no lock**, since they wake foreign tasks.

mod queue;
mod room;

use std::{
    future::Future,
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
    thread::{self, JoinHandle},
};

use sundown::{Watch, host::swallow};

use self::queue::Work;
pub(crate) use self::{
    queue::{Answer, Joining, Queue},
    room::{Room, Space},
};
use crate::{
    WriteError,
    store::{Batch, Note, Run, Store, Unwritten},
};

/// The thread's handle. Dropped, it lets the thread write what it has, and waits for that.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<Answer>>>,
}

impl Writer {
    pub(crate) fn start(store: Store, room: Arc<Room>) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let body = Body { store, room, queue: queue.clone(), watches: Vec::new() };
        let thread = thread::Builder::new().name("sundown-journal".into()).spawn(move || {
            // However it ends: nobody waits for a thread that is not there.
            let _abandon = Abandon(body.queue.clone());
            body.run()
        })?;
        Ok(Writer { queue, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Writes what there is, lets go of the file, and says how that went; who comes later hears that it is closed.
    pub(crate) fn close(&self) -> Answer {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // The last handle may be dropped by a task that an answer has woken, on the thread itself.
            Some(thread) if thread.thread().id() != thread::current().id() => {
                thread.join().unwrap_or_else(|panic| Err(WriteError::new(sundown::panic_message(panic))))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Who wants to know how it went closes it.
        let _ = self.close();
    }
}

/// Dropped, it lets nobody wait.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.next(None));
    }
}

struct Body {
    store: Store,
    room: Arc<Room>,
    queue: Arc<Queue>,
    watches: Vec<Joined>,
}

/// A shutdown that a component has joined, until it is announced.
struct Joined {
    run: u64,
    component: Arc<str>,
    watch: Watch,
    announced: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Body {
    fn run(mut self) -> Answer {
        loop {
            let mut work = self.queue.next(self.store.paused_until());
            self.watch(&mut work);
            let closed = work.closed;
            self.write(work);
            if closed {
                return self.end();
            }
            self.store.tidy(self.room.bytes());
        }
    }

    /// Notes the reasons of the shutdowns that were announced, at once: the process may not have long.
    fn watch(&mut self, work: &mut Work) {
        for Joining { run, component, watch } in work.joining.drain(..) {
            let draining = watch.draining();
            let announced = Box::pin(async move { drop(draining.await) });
            self.watches.push(Joined { run, component, watch, announced });
        }
        let waker = Waker::from(self.queue.clone());
        self.watches.retain_mut(|joined| {
            if joined.announced.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                return true;
            }
            let run = Run { component: joined.component.clone(), reason: joined.watch.reason().cloned() };
            work.batch.runs.insert(joined.run, Some(run));
            false
        });
    }

    fn write(&mut self, work: Work) {
        let Work { batch, putting, flushing, .. } = work;
        let outcome = if batch.is_empty() { Ok(()) } else { self.store.commit(&batch) };
        let outcome = outcome.map_err(|Unwritten { error, begun }| {
            self.queue.put_back(undone(batch, begun));
            error
        });
        for answer in putting.into_iter().chain(flushing) {
            // Who does not wait any more has said so by a note. A waker that panics is its own.
            let outcome = outcome.clone();
            swallow(|| drop(answer.send(outcome)));
        }
    }

    /// The last batch, once more if it has failed, and the end of the store.
    fn end(mut self) -> Answer {
        let rest = self.queue.next(None);
        self.store.end_pause();
        let outcome = if rest.batch.is_empty() { Ok(()) } else { self.store.commit(&rest.batch) };
        outcome.map_err(|unwritten| unwritten.error).and(self.store.close())
    }
}

/// What is to be written instead of a batch that has failed. `begun`: nobody knows how far it came.
fn undone(mut batch: Batch, begun: bool) -> Batch {
    for put in mem::take(&mut batch.puts) {
        // At a shutdown's end it comes from elsewhere: if it is here after all, it is offered once more.
        if begun && put.end.is_none() {
            batch.forgotten.push(put.row);
        }
        if let Some(old) = put.instead_of {
            batch.notes.insert(old.row, Note::restore(&old));
        }
    }
    batch
}

#[cfg(test)]
mod tests;
