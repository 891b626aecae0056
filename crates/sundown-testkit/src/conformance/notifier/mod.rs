//! The rules for a [`Notifier`](sundown::Notifier): what it may acknowledge, and how it ends.

mod accepting;
mod hanging;
mod jobs;
mod news;

mod notifying;
mod stage;

use self::notifying::Fresh;
pub use self::notifying::{Notifying, Outside};
use super::Suite;

/// The suite for a [`Notifier`](sundown::Notifier): what it may acknowledge, what it must, and how it ends. The closure
/// makes a fresh notifier with an outside world that does as it is told; `None` if it cannot be told this, and then the
/// rules that need it are skipped.
///
/// # Examples
///
/// A notifier that prints, whose reader cannot but accept:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use sundown::{HandOver, Notifier, NotifyError};
/// use sundown_testkit::conformance::{self, Notifying, Outside};
///
/// struct Printer(Arc<Mutex<Vec<String>>>);
///
/// #[sundown::async_trait]
/// impl Notifier for Printer {
///     async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
///         for job in hand_over.jobs() {
///             self.0.lock().unwrap().push(job.key().to_string());
///             hand_over.acknowledge(job.key());
///         }
///         Ok(())
///     }
/// }
///
/// let verdict = conformance::notifier(|outside| {
///     let paper = Arc::new(Mutex::new(Vec::new()));
///     let printer = Printer(paper.clone());
///     (outside == Outside::Accepts).then(|| Notifying::new(printer, move || paper.lock().unwrap().clone()))
/// })
/// .run();
/// verdict.assert();
/// assert!(verdict.skipped().contains(&"a_refusal_is_an_error_of_the_call"));
/// ```
pub fn notifier(fresh: impl Fn(Outside) -> Option<Notifying> + Send + Sync + 'static) -> Suite {
    Suite::new::<Fresh>("notifier", rules(), Box::new(fresh))
}

rules! { $,
    /// Makes a test of each rule for a [`Notifier`](sundown::Notifier); takes what
    /// [`notifier`](crate::conformance::notifier) takes. A rule that is skipped says so on standard error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sundown_testkit::conformance::{Notifying, Outside};
    /// # fn pager(_: Outside) -> Option<Notifying> { unimplemented!() }
    /// mod the_pager {
    ///     sundown_testkit::notifier_conformance!(super::pager);
    /// }
    /// # fn main() {}
    /// ```
    macro notifier_conformance, fn notifier, Fresh;

    /// `prepare` is called when the shutdown is started, on no thread of the service's runtime.
    news::prepare_works_outside_the_services_runtime,
    /// The errors of `draining` and `finished` are in the report, and change nothing else.
    news::a_refusing_outside_breaks_no_news,
    /// `acknowledge` each that is now somebody else's responsibility; where there is nothing, nobody takes anything.
    news::nothing_is_taken_where_nothing_is_offered,

    /// `acknowledge` each that is now somebody else's responsibility.
    accepting::everything_accepted_is_acknowledged,
    /// Never acknowledge before it is known: a client would be told 200 for work nobody knows of.
    accepting::nothing_refused_is_acknowledged,
    /// A refusal by the outside is an error, even of a part, so that the report can say why.
    accepting::a_refusal_is_an_error_of_the_call,
    /// Each job is acknowledged by its own key.
    accepting::a_part_accepted_is_acknowledged_to_the_job,

    /// `incomplete` returns by the hand-over's deadline: what has not returned puts every job in doubt.
    hanging::a_hanging_outside_does_not_hold_the_call_past_its_deadline,
    /// Never acknowledge before it is known, even if time runs out.
    hanging::nothing_is_acknowledged_while_the_outside_hangs,
    /// Acknowledge as soon as it is known: what was acknowledged counts even if the call then hangs.
    hanging::what_was_accepted_before_a_hang_counts,
    /// `incomplete` may be dropped where it waits.
    hanging::a_dropped_call_does_not_panic,

    /// A job's id is any text of 1 to 256 bytes without control characters.
    jobs::odd_ids_arrive,
    /// A job's payload is whatever serialises.
    jobs::odd_payloads_arrive,
    /// However many jobs there are, each is acknowledged by its own key.
    jobs::thousands_of_jobs_are_acknowledged_to_the_job,
}
