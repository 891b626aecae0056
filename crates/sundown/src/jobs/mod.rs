//! Named work with a payload: begun, committed, or taken over.
//!
//! Who owns a job is decided by one atomic word ([`word`]); everything else (the store's slots, the counts, the
//! ledger's list) follows from what that word said and may lag behind it. Invariants:
//!
//! 1. **One winner.** A commit and the claim compete for the same compare-and-swap out of *running*.
//! 2. **Nothing is missed.** A job is put into its slot before [`Jobs::begin`] returns, and the claim looks at each
//!    shard under its lock after it has published itself; who comes later sees the claim and is refused (or, with a
//!    reservation, taken at birth).
//! 3. **Drained means recorded.** The guard that keeps a job in flight is dropped last, after its word, its count and
//!    its slot.
//! 4. **Nothing outlives the unit** but what is to be handed over: a job dropped while draining keeps its slot until
//!    the claim.

mod id;
mod incomplete;
mod job;
mod store;
mod word;

pub use self::{
    id::{InvalidJobId, JobId, Key},
    incomplete::IncompleteJob,
    job::{Commit, Job, Reservation, Taken, Ticket},
    store::{BeginError, Jobs},
    word::Fate,
};
pub(crate) use self::{incomplete::Unfinished, store::Tally};
