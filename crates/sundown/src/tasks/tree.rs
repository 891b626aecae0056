//! A group among those above and below it: who is in it, and what an end of theirs means. How a group itself ends is next
//! door ([`stopping`](super::stopping)).

use std::{
    borrow::Cow,
    panic::Location,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use slab::Slab;

use super::{
    TaskEnd, TaskFate, Then,
    ends::{Counters, Kept},
    running::{Core, Entry, Inside, Listed, Policy, Running},
};
use crate::{
    Draining, Gate, Reason, Runtime, Watch,
    host::DynHost,
    sync::{Mutex, lock},
    watch::Stages,
};

pub(super) struct Group {
    /// The names of the groups down to this one, each with a slash behind it.
    path: String,
    pub(super) above: Option<Above>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) host: DynHost,
    pub(super) gate: Gate,
    pub(super) stages: Arc<Stages>,
    /// Whether the deadline that the tasks were told is our own, until it joins a shutdown's.
    pub(super) told_alone: AtomicBool,
    pub(super) part: OnceLock<Duration>,
    pub(super) shows_sites: AtomicBool,
    pub(super) kept: OnceLock<Kept>,
    pub(super) counters: Counters,
    pub(super) members: Mutex<Members>,
    pub(super) joined: Mutex<Joined>,
}

/// The group above, and our key there.
pub(super) struct Above {
    pub(super) group: Arc<Group>,
    pub(super) key: usize,
}

/// Who is in a group. The lock guards the lists, and that whoever is listed after an abort knows of it.
#[derive(Default)]
pub(super) struct Members {
    pub(super) tasks: Slab<Listed>,
    pub(super) groups: Slab<Weak<Group>>,
    pub(super) aborted: bool,
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
    pub(super) fn below(&self) -> Vec<Arc<Group>> {
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

    /// Passes the gates, from here up.
    pub(super) fn enter(&self) -> Result<Inside, Draining> {
        let own = self.gate.enter()?;
        let above = match &self.above {
            // The common case takes no memory.
            None => Vec::new(),
            Some(above) => above.group.upwards().map(|group| group.gate.enter()).collect::<Result<_, _>>()?,
        };
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
        (handle, Running { core, group: self.clone(), key, policy, registered: false, inside: Some(inside) })
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
}
