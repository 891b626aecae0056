//! The rules for a [`Runtime`]: its clock, its tasks, its private places and its sockets.

mod clock;
mod tasks;

mod gone;
mod places;

mod accepting;
mod descriptor;
mod reading;
mod writing;

mod stage;
mod wire;

use std::{fmt, sync::Arc, thread};

use sundown::Runtime;

use super::Suite;

/// A runtime that runs, for as long as this is kept.
pub struct Running {
    runtime: Arc<dyn Runtime>,
    threads: usize,
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl Running {
    /// A runtime, by its adapter, whose tasks run on so many threads. The suite blocks them all, by as many tasks that
    /// block: so it learns what works while the runtime is blocked.
    pub fn new(runtime: impl Runtime, threads: usize) -> Self {
        Running { runtime: Arc::new(runtime), threads, end: None }
    }

    /// How it is brought to its end; returns when it is gone. Also done when this is dropped. Without it, the rules
    /// about a runtime that is gone are skipped.
    #[must_use]
    pub fn ended_by(mut self, end: impl FnOnce() + Send + 'static) -> Self {
        self.end = Some(Box::new(end));
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // Not here: it may hang, and a rule has been decided. A thread that cannot be had leaves it running.
            let _ = thread::Builder::new().spawn(end);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// What every rule begins with.
type Start = Box<dyn Fn() -> Running + Send + Sync>;

/// The suite for a [`Runtime`]: its clock, tasks, private places and sockets, also while it is blocked and after it is
/// gone. The closure starts a fresh runtime, or names the one that the process has.
///
/// # Examples
///
/// ```
/// use std::{sync::mpsc, thread};
/// use sundown_testkit::conformance::{self, Running};
/// use sundown_tokio::Tokio;
///
/// fn current_thread() -> Running {
///     let (tell, started) = mpsc::channel();
///     let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
///     let thread = thread::spawn(move || {
///         let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
///         tell.send(runtime.handle().clone()).unwrap();
///         let _ = runtime.block_on(stopped);
///     });
///     Running::new(Tokio::of(started.recv().unwrap()), 1).ended_by(move || {
///         drop(stop);
///         thread.join().unwrap();
///     })
/// }
///
/// conformance::runtime(current_thread).only("a_spawned_task_runs").assert();
/// ```
pub fn runtime(start: impl Fn() -> Running + Send + Sync + 'static) -> Suite {
    Suite::new::<Start>("runtime", rules(), Box::new(start))
}

rules! { $,
    /// Makes a test of each rule for a [`Runtime`](sundown::Runtime); takes what
    /// [`runtime`](crate::conformance::runtime) takes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sundown_testkit::conformance::Running;
    /// # fn start() -> Running { unimplemented!() }
    /// mod current_thread {
    ///     sundown_testkit::runtime_conformance!(super::start);
    /// }
    /// # fn main() {}
    /// ```
    macro runtime_conformance, fn runtime, Start;

    /// `now` is monotonic.
    clock::now_never_goes_back,
    /// `now` is the time line that `sleep_until` follows, and for a process-wide shutdown it is real time.
    clock::now_follows_real_time,
    /// `sleep_until` resolves at the given moment.
    clock::a_timer_does_not_resolve_before_its_time,
    /// `sleep_until` resolves at the given moment.
    clock::a_timer_resolves_when_its_time_has_come,
    /// `sleep_until` resolves at the given moment, which may be in the past.
    clock::a_moment_that_has_passed_resolves_at_once,
    /// `sleep_until` resolves at the given moment, which may be years away.
    clock::a_timer_of_a_year_stays_pending,
    /// A timer is a future: it may be dropped unfinished, wherever it was polled.
    clock::a_timer_can_be_dropped_unfinished,
    /// Whoever polled last is woken: a timer may move to another task.
    clock::a_timer_taken_up_by_another_task_wakes_that_one,
    /// A timer belongs to the reactor that polls it first, so that one made in a private place runs there.
    clock::a_timer_polled_in_a_place_runs_while_the_runtime_is_blocked,

    /// `spawn` runs a task on the runtime, from whatever thread it is called.
    tasks::a_spawned_task_runs,
    /// A task does not run on the thread that spawned it before `spawn` returns: that may be the conductor's.
    tasks::a_task_does_not_run_on_the_thread_that_spawned_it,
    /// `spawn` runs a task on the runtime, also when it is called in a private place.
    tasks::a_task_spawned_in_a_place_runs_on_the_runtime,
    /// The task is detached; it goes on when the handle is dropped.
    tasks::a_task_goes_on_when_its_handle_is_dropped,
    /// `abort` asks the runtime to drop the task at its next suspension point.
    tasks::an_aborted_task_is_dropped_where_it_waits,
    /// `abort` does nothing to a task that has ended.
    tasks::an_abort_after_the_end_does_nothing,
    /// A task's panic is its own: the runtime and its other tasks go on.
    tasks::a_panic_in_a_task_leaves_the_runtime_running,

    /// A place drives a future on the calling thread.
    places::a_place_drives_on_the_calling_thread,
    /// A place drives a future to its end.
    places::a_place_drives_a_future_to_its_end,
    /// A place drives a future to its end, whoever wakes it.
    places::a_wake_from_another_thread_reaches_a_place,
    /// A place has a reactor of its own: it waits for no other place.
    places::many_places_work_side_by_side,
    /// A place drives a future to its end, and can be called again.
    places::a_place_can_be_used_again,
    /// A panic of the future reaches the caller of `drive`; after it, the place is only dropped.
    places::a_panic_in_a_place_reaches_its_caller,
    /// A place can be made and dropped anywhere: inside a task too.
    places::a_place_can_be_made_and_dropped_inside_a_task,
    /// A place works while the runtime is blocked.
    places::a_place_works_while_the_runtime_is_blocked,

    /// A place works while the runtime is gone.
    gone::a_place_works_after_the_runtime_is_gone,
    /// A place can be made anywhere: after the runtime's end too.
    gone::a_place_can_be_made_after_the_runtime_is_gone,
    /// `spawn` after the runtime's end drops the task; it has no error, and does not panic.
    gone::a_spawn_after_the_runtime_is_gone_does_not_panic,
    /// A socket's errors are those of the socket, or that the runtime is gone; it does not panic.
    gone::a_socket_does_not_panic_after_the_runtime_is_gone,
    /// A listener's errors are those of `accept(2)`, or that the runtime is gone; it does not panic.
    gone::a_listener_does_not_panic_after_the_runtime_is_gone,

    /// `adopt` takes a bound, non-blocking listener into the runtime's reactor.
    accepting::an_adopted_listener_accepts,
    /// `poll_accept` is pending until a client comes, and is woken then.
    accepting::a_pending_accept_is_woken_by_a_client,
    /// `poll_accept` gives the next connection, each once.
    accepting::clients_are_accepted_in_their_order,
    /// `poll_accept` gives the connection with its peer's address.
    accepting::the_address_is_the_clients,
    /// The errors of `poll_accept` are those of `accept(2)`; the listener stays usable.
    accepting::a_client_that_has_left_does_not_stop_the_listener,

    /// `poll_read` reads some bytes: those that were written, in their order.
    reading::a_read_gives_what_was_written,
    /// `poll_read` is pending until there is something, and is woken then.
    reading::a_pending_read_is_woken_by_data,
    /// Of those who read, whoever polled last is woken: a connection may change its task.
    reading::a_read_taken_up_by_another_task_wakes_that_one,
    /// `poll_read` gives zero at the end.
    reading::a_read_at_the_end_gives_zero,
    /// `poll_read` is pending until there is something, be it the end: so a server learns that its client has gone.
    reading::a_pending_read_is_woken_by_the_end,
    /// The errors of `poll_read` are those of the socket: a reset must not look like an end.
    reading::a_reset_is_an_error,

    /// `poll_write_vectored` writes the buffers in their order.
    writing::buffers_reach_the_client_in_their_order,
    /// `poll_write_vectored` says how many bytes it took: zero only if there is nothing to write.
    writing::a_write_says_how_much_it_took,
    /// `poll_write_vectored` is pending while the socket is full, and is woken when there is room.
    writing::a_write_to_a_full_socket_waits_until_the_client_reads,
    /// The errors of `poll_write_vectored` are those of the socket: what nobody reads any more was not written.
    writing::a_write_to_a_client_that_has_left_is_an_error,
    /// One task reads and one writes at the same time.
    writing::one_task_reads_while_another_writes,

    /// The transport is its socket: `as_fd` is what the rescue writes to.
    descriptor::the_descriptor_is_the_clients_connection,
    /// The transport is a non-blocking socket: the rescue must not wait in `write(2)`.
    descriptor::the_descriptor_does_not_block,
    /// The transport can be shared with a thread outside the runtime, which needs nothing of the runtime.
    descriptor::another_thread_can_use_the_descriptor_while_the_runtime_is_blocked,
}
