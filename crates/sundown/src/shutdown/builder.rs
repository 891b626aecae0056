//! Sets a shutdown up: everything that can be wrong is found out here.

mod process;

use std::{
    fmt,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    time::Duration,
};

use self::process::Process;
use super::{
    Handle, Hub, Shutdown,
    roster::{Component, Roster},
};
use crate::{
    BoxFuture, Drainable, EscalationError, Grace, GraceError, Notifier, Order, Overdue, PlanError, Reserve,
    Runtime, Schedule, Watch,
    conductor::{Conductor, Desk, Observers, Setup},
    errand::{Errands, Place},
    grace::LONGEST,
    host::{DynHost, Inbox, Signals},
    latch::Shared,
    machine::Machine,
    notifier::DynNotifier,
    phases::Phases,
    plan::{Ordered, Reserves},
    report::Outcome,
    signals::Ownership,
};

/// How long `start` waits for the notifiers to prepare.
const PREPARE: Duration = Duration::from_secs(5);

pub(crate) struct Hook {
    pub(crate) name: String,
    pub(crate) run: BoxFuture<'static, ()>,
    pub(crate) place: Arc<Place>,
}

/// Sets up a shutdown: see [`Shutdown::process`].
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    runtime: Arc<dyn Runtime>,
    owns_process: bool,
    grace: Option<Grace>,
    reserves: Reserves,
    phases: Phases,
    components: Vec<(Ordered, Arc<dyn Drainable>)>,
    /// What was said of the component added last when there was none.
    of_nothing: Option<&'static str>,
    take_over: Vec<DynNotifier>,
    told: Vec<DynNotifier>,
    hooks: Vec<(String, BoxFuture<'static, ()>)>,
    process: Process,
}

impl Builder {
    pub(super) fn new(runtime: impl Runtime, owns_process: bool) -> Self {
        Builder {
            runtime: Arc::new(runtime),
            owns_process,
            grace: None,
            reserves: Reserves::default(),
            phases: Phases::default(),
            components: Vec::new(),
            of_nothing: None,
            take_over: Vec::new(),
            told: Vec::new(),
            hooks: Vec::new(),
            process: Process::default(),
        }
    }

    /// Adds a part of the service that drains. Names are unique; they are what the report speaks of.
    pub fn component(mut self, name: impl Into<String>, component: impl Drainable) -> Self {
        self.components.push(((name.into(), Order::new()), Arc::new(component)));
        self
    }

