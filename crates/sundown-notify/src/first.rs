//! A chain of notifiers, one of which takes over what those before it did not.

mod link;

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::{Either, join_all, select};
use sundown::{HandOver, Notice, Notifier, NotifyError, Report, Runtime, async_trait};

use self::link::{Ending, Link, Work};
use crate::offered::{Offered, is_open};

/// What is left of the time when the last link's part ends, so that the chain returns in it: what has not returned in
/// its time puts every job in doubt, even those that were never offered. At most a tenth of the time; and enough for a
/// thread to get its turn on a machine that is as busy as one that goes down may be.
const SPARE: Duration = Duration::from_millis(200);

/// Hands over to the first of several notifiers, then what that one did not acknowledge to the second, and so on: a
/// monitoring service, and a disk for the second in which the service is down. It is for
/// [`hand_over_to`](sundown::Builder::hand_over_to): who is only [told](sundown::Builder::tell) acknowledges nothing, and so
/// passes everything on; tell each by itself.
///
/// # Who has taken what
///
/// Every link acknowledges for itself, and each job counts once: for the first that acknowledges it. What one leaves in
/// doubt the next is offered, marked [in doubt](sundown::IncompleteJob::is_in_doubt), and if that one acknowledges it, it
/// is handed over. In the end what nobody acknowledged is in doubt if any link left it so, else unacknowledged.
///
/// Where all [jobs](HandOver::jobs) were acknowledged, the hand-over has succeeded, whoever failed on the way: what a link
/// failed with is then told as an error of [`finished`](Notifier::finished), which is in the report and changes nothing
/// else. Effects that [had begun](HandOver::in_doubt) are offered likewise, but not everybody wants to hear of them: if
/// nobody acknowledged one, that is a failure only where every link that was asked failed. Else the hand-over fails with
/// what all links failed with.
///
/// # Time
///
/// Each link has a fair part: of the time that is left when its turn comes, as much as each of those behind it would
/// have. With three links and six seconds the first has two at most; if it needs only one, the second has two and a half.
/// A part is a [deadline](HandOver::deadline), and links that keep it return by themselves. Those that do not are left
/// behind: a link that hangs, keeps its thread or panics costs its part and no more, since each is called on a thread of
/// its own. One that was left behind puts what it was offered in doubt.
///
/// (Where no thread can be had for a link, it is called on the chain's own. If it keeps *that*, those behind it lose their
/// time.)
///
/// All links are told of the beginning and the end, side by side.
///
/// # Why it needs the runtime
///
/// For the links' [private places](Runtime::private), so that clients which a link builds in
/// [`prepare`](Notifier::prepare) work in its other methods as well.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use sundown::{HandOver, Jobs, Notifier, NotifyError, Shutdown};
/// use sundown_notify::{First, Webhook};
/// use sundown_tokio::Tokio;
///
/// /// Prints jobs, for a platform whose log is somebody's to see to. (A disk is better: the journal's last link.)
/// struct Printed;
///
/// #[sundown::async_trait]
/// impl Notifier for Printed {
///     async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
///         for job in hand_over.jobs() {
///             println!("to be done: {}", job.id());
///             hand_over.acknowledge(job.key());
///         }
///         Ok(())
///     }
/// }
///
/// // Nobody listens on the port of `discard`.
/// let webhook = Webhook::new("http://127.0.0.1:9/events")?;
/// let jobs = Jobs::new();
/// let shutdown = Shutdown::embedded(Tokio::current())
///     .component("jobs", jobs.clone())
///     .hand_over_to(First::new(Tokio::current(), webhook).then(Printed))
///     .grace(Duration::from_secs(10))
///     .start()?;
/// let _job = jobs.begin("image-17", "resize to 640 px")?;
/// shutdown.begin("the example is over");
/// shutdown.hurry(); // the job does not finish
/// assert!(shutdown.finished().await.is_clean());
/// # Ok(()) }
/// ```
pub struct First {
    runtime: Arc<dyn Runtime>,
    links: Vec<Arc<Link>>,
    /// What links failed with that others have made good, until it is told. The lock guards the list.
    made_good: Mutex<Vec<Wrong>>,
}

/// Which link failed, and with what.
type Wrong = (usize, String);

