//! Named work with a payload: begun, committed, or taken over.
//!
//! Who owns a job is decided by one atomic word ([`word`]). Where a job is listed is decided by the lock of its shard.
//! Invariants:
//!
//! 1. **One winner.** A commit and the claim compete for the same compare-and-swap out of *running*.
//! 2. **One list.** Under its shard's lock a job is in a slot, or in the counts of those that ended, or the claim has
//!    taken the shard's slots and counts together. From then on the ledger has it, and its word says how it ended. So
//!    a job that ends around the claim is neither lost nor counted twice, whatever the order of the steps.
//! 3. **Nothing is missed.** A job has its slot before `begin` returns; who comes after the claim is refused, or, with
//!    a reservation, taken at birth.
//! 4. **Drained means recorded.** The guard that keeps a job in flight is dropped last, after its word and its slot.
//! 5. **Nothing outlives the unit** but what is to be handed over: a job dropped while draining keeps its slot until
//!    the claim.

mod id;
mod incomplete;
mod job;
mod left_over;
mod past;
mod store;
mod word;

pub use self::{
    id::{InvalidJobId, JobId, Key},
    incomplete::IncompleteJob,
    job::{Commit, Job, Reservation, Taken, Ticket},
    left_over::LeftOver,
    past::Past,
    store::{BeginError, Jobs},
    word::Fate,
};
pub(crate) use self::{incomplete::Unfinished, store::Ended};
