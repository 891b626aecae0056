//! A shutdown as a component of another: a plug-in, a tenant. What it keeps true:
//!
//! 1. **The parent's time is the child's.** The child's claim comes at its latest finish as a component, what follows lies
//!    within the parent's hand-over and answers, and all of it moves when the parent's moments do.
//! 2. **A job has one fate.** What a child cannot hand over itself is listed in both ledgers, under one word. The child
//!    answers its own clients when the parent has handed over, from that word: both say the same.
//! 3. **Nothing waits in a circle.** Who would be inside itself is refused; a ledger is never passed on to one below it;
//!    and every wait here ends with a moment of the parent's.
//!
//! ```text
//! parent  drain ───────────────── claim ── hand over ─────────── answer ──────────────────────────── force ──
//! child     └ drain ────── claim ───┴(jobs)──┴ waits, or its own ─┴┄ 1/8 ┄ answer ── force, release ─┘
//! ```

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{Handle, Hub, Shutdown};
use crate::{
    Claims, Deadline, Drainable, InFlight, Reason, Receipt, Step, Watch,
    conductor::Event,
    latch::{Shared, Waiting},
    plan::{Tail, Timeline},
    progress::Snapshot,
    sync::{Mutex, lock},
    watch::Stages,
};

/// How long a look at a child waits for the child's own, which has begun.
const PATIENCE: Duration = Duration::from_millis(50);

/// Who is whose child. The locks guard the links alone, one at a time.
#[derive(Default)]
pub(crate) struct Family {
    /// In the order in which it joined them; it is meant to have one.
    parents: Mutex<Vec<Weak<Stages>>>,
    /// Each with what is set when it has finished.
    children: Mutex<Vec<(Shared, Sender<Event>)>>,
}

impl Family {
    fn parents(&self) -> Vec<Arc<Stages>> {
        lock(&self.parents).iter().filter_map(Weak::upgrade).collect()
    }

    fn join(&self, parent: &Arc<Stages>) {
        let mut parents = lock(&self.parents);
        parents.retain(|parent| parent.strong_count() > 0);
        parents.push(Arc::downgrade(parent));
    }

    /// Whether it was a child of that one, which it is no more.
    fn leave(&self, parent: &Arc<Stages>) -> bool {
        let mut parents = lock(&self.parents);
        let before = parents.len();
        parents.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(parent)));
        parents.len() < before
    }

    fn add(&self, child: &Handle) {
        let mut children = lock(&self.children);
        children.retain(|(finished, _)| !finished.is_set());
        children.push((child.hub.finished.clone(), child.mailbox.clone()));
    }

    /// The parent's moments have moved.
    pub(crate) fn tell_children(&self, now: Instant) {
        for (_, mailbox) in lock(&self.children).iter() {
            // An error means that it is over.
            let _ = mailbox.send(Event::Inside(now));
        }
    }

    /// Whether the shutdown of these stages is inside itself; then the link between it and that child of its own is undone.
    pub(super) fn leave_itself(&self, own: &Arc<Stages>) -> bool {
        let mut above = vec![own.clone()];
        let mut at = 0;
        while let Some(one) = above.get(at).cloned() {
            if one.family.leave(own) {
                return true;
            }
            for parent in one.family.parents() {
                if !above.iter().any(|other| Arc::ptr_eq(other, &parent)) {
                    above.push(parent);
                }
            }
            at += 1;
        }
        false
    }
}

/// What a shutdown knows of being inside another.
pub(crate) struct Inside {
    /// Its latest finish as a component.
    deadline: Deadline,
    /// Set when it has been told that it joined.
    parent: OnceLock<Arc<Stages>>,
    /// The parent claims.
    claimed: AtomicBool,
    /// Its allowance is over: what is left of it is to be dropped before its turn to be forced.
    cut: AtomicBool,
    /// The parent's hand-over is over.
    settled: AtomicBool,
    /// Some parent's report has the child's: no other, of one that began after the child's end, has it again.
    reported: AtomicBool,
}

impl Inside {
    pub(crate) fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    pub(crate) fn reason(&self) -> Reason {
        let reason = self.parent.get().and_then(|parent| parent.reason.get());
        reason.cloned().unwrap_or_else(|| Reason::Requested("it is part of a shutdown".into()))
    }