impl First {
    /// A chain whose first link is this notifier.
    pub fn new(runtime: impl Runtime, notifier: impl Notifier) -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(runtime);
        First { links: vec![Link::new(runtime.clone(), notifier)], runtime, made_good: Mutex::default() }
    }

    /// Then this one is offered what is left.
    #[must_use]
    pub fn then(mut self, next: impl Notifier) -> Self {
        self.links.push(Link::new(self.runtime.clone(), next));
        self
    }

    /// Calls a link, and waits for it until then. `None`: it has not ended.
    async fn call(&self, link: &Arc<Link>, work: Work, until: Instant) -> Option<Ending> {
        let call = Box::pin(link.clone().call(work));
        match select(call, self.runtime.sleep_until(until)).await {
            Either::Left((ending, _)) => Some(ending),
            Either::Right(_) => None,
        }
    }

    /// Calls all links side by side.
    async fn call_all(&self, work: impl Fn(&Arc<dyn Notifier>) -> Work) -> Vec<Wrong> {
        let calls = self.links.iter().map(|link| link.clone().call(work(&link.notifier)));
        let endings = join_all(calls).await.into_iter().enumerate();
        endings.filter_map(|(at, ending)| Some((at, ending.err()?))).collect()
    }

    fn made_good(&self) -> MutexGuard<'_, Vec<Wrong>> {
        self.made_good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The methods wait by wakers and keep no thread, whatever the links do.
///
/// # Cancel safety
///
/// What is dropped where it waits has the link under way dropped where that waits.
#[async_trait]
impl Notifier for First {
    /// Prepares all links, side by side.
    ///
    /// # Errors
    ///
    /// Those of all links: one that is set up wrongly is to be known now, not when its turn comes.
    async fn prepare(&self) -> Result<(), NotifyError> {
        for link in &self.links {
            link.settle_in().map_err(|why| NotifyError::new("no place for a link").because(why))?;
        }
        let wrong = self.call_all(|notifier| {
            let notifier = notifier.clone();
            Box::pin(async move { notifier.prepare().await })
        });
        joined("", wrong.await)
    }

    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        let wrong = self.call_all(|notifier| {
            let (notifier, notice) = (notifier.clone(), notice.clone());
            Box::pin(async move { notifier.draining(&notice).await })
        });
        joined("", wrong.await)
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let spare = SPARE.min(hand_over.deadline().remaining() / 10);
        let (mut wrong, mut some_worked) = (Vec::new(), false);
        for (at, link) in self.links.iter().enumerate() {
            let left = hand_over.deadline().remaining().saturating_sub(spare);
            let until = self.runtime.now() + fair(left, self.links.len() - at);
            let rest = Arc::new(hand_over.rest(until));
            if !rest.all().any(is_open) {
                break;
            }
            let (notifier, offer) = (link.notifier.clone(), rest.clone());
            let work = Box::pin(async move { notifier.incomplete(&offer).await });
            match self.call(link, work, until).await {
                Some(Ok(())) => some_worked = true,
                Some(Err(why)) => wrong.push((at, why)),
                None => {
                    // Nobody can know how far it came.
                    rest.all().for_each(|job| rest.doubt(job.key()));
                    wrong.push((at, "it did not end in its part of the time".into()));
                }
            }
        }
        let (missing, all) = (hand_over.all().filter(|job| is_open(job)).count(), hand_over.all().len());
        // Not everybody wants to hear of effects that may have happened.
        let is_done = some_worked && !hand_over.jobs().iter().any(is_open);
        if missing == 0 || is_done {
            *self.made_good() = wrong;
            return Ok(());
        }
        let why = format!("{missing} of {all} jobs not acknowledged");
        match joined("", wrong) {
            Ok(()) => Err(NotifyError::new(why)),
            Err(wrong) => Err(NotifyError::new(format!("{why}; {wrong}"))),
        }
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let report = Arc::new(report.clone());
        let wrong = self.call_all(|notifier| {
            let (notifier, report) = (notifier.clone(), report.clone());
            Box::pin(async move { notifier.finished(&report).await })
        });
        let wrong = wrong.await;
        let made_good = joined("made good by others: ", mem::take(&mut *self.made_good()));
        match (joined("", wrong), made_good) {
            (Err(wrong), Err(made_good)) => Err(NotifyError::new(format!("{wrong}; {made_good}"))),
            (wrong, made_good) => wrong.and(made_good),
        }
    }
}

impl fmt::Debug for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("First").field("links", &self.links.len()).finish_non_exhaustive()
    }
}

/// What each of so many has of the time.
fn fair(left: Duration, links: usize) -> Duration {
    left / u32::try_from(links).unwrap_or(u32::MAX)
}

/// What went wrong with which link, in one error.
fn joined(title: &str, wrong: Vec<Wrong>) -> Result<(), NotifyError> {
    if wrong.is_empty() {
        return Ok(());
    }
    let texts: Vec<_> = wrong.into_iter().map(|(at, why)| format!("link {}: {why}", at + 1)).collect();
    Err(NotifyError::new(format!("{title}{}", texts.join("; "))))
}
