//! Supervised tasks: named work on some runtime, counted, told to stop, aborted, started again.
//!
//! A [`Tasks`] is a group ([`group`], [`tree`], [`stopping`]). Whatever the runtime, a task of a group is a future around the user's
//! ([`tracked`]), with a guard inside ([`running`]) that keeps it in flight. Invariants:
//!
//! 1. **Admission is one step.** A task is inside the gate of its group and of each group above before it exists, or it is
//!    refused. To close a group's gate closes it for all groups below.
//! 2. **Counted once.** A task ends where its guard ends it, with its fate, or where the guard is dropped, as *aborted*:
//!    whoever dropped the future, and whether or not it was ever polled.
//! 3. **Drained means known.** The guard leaves the gates last: its slot, its counts, its record and what its handle
//!    resolves to are settled before.
//! 4. **An abort is a flag, then a wake-up.** The future registers its waker and looks at the flag again; who aborts sets
//!    the flag before it takes the waker. So no handle of the runtime's is needed, and a task that cannot move between
//!    threads is aborted like any other. What is dropped then is dropped by the task.
//! 5. **Foreign code runs under no lock**, and what it throws stays in its task: polls, destructors, wakers, the text of
//!    an error.
//! 6. **Nothing outlives the unit.** A task's slot goes with the task, a group's with the group.

mod builder;
mod component;
mod ends;
mod group;
mod handle;
mod restart;
mod running;
mod stopping;
mod tracked;
mod tree;

pub use self::{
    builder::{TaskBuilder, Then},
    ends::{TaskCounts, TaskEnd, TaskFate},
    group::Tasks,
    handle::{JoinError, JoinHandle},
    restart::Restart,
    tracked::Tracked,
};
