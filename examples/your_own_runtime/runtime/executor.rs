//! Threads that run tasks from one queue, and one that turns their reactor.

use std::{
    collections::VecDeque,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use sundown::{AbortHandle, BoxFuture};

use super::reactor::Reactor;

/// The owner: dropped, it lets its threads end, drops the tasks that wait for it, and fails its sockets.
pub struct Executor {
    handle: Handle,
}

impl Executor {
    /// An executor of so many threads.
    ///
    /// # Errors
    ///
    /// When the system gives no threads or descriptors.
    pub fn start(threads: usize) -> io::Result<Self> {
        let shared = Shared { queue: Mutex::default(), filled: Condvar::new(), reactor: Reactor::new()? };
        let executor = Executor { handle: Handle { shared: Arc::new(shared) } };
        let reactor = executor.handle.reactor().clone();
        thread::Builder::new().name("reactor".into()).spawn(move || {
            while !reactor.is_stopped() {
                reactor.turn();
            }
        })?;
        for _ in 0..threads {
            let shared = executor.handle.shared.clone();
            thread::Builder::new().name("worker".into()).spawn(move || {
                while let Some(task) = shared.next() {
                    task.run();
                }
            })?;
        }
        Ok(executor)
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let shared = &self.handle.shared;
        let left = {
            let mut queue = shared.queue();
            queue.stopped = true;
            mem::take(&mut queue.tasks)
        };
        shared.filled.notify_all();
        shared.reactor.stop();
        left.into_iter().for_each(|task| task.end());
    }
}

/// What tasks are spawned with; clones are the same executor.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Runs a task, detached.
    pub fn spawn(&self, future: BoxFuture<'static, ()>) -> AbortHandle {
        let task = Arc::new(Task {
            state: Mutex::new(State::Queued(future)),
            aborted: AtomicBool::new(false),
            shared: self.shared.clone(),
        });
        let weak = Arc::downgrade(&task);
        self.shared.push(task);
        AbortHandle::new(move || {
            if let Some(task) = weak.upgrade() {
                task.abort();
            }
        })
    }

    pub fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }
}

struct Shared {
    /// The lock guards the queue; no task runs, wakes or is dropped under it.
    queue: Mutex<Queue>,
    filled: Condvar,
    reactor: Reactor,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Arc<Task>>,
    stopped: bool,
}

impl Shared {
    fn push(&self, task: Arc<Task>) {
        let mut queue = self.queue();
        if queue.stopped {
            drop(queue);
            return task.end();
        }
        queue.tasks.push_back(task);
        drop(queue);
        self.filled.notify_one();
    }

    /// The next task to run; `None` when there will be none.
    fn next(&self) -> Option<Arc<Task>> {
        let mut queue =
            self.filled.wait_while(self.queue(), |queue| queue.tasks.is_empty() && !queue.stopped);
        queue.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut()).tasks.pop_front()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task is polled by one thread at a time, and is in the queue at most once.
struct Task {
    /// The lock guards the state; the future is polled and dropped outside it.
    state: Mutex<State>,
    aborted: AtomicBool,
    shared: Arc<Shared>,
}

enum State {
    /// Waits to be woken.
    Idle(BoxFuture<'static, ()>),
    /// In the queue.
    Queued(BoxFuture<'static, ()>),
    /// A thread has the future.
    Running,
    /// The same, and it was woken meanwhile: it goes back into the queue.
    Woken,
    Ended,
}

impl Task {
    fn run(self: Arc<Self>) {
        let State::Queued(mut future) = self.replace(State::Running) else { return };
        // Acquire: what was done before the abort is seen by the future's destructor.
        if self.aborted.load(Ordering::Acquire) {
            self.replace(State::Ended);
            return dispose(future);
        }
        let waker = Waker::from(self.clone());
        let polled =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        // A panic ends its own task, and no thread.
        if !matches!(polled, Ok(Poll::Pending)) {
            self.replace(State::Ended);
            return dispose(future);
        }
        let again = {
            let mut state = self.state();
            let again = matches!(*state, State::Woken);
            *state = if again { State::Queued(future) } else { State::Idle(future) };
            again
        };
        if again {
            self.shared.clone().push(self);
        }
    }

    fn abort(self: Arc<Self>) {
        // Release: see `run`. A worker drops the future, not whoever aborts.
        self.aborted.store(true, Ordering::Release);
        self.wake();
    }

    /// Drops the future; there is nobody to run it.
    fn end(&self) {
        if let State::Idle(future) | State::Queued(future) = self.replace(State::Ended) {
            dispose(future);
        }
    }

    fn replace(&self, state: State) -> State {
        mem::replace(&mut self.state(), state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let is_idle = {
            let mut state = self.state();
            let (next, is_idle) = match mem::replace(&mut *state, State::Ended) {
                State::Idle(future) => (State::Queued(future), true),
                State::Running => (State::Woken, false),
                other => (other, false),
            };
            *state = next;
            is_idle
        };
        if is_idle {
            self.shared.clone().push(self);
        }
    }
}

/// Destructors may panic, too.
fn dispose(future: BoxFuture<'static, ()>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}
