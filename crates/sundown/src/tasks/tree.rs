//! A group among those above and below it: who is in it, who is told, what counts.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    panic::Location,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use slab::Slab;

use super::{
    TaskEnd, TaskFate, Then,
    ends::{Counters, Kept},
    running::{Core, Entry, Inside, Listed, Policy, Running},
};
use crate::{
    Deadline, Draining, Gate, Reason, Runtime, Watch,
    grace::LONGEST,
    host::DynHost,
    latch::{Shared, Waiting},
    watch::Stages,
};

pub(super) struct Group {
    /// The names of the groups down to this one, each with a slash behind it.
    path: String,
    above: Option<Above>,
    pub(super) runtime: Arc<dyn Runtime>,
    host: DynHost,
    pub(super) gate: Gate,
    pub(super) stages: Arc<Stages>,
    /// Whether the deadline that the tasks were told is our own, which no shutdown tightens.
    told_alone: AtomicBool,
    pub(super) part: OnceLock<Duration>,
    pub(super) shows_sites: AtomicBool,
    pub(super) kept: OnceLock<Kept>,
    pub(super) counters: Counters,
    members: Mutex<Members>,
    pub(super) joined: Mutex<Joined>,
}

/// The group above, and our key there.
struct Above {
    group: Arc<Group>,
    key: usize,
}

/// Who is in a group. The lock guards the lists, and that whoever is listed after an abort knows of it.
#[derive(Default)]
struct Members {
    tasks: Slab<Listed>,
    groups: Slab<Weak<Group>>,
    aborted: bool,
}

/// The shutdown that the group is a component of. The lock guards these alone.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) watch: Option<Watch>,
    /// Why it is to begin as soon as there is one.
    pub(super) wanted: Option<Reason>,
    /// The failure that makes it unclean, until it is reported.
    pub(super) failure: Option<String>,
}