    /// Relaxed, here and below: who sets it sends an event after that, and the channel orders them. Who sees it earlier than
    /// the event finds what is as true then.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// It leaves a parent that has not begun: there is no hand-over that it could wait for.
    pub(crate) fn is_alone(&self) -> bool {
        self.parent.get().is_some_and(|parent| parent.answers.get().is_none())
    }

    /// Its parent's hand-over is still to come, or under way.
    pub(crate) fn hands_over(&self) -> bool {
        !self.is_settled() && !self.is_alone()
    }

    /// The parent hands over and answers yet.
    fn is_to_be_answered(&self, now: Instant) -> bool {
        let answers = self.parent.get().and_then(|parent| parent.answers.get());
        !self.is_settled() && answers.is_some_and(|(_, answers)| now < answers.at())
    }

    /// When the child's steps end at the latest, as the parent's moments are now. Of the parent's time to answer the child
    /// leaves an eighth before and after its own, for those in between.
    pub(crate) fn moments(&self, now: Instant) -> Option<Timeline> {
        let (hand_over, answers) = self.parent.get()?.answers.get()?;
        let (from, to) = (hand_over.at(), answers.at());
        let eighth = to.saturating_duration_since(from) / 8;
        let claimed = self.claimed.load(Ordering::Relaxed);
        let claim = if claimed { now } else { self.deadline.at().max(now) };
        let (answer, release, exit) = (from + eighth, from + 5 * eighth, from + 7 * eighth);
        let tail = Tail {
            hand_over: answer.saturating_duration_since(claim),
            answer: 4 * eighth,
            release: 2 * eighth,
            margin: to.saturating_duration_since(exit),
        };
        Some(Timeline { begun: now, claim, answer, release, exit, kill: to, tail })
    }
}

/// # Inside another
///
/// A shutdown can be a component of another one: of a plug-in in its host, of a tenant in its service. Its
/// [owner](Shutdown) is one too, for whoever has no other use for it.
///
/// * In its turn it begins, for its parent's reason and in its parent's time: its drain ends with its latest finish as a
///   component, whatever its own grace, and comes nearer when the parent's end does. (A deadline of its own that is nearer
///   still counts.)
/// * If it has a notifier that takes over, it hands its unfinished jobs over itself. Otherwise they are its parent's to hand
///   over, as those of `<its name>/<its component's>`; it answers its own clients when that is known.
/// * What it did is in the parent's report, as [`inner`](crate::ComponentReport::inner) of its part, and its own stays
///   available. Its losses are the parent's.
/// * One that ends alone leaves its parent untouched.
///
/// A shutdown inside itself, however deep, is [refused](crate::AddComponentError::Inside).
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use sundown::{Jobs, Shutdown};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[tokio::main(flavor = "current_thread")] async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = sundown_tokio::Tokio::current();
/// let jobs = Jobs::new();
/// let plugin = Shutdown::embedded(sundown_tokio::Tokio::current()).component("jobs", jobs.clone()).start()?;
/// let host = Shutdown::embedded(runtime)
///     .component("plugin", plugin.handle())
///     .grace(Duration::from_secs(2))
///     .start()?;
///
/// let _job = jobs.begin("image-17", "resize to 640 px")?; // which does not end
/// host.begin("the example is over");
/// let report = host.finished().await;
/// assert_eq!(report.jobs.unacknowledged[0].component, "plugin/jobs");
/// assert_eq!(plugin.finished().await.jobs.unacknowledged.len(), 1);
/// # Ok(()) }
/// # run() }
/// ```
#[async_trait]
impl Drainable for Handle {
    fn joined(&self, watch: &Watch) {
        // In this order: of two that become each other's child at once, one at least finds out afterwards.
        self.hub.stages.family.join(watch.stages());
        watch.stages().family.add(self);
        if let Some(inside) = self.hub.inside.get() {
            // It was closed before it was told.
            self.know_parent(inside);
            self.tell_inside();
        }
    }

    fn close(&self, deadline: &Deadline) {
        self.enter(deadline.clone());
    }

    async fn drained(&self) {
        Waiting::new(self.hub.at_rest.clone()).await;
    }

    fn in_flight(&self) -> InFlight {
        if self.hub.board.page().step == Step::Claim {
            // What it had at its own claim is known when that is over.
            let until = self.hub.host.now() + PATIENCE;
            self.hub.host.wait(&mut &*self.hub.stages.claimed, Some(until));
        }
        let page = self.hub.board.page();
        if page.step == Step::Finished {
            return InFlight::counted(0);
        }
        let Some(_asked) = Asked::once(&self.hub) else { return InFlight::unknown() };
        let parts = Snapshot::of(&self.hub, &page).components;
        InFlight::of_parts(parts.into_iter().map(|part| (part.name, part.in_flight)))
    }