    /// The component added last drains after these: it is closed when they have ended, or their time is over.
    pub fn after<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.order("after", |order| order.after(names))
    }

    /// The component added last belongs to this phase, one of [those of the service](Self::phases): see [`Order::phase`].
    pub fn phase(self, name: impl Into<String>) -> Self {
        self.order("phase", |order| order.phase(name))
    }

    /// The component added last has at most so long from its turn, and at the end of that this happens: see
    /// [`Order::within`].
    pub fn within(self, allowance: Duration, overdue: Overdue) -> Self {
        self.order("within", |order| order.within(allowance, overdue))
    }

    /// The jobs of the component added last are offered before those of components with a lower priority: see
    /// [`Order::hand_over_priority`].
    pub fn hand_over_priority(self, priority: i32) -> Self {
        self.order("hand_over_priority", |order| order.hand_over_priority(priority))
    }

    fn order(mut self, word: &'static str, say: impl FnOnce(Order) -> Order) -> Self {
        match self.components.last_mut() {
            Some(((_, order), _)) => *order = say(std::mem::take(order)),
            None => self.of_nothing = Some(word),
        }
        self
    }

    /// The phases of the service, in their order: every component [of one](Self::phase) drains after all of those before
    /// it. A phase may have no components (yet), and a component no phase; called again, this adds more phases behind.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sundown::{Gate, Shutdown, StartError};
    /// # fn start(runtime: impl sundown::Runtime, http: Gate, orders: Gate, mails: Gate) -> Result<Shutdown, StartError> {
    /// Shutdown::process(runtime)
    ///     .phases(["ingress", "work"])
    ///     .component("http", http)
    ///     .phase("ingress")
    ///     .component("orders", orders)
    ///     .phase("work")
    ///     .component("mails", mails)
    ///     .phase("work")
    ///     .after(["orders"])
    ///     .start()
    /// # }
    /// ```
    pub fn phases<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.phases.extend(names.into_iter().map(Into::into));
        self
    }

    /// Who takes over the jobs that cannot finish. There is one; without one they stay unacknowledged: clients are told
    /// 503, and the exit code is 1. The report calls it `take-over`.
    pub fn hand_over_to(mut self, notifier: impl Notifier) -> Self {
        self.take_over.push(Arc::new(notifier));
        self
    }

    /// Who is told besides. What it acknowledges counts for nothing; but one that fails to hear of the incomplete jobs is a
    /// failure of the shutdown, whose exit code is then 1. The report calls them `told-1` and so on.
    pub fn tell(mut self, notifier: impl Notifier) -> Self {
        self.told.push(Arc::new(notifier));
        self
    }

    /// How much time the platform gives; [`Grace::detect`] if this is not called.
    pub fn grace(mut self, grace: impl Into<Grace>) -> Self {
        self.grace = Some(grace.into());
        self
    }

    /// Sets one of the reserved parts of the tail, instead of its default.
    pub fn reserve(mut self, reserve: Reserve, length: Duration) -> Self {
        self.reserves.set(reserve, length);
        self
    }

    /// What is to be done last, when nothing runs any more: flush telemetry, remove a pid file. Hooks run side by side
    /// in the release reserve, outside the runtime.
    pub fn at_release(
        mut self,
        name: impl Into<String>,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.hooks.push((name.into(), Box::pin(run)));
        self
    }

    /// Runs the plan dry: nothing is started, and the [`Schedule`] says what the shutdown would come to.
    ///
    /// # Errors
    ///
    /// Where the grace, the reserves or the order cannot work: what [`start`](Self::start) would say of them.
    pub fn plan(&self) -> Result<Schedule, StartError> {
        let host = self.runtime.host();
        let grace = self.checked_grace(&host)?;
        let ordered: Vec<_> = self.components.iter().map(|(ordered, _)| ordered.clone()).collect();
        Ok(Schedule::new(grace, &ordered, &self.phases, &self.reserves, host.now())?)
    }

    /// The grace, once it is known that a plan can be made with it.
    fn checked_grace(&self, host: &DynHost) -> Result<Grace, StartError> {
        let grace = match &self.grace {
            Some(grace) => grace.clone(),
            None => Grace::of(&host.environment())?,
        };
        grace.check()?;
        self.reserves.check(&grace)?;
        match self.of_nothing {
            Some(word) => Err(StartError::OfNothing(word)),
            None => Ok(grace),
        }
    }

    /// Starts the shutdown's threads and prepares the notifiers; nothing is shut down yet.
    ///
    /// Blocks the calling thread while the notifiers prepare, five seconds at most.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the set-up: see [`StartError`].
    pub fn start(self) -> Result<Shutdown, StartError> {
        let host = self.runtime.host();
        let grace = self.checked_grace(&host)?;
        self.process.check(self.owns_process)?;
        if self.take_over.len() > 1 {
            return Err(StartError::TwoTakeOver(self.take_over.len()));
        }
        // Clocks that are years apart: a runtime in virtual time that is wrapped by one which hides its machine.
        let (theirs, ours) = (self.runtime.now(), host.now());
        if theirs.max(ours) - theirs.min(ours) > LONGEST {
            return Err(StartError::Runtime(io::Error::other(
                "the runtime keeps the time of another machine: who wraps a simulated one passes `host` on",
            )));
        }
        let place = || Place::new(&host, &self.runtime).map_err(StartError::Runtime);
        // Even where nobody needs one: a runtime that is not there is found out now.
        drop(place()?);
        let component = |((name, order), drainable)| Ok(Component::new(name, order, drainable, place()?));
        let components = self.components.into_iter().map(component).collect::<Result<_, StartError>>()?;
        let roster = Roster::new(components, self.phases, self.reserves.clone())?;
        let hook = |(name, run)| Ok(Hook { name, run, place: place()? });
        let hooks: Vec<_> = self.hooks.into_iter().map(hook).collect::<Result<_, StartError>>()?;
        let wanted = self.process.wanted();
        let Process { escalation, observed, exit_code, keeps } = self.process;
        let observing = if observed.is_empty() { None } else { Some(place()?) };
        let ownership = match self.owns_process {
            true => Some(Ownership::claim(&host).ok_or(StartError::AlreadyStarted)?),
            false => None,
        };

        let errands = Errands::start(&host).map_err(StartError::Thread)?;
        let desks = open_desks(&host, &self.runtime, &errands, self.take_over, self.told)?;
        let (mailbox, events) = mpsc::channel();
        let go = start_thread(&host, self.owns_process)?;
        let hub = Hub::new(host, roster, desks.iter().any(|desk| desk.takes_over));
        let _ = hub.stages.mailbox.set(mailbox.clone());
        // Before the signals are ours: whoever blocks or panics in it must not leave the process deaf.
        hub.roster.tell_joined(&Watch::new(hub.stages.clone()));
        if let Some(ownership) = &ownership {
            ownership.listen(Signals::new(mailbox.clone(), wanted)).map_err(StartError::Signals)?;
        }
        let conductor = Conductor::new(Setup {
            machine: Machine::new(grace.planned(), self.reserves, hooks.len() + desks.len())
                .with_escalation(escalation.unwrap_or_default()),
            hub: hub.clone(),
            errands,
            events: Inbox::new(events),
            mailbox: mailbox.clone(),
            desks,
            hooks,
            observers: Observers::new(observed, observing),
            grace,
            exit_code,
            ownership,
            keeps_process: keeps,
        });
        go.send(conductor)
            .map_err(|_| StartError::Thread(io::Error::other("the conductor's thread is gone")))?;
        Ok(Shutdown { handle: Handle { hub, mailbox, runtime: self.runtime } })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.components.iter().map(|((name, _), _)| name).collect();
        f.debug_struct("Builder")
            .field("grace", &self.grace)
            .field("components", &names)
            .finish_non_exhaustive()
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Late => format!("it did not end within {} s", PREPARE.as_secs()),
        other => other.to_string(),
    }
}