impl Group {
    pub(super) fn root(runtime: Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Group::new(runtime.host(), runtime, String::new(), None))
    }

    fn new(host: DynHost, runtime: Arc<dyn Runtime>, path: String, above: Option<Above>) -> Self {
        Group {
            path,
            above,
            runtime,
            gate: Gate::new(),
            stages: Arc::new(Stages::new(host.clone())),
            host,
            told_alone: AtomicBool::new(false),
            part: OnceLock::new(),
            shows_sites: AtomicBool::new(false),
            kept: OnceLock::new(),
            counters: Counters::default(),
            members: Mutex::default(),
            joined: Mutex::default(),
        }
    }

    /// A group inside this one. It is as far as this one is: told, claimed, aborted.
    pub(super) fn inner(self: &Arc<Self>, name: &str) -> Arc<Self> {
        let mut members = lock(&self.members);
        let path = format!("{}{name}/", self.path);
        let inner = Arc::new_cyclic(|inner| {
            let above = Above { group: self.clone(), key: members.groups.insert(inner.clone()) };
            Group::new(self.host.clone(), self.runtime.clone(), path, Some(above))
        });
        let aborted = members.aborted;
        drop(members);
        // Listed, so that who tells us now tells it. Who did so before has set these first.
        if self.stages.draining.is_set() {
            inner.tell(self.stages.work_ends.get(), &self.reason());
        }
        if self.stages.claimed.is_set() {
            inner.claim();
        }
        if aborted {
            inner.abort();
        }
        inner
    }

    pub(super) fn now(&self) -> Instant {
        self.host.now()
    }

    /// This group and those above it, upwards.
    fn upwards(&self) -> impl Iterator<Item = &Group> {
        std::iter::successors(Some(self), |group| group.above.as_ref().map(|above| &*above.group))
    }

    /// The groups right below.
    fn below(&self) -> Vec<Arc<Group>> {
        lock(&self.members).groups.iter().filter_map(|(_, group)| group.upgrade()).collect()
    }

    /// The running tasks of this group and all below it.
    pub(super) fn running(self: &Arc<Self>) -> Vec<(Arc<Group>, Listed)> {
        let (mut groups, mut running) = (vec![self.clone()], Vec::new());
        while let Some(group) = groups.pop() {
            groups.extend(group.below());
            let members = lock(&group.members);
            running.extend(members.tasks.iter().map(|(_, task)| (group.clone(), task.clone())));
        }
        running
    }

    // ---- a task begins and ends

    /// Passes the gates, from here up.
    pub(super) fn enter(&self) -> Result<Inside, Draining> {
        let own = self.gate.enter()?;
        // None above, the common case, takes no memory.
        let above = self.upwards().skip(1).map(|group| group.gate.enter()).collect::<Result<_, _>>()?;
        Ok(Inside { own, above })
    }

    /// Whether nobody is let in any more.
    pub(super) fn is_closed(&self) -> bool {
        self.upwards().any(|group| group.gate.is_closed())
    }

    /// Lists a task that has passed the gates. The handle is what else is made of it.
    #[allow(clippy::too_many_arguments, reason = "each is another part of one task")]
    pub(super) fn list<S: Send + Sync + 'static, H>(
        self: &Arc<Self>,
        inside: Inside,
        name: Cow<'static, str>,
        site: &'static Location<'static>,
        policy: Policy,
        slot: S,
        handle: impl FnOnce(&Arc<Core<S>>) -> H,
    ) -> (H, Running) {
        let core = Arc::new(Core { entry: Entry::new(name, site, self.now()), slot });
        let handle = handle(&core);
        let mut members = lock(&self.members);
        let key = members.tasks.insert(core.clone());
        let aborted = members.aborted;
        drop(members);
        if aborted {
            core.entry.abort();
        }
        (handle, Running { core, group: self.clone(), key, policy, inside: Some(inside) })
    }

    /// The caller drops the entry.
    pub(super) fn delist(&self, key: usize) -> Listed {
        lock(&self.members).tasks.remove(key)
    }

    /// Counts an end here and above, and records it where that is asked for.
    pub(super) fn count(&self, fate: &TaskFate, end: impl Fn() -> TaskEnd) {
        for group in self.upwards() {
            group.counters.count(fate);
            if let Some(kept) = group.kept.get() {
                kept.push(end());
            }
        }
    }

    pub(super) fn count_restart(&self) {
        self.upwards().for_each(|group| group.counters.restarted());
    }

    /// What a task is called, from outside.
    pub(super) fn title(&self, entry: &Entry) -> String {
        let path = &self.path;
        match self.upwards().any(|group| group.shows_sites.load(Ordering::Relaxed)) {
            true => format!("{path}{} ({}:{})", entry.name, entry.site.file(), entry.site.line()),
            false => format!("{path}{}", entry.name),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.path.trim_end_matches('/')
    }

    /// Does what a task's end means.
    pub(super) fn follow(self: &Arc<Self>, policy: Policy, entry: &Entry, fate: &TaskFate) {
        let then = match fate {
            // Once the group is told to stop, its tasks are meant to end.
            TaskFate::Completed if self.stages.draining.is_set() => Then::Ignore,
            TaskFate::Completed => policy.end,
            TaskFate::Failed(_) => policy.error,
            TaskFate::Panicked(_) => policy.panic,
            TaskFate::Aborted => Then::Ignore,
        };
        let what = || format!("task {} {fate}", self.title(entry));
        match then {
            Then::Ignore => {}
            Then::StopGroup => self.tell(None, &what().into()),
            Then::Shutdown => self.begin(&what(), *fate != TaskFate::Completed),
        }
    }

    /// Begins the shutdown of the nearest group that has joined one; else it is begun when the outermost joins.
    fn begin(&self, why: &str, is_failure: bool) {
        let mut joined = lock(&self.joined);
        if let (None, Some(above)) = (&joined.watch, &self.above) {
            drop(joined);
            return above.group.begin(why, is_failure);
        }
        if is_failure {
            joined.failure.get_or_insert_with(|| why.to_owned());
        }
        match joined.watch.clone() {
            Some(watch) => {
                drop(joined);
                watch.begin(why.into());
            }
            None => drop(joined.wanted.get_or_insert_with(|| why.into())),
        }
    }

    // ---- the group ends

    /// Closes the gate and tells all tasks, here and below. The deadline of a shutdown, or of the group above, is live;
    /// without one there is no end. Wakes who waits: foreign code.
    pub(super) fn tell(self: &Arc<Self>, deadline: Option<&Deadline>, reason: &Reason) {
        let first = self.tell_here(deadline, reason);
        for group in self.below() {
            group.tell(self.stages.work_ends.get(), &self.reason());
        }
        if let Some(part) = self.part.get().filter(|_| first) {
            self.abort_after(*part);
        }
    }

    /// Returns whether it was told of nothing before.
    fn tell_here(&self, deadline: Option<&Deadline>, reason: &Reason) -> bool {
        self.gate.close();
        let mut first = false;
        let told = self.stages.work_ends.get_or_init(|| {
            first = true;
            self.told_alone.store(deadline.is_none(), Ordering::Relaxed);
            let whole = deadline.cloned().unwrap_or_else(|| self.deadline_in(LONGEST));
            match self.part.get() {
                Some(part) => whole.no_later_than(self.now() + (*part).min(LONGEST)),
                None => whole,
            }
        });
        // Relaxed: set before the deadline was, which we have.
        if let Some(deadline) = deadline.filter(|_| !first && self.told_alone.load(Ordering::Relaxed)) {
            told.tighten(deadline.at());
        }
        let _ = self.stages.reason.get_or_init(|| reason.clone());
        self.stages.draining.open();
        first
    }

    /// Why the tasks were told.
    fn reason(&self) -> Reason {
        self.stages.reason.get().cloned().unwrap_or_else(|| "stopped".into())
    }

    pub(super) fn deadline_in(&self, time: Duration) -> Deadline {
        let now = self.now();
        Deadline::new(&self.host, now, now + time)
    }

    /// Aborts what is left when the group's part of the time is over.
    fn abort_after(self: &Arc<Self>, part: Duration) {
        let group = self.clone();
        let timer = async move {
            let until = group.runtime.now() + part.min(LONGEST);
            let over = group.runtime.sleep_until(until);
            if either(over, group.gate.empty()).await == Either::First {
                group.abort();
            }
        };
        drop(self.runtime.spawn(Box::pin(timer)));
    }

    /// From here on nothing counts any more. Wakes who waits: foreign code.
    pub(super) fn claim(&self) {
        self.stages.claimed.open();
        self.below().iter().for_each(|group| group.claim());
    }

    /// Has all tasks dropped, here and below. Wakes them: foreign code.
    pub(super) fn abort(&self) {
        let tasks: Vec<_> = {
            let mut members = lock(&self.members);
            members.aborted = true;
            members.tasks.iter().map(|(_, task)| task.clone()).collect()
        };
        tasks.iter().for_each(|task| task.entry.abort());
        self.below().iter().for_each(|group| group.abort());
    }

    /// Waits so long, or until the tasks are told to stop. Returns whether they are.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        let over = self.runtime.sleep_until(self.runtime.now() + time.min(LONGEST));
        let told: Waiting<Shared> = Waiting::new(self.stages.draining.clone());
        either(told, over).await == Either::First
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(above) = &self.above {
            let gone = lock(&above.group.members).groups.try_remove(above.key);
            drop(gone);
        }
        // No task is left, and none can come. Who has only a watch is not to wait for ever.
        self.tell_here(None, &"the group is gone".into());
        self.stages.claimed.open();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Either {
    First,
    Second,
}

/// Which of the two is first; of two at once, the first. Cancel safe if they are.
pub(super) async fn either(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> Either {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if first.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Either::First);
        }
        second.as_mut().poll(cx).map(|()| Either::Second)
    })
    .await
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
