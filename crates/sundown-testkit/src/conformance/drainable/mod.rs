//! The rules for a [`Drainable`]: how it closes, drains, gives its jobs up and ends.

mod closing;
mod draining;

mod claiming;
mod races;

mod ending;

mod stage;
mod subject;

use self::stage::Fresh;
pub use self::subject::{Piece, Subject};
use super::Suite;

/// The suite for a [`Drainable`](sundown::Drainable): how it closes, drains, gives its jobs up and ends. The closure
/// makes a fresh component, and says how its work is begun.
///
/// # Examples
///
/// A store of jobs:
///
/// ```
/// use sundown::Jobs;
/// use sundown_testkit::conformance::{self, Subject};
///
/// fn store() -> Subject {
///     let jobs = Jobs::new();
///     Subject::jobs(jobs.clone(), move |id| jobs.begin(id, ()).ok())
/// }
///
/// conformance::drainable(store).only("a_claimed_job_cannot_commit").assert();
/// ```
pub fn drainable(fresh: impl Fn() -> Subject + Send + Sync + 'static) -> Suite {
    Suite::new::<Fresh>("component", rules(), Box::new(fresh))
}

rules! { $,
    /// Makes a test of each rule for a [`Drainable`](sundown::Drainable); takes what
    /// [`drainable`](crate::conformance::drainable) takes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sundown_testkit::conformance::Subject;
    /// # fn store() -> Subject { unimplemented!() }
    /// mod the_store {
    ///     sundown_testkit::drainable_conformance!(super::store);
    /// }
    /// # fn main() {}
    /// ```
    macro drainable_conformance, fn drainable, Fresh;

    /// `close` returns at once, whatever is in flight.
    closing::close_returns_at_once,
    /// `close` is idempotent.
    closing::close_can_be_repeated,
    /// `close` stops taking work.
    closing::no_work_begins_after_the_close,
    /// `in_flight` counts what is in flight, or says that it does not know.
    closing::in_flight_counts_what_has_begun,
    /// `in_flight` counts what is in flight, or says that it does not know.
    closing::in_flight_is_zero_with_nothing,

    /// `drained` resolves when nothing is in flight.
    draining::a_drain_with_nothing_in_flight_ends_at_once,
    /// `drained` resolves when nothing is in flight, and not before.
    draining::a_drain_waits_for_all_that_is_in_flight,
    /// `drained` resolves when nothing is in flight: it is woken then.
    draining::a_drain_ends_with_the_last_piece_of_work,
    /// `drained` resolves when nothing is in flight: what ended before it was polled is no wake-up to wait for.
    draining::a_drain_sees_what_ended_before_it_was_polled,
    /// Permission and count are one step: no work slips in once the component is closed and empty.
    races::work_that_races_with_the_close_is_waited_for,
    /// `drained` is dropped at the claim if it has not resolved, takes nothing with it, and can be asked again.
    draining::a_dropped_drain_can_be_asked_again,

    /// `claim` stops for good, also without a `close` before it.
    claiming::no_work_begins_after_the_claim,
    /// `claim` puts every unfinished job into the ledger, once.
    claiming::a_claim_takes_every_unfinished_job,
    /// From each push on that job can no longer commit.
    claiming::a_claimed_job_cannot_commit,
    /// `claim` puts unfinished jobs into the ledger, and no others.
    claiming::a_job_that_has_committed_is_not_claimed,
    /// `claim` is idempotent: a job is pushed once.
    claiming::a_second_claim_takes_nothing,
    /// `claim` is in memory, and returns at once.
    claiming::a_claim_returns_at_once,
    /// Every job is accounted for exactly once: one atomic claim decides between its own commit and the hand-over.
    races::commits_that_race_with_the_claim_are_decided_once,
    /// `joined` gives the shutdown's watch: who drops a job after the announcement leaves it incomplete, though the
    /// component's turn has not come yet.
    races::a_job_dropped_after_the_announcement_is_claimed,

    /// `conclude` is bounded by the receipt's deadline.
    ending::conclude_ends_when_nothing_was_taken_over,
    /// `conclude` is bounded by the receipt's deadline.
    ending::conclude_ends_when_everything_was_taken_over,
    /// `force` drops whatever is left, and returns at once.
    ending::force_returns_at_once,
    /// `force` is idempotent, and needs no other method before it.
    ending::force_can_come_first_and_again,
    /// Where it is forced when its allowance is over, all is claimed before that, and `conclude` comes after it.
    ending::who_is_forced_before_the_others_concludes_with_them,
    /// Work that ends in time is no loss.
    ending::a_shutdown_that_drains_is_clean,
    /// When a shutdown is over, the component may join another, which finds nothing.
    ending::another_shutdown_finds_nothing,
}