    /// Returns when its own claim is over.
    fn claim(&self, claims: &Claims) {
        let hub = &self.hub;
        let now = hub.host.now();
        let Some(inside) = self.enter(Deadline::new(&hub.host, now, now)) else { return };
        if !hub.takes_over && !hub.finished.is_set() {
            // First: what its components claim is listed in both from the start, even if one of them hangs.
            hub.ledger.pass_on(claims);
        }
        inside.claimed.store(true, Ordering::Relaxed);
        self.tell_inside();
        let until = inside.parent.get().and_then(|parent| parent.answers.get());
        let until = until.map_or(now + PATIENCE, |(hand_over, _)| hand_over.at());
        hub.host.wait(&mut &*hub.stages.claimed, Some(until));
    }

    async fn conclude(&self, receipt: &Receipt) {
        // One that ended before its turn came has ended alone.
        let Some(inside) = self.hub.inside.get() else { return };
        inside.claimed.store(true, Ordering::Relaxed);
        inside.settled.store(true, Ordering::Relaxed);
        self.tell_inside();
        let report = self.finished().await;
        // Relaxed: which of two is the first is all that is asked.
        if inside.reported.swap(true, Ordering::Relaxed) {
            // What was in flight, if anything, is accounted for where the report is.
            receipt.seen_to();
        } else {
            receipt.inner(report, self.hub.ledger.is_passed_on());
        }
    }

    fn force(&self) {
        if self.hub.finished.is_set() {
            return;
        }
        let inside = self.hub.inside.get();
        if let Some(inside) = inside.filter(|inside| inside.is_to_be_answered(self.hub.host.now())) {
            // It was cut: its components drop what is left, and its jobs are handed over in their time.
            inside.cut.store(true, Ordering::Relaxed);
            return self.tell_inside();
        }
        self.begin_within("its parent is over", Duration::ZERO);
    }
}

impl Handle {
    /// Its turn has come, or the claim has. `None` if it had ended before.
    fn enter(&self, deadline: Deadline) -> Option<&Inside> {
        let hub = &self.hub;
        if hub.inside.get().is_none() && hub.finished.is_set() {
            return None;
        }
        let inside = hub.inside.get_or_init(|| Inside {
            deadline,
            parent: OnceLock::new(),
            claimed: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            reported: AtomicBool::new(false),
        });
        self.know_parent(inside);
        self.tell_inside();
        Some(inside)
    }

    fn know_parent(&self, inside: &Inside) {
        if let Some(parent) = self.hub.stages.family.parents().into_iter().next() {
            // The first one stands.
            let _ = inside.parent.set(parent);
        }
    }

    fn tell_inside(&self) {
        // An error means that it is over.
        let _ = self.mailbox.send(Event::Inside(self.hub.host.now()));
    }
}

thread_local! {
    /// Those that this thread is asking what they have in flight.
    static ASKED: RefCell<Vec<*const Hub>> = const { RefCell::new(Vec::new()) };
}

/// A shutdown is being asked. One inside itself, which a component around it has hidden, is so once: it would ask for ever.
struct Asked(*const Hub);

impl Asked {
    fn once(hub: &Arc<Hub>) -> Option<Self> {
        let hub = Arc::as_ptr(hub);
        ASKED.with_borrow_mut(|asked| {
            let first = !asked.contains(&hub);
            first.then(|| asked.push(hub)).map(|()| Asked(hub))
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        ASKED.with_borrow_mut(|asked| asked.retain(|hub| *hub != self.0));
    }
}

/// As its [handle](Handle#inside-another). Dropped with its parent's components, it has finished.
#[async_trait]
impl Drainable for Shutdown {
    fn joined(&self, watch: &Watch) {
        self.handle.joined(watch);
    }

    fn close(&self, deadline: &Deadline) {
        self.handle.close(deadline);
    }

    async fn drained(&self) {
        self.handle.drained().await;
    }

    fn in_flight(&self) -> InFlight {
        self.handle.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.handle.claim(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.handle.conclude(receipt).await;
    }

    fn force(&self) {
        self.handle.force();
    }
}