/// Starts the conductor's thread, which waits for its conductor: whatever fails before it is sent ends the thread.
fn start_thread(host: &DynHost, owns_process: bool) -> Result<Sender<Conductor>, StartError> {
    let (go, conductor) = mpsc::channel::<Conductor>();
    let theirs = host.clone();
    let run = move || {
        let Some(mut conductor) = Inbox::new(conductor).next(&*theirs, None) else { return };
        let broken = catch_unwind(AssertUnwindSafe(|| conductor.run())).is_err();
        if broken && owns_process {
            // A defect of this crate. Better gone than deaf to the platform.
            theirs.exit(101);
        }
        conductor.dispose(broken);
    };
    host.spawn("sundown".into(), Box::new(run)).map_err(StartError::Thread)?;
    Ok(go)
}

/// Gives each notifier its place, and has it prepare there.
fn open_desks(
    host: &DynHost,
    runtime: &Arc<dyn Runtime>,
    errands: &Errands,
    take_over: Vec<DynNotifier>,
    told: Vec<DynNotifier>,
) -> Result<Vec<Desk>, StartError> {
    let take_over = take_over.into_iter().map(|notifier| ("take-over".to_owned(), true, notifier));
    let told = told.into_iter().enumerate().map(|(n, told)| (format!("told-{}", n + 1), false, told));
    let (tell, answers) = mpsc::channel();
    let mut answers = Inbox::new(answers);
    let give_up = Shared::default();
    let mut desks: Vec<Desk> = Vec::new();
    for (at, (name, takes_over, notifier)) in take_over.chain(told).enumerate() {
        let place = Place::new(host, runtime).map_err(StartError::Runtime)?;
        let (tell, preparing, theirs) = (tell.clone(), notifier.clone(), place.clone());
        let cancel = give_up.clone();
        errands.run(&name, move |_| {
            let prepare = async move { preparing.prepare().await.map_err(|error| error.describe()) };
            theirs.drive(Box::pin(prepare), cancel, |outcome| drop(tell.send((at, outcome))));
        });
        desks.push(Desk { name, takes_over, notifier, place });
    }
    let until = host.now() + PREPARE;
    let mut late: Vec<_> = (0..desks.len()).collect();
    while let Some(first) = late.first() {
        let (at, outcome) = answers.next(&**host, Some(until)).unwrap_or((*first, Outcome::Late));
        if outcome.is_failure() {
            give_up.open();
            return Err(StartError::Notifier { name: desks[at].name.clone(), outcome });
        }
        late.retain(|waiting| *waiting != at);
    }
    Ok(desks)
}

/// Why a shutdown could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The grace cannot be used.
    #[error(transparent)]
    Grace(#[from] GraceError),
    /// The reserves or the order cannot work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The table of signals cannot work.
    #[error(transparent)]
    Escalation(#[from] EscalationError),
    /// A shutdown that is embedded was to own what belongs to the process.
    #[error(
        "an embedded shutdown owns no signals and no exit: `escalation`, `on_signal` and `keep_process` are for that of a process"
    )]
    NotTheProcess,
    /// Something was said of the component added last, by this method, before any was added.
    #[error("`{0}` speaks of the component added last, but none was added before it")]
    OfNothing(&'static str),
    /// More than one notifier is to take over.
    #[error("{0} notifiers were named to take over, only one can (others can be told, or chained)")]
    TwoTakeOver(usize),
    /// The runtime cannot give a private place.
    #[error("the runtime gives no private place: {0}")]
    Runtime(io::Error),
    /// There is a process-wide shutdown already.
    #[error(
        "this process has had a process-wide shutdown already: only one is possible, which owns signals and exit"
    )]
    AlreadyStarted,
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Thread(io::Error),
    /// The signals could not be registered.
    #[error("the signals could not be registered: {0}")]
    Signals(io::Error),
    /// A notifier could not prepare.
    #[error("notifier {name} could not prepare: {}", shown(outcome))]
    Notifier {
        /// Which one.
        name: String,
        /// What happened.
        outcome: Outcome,
    },
}
