//! What users hold: the builder, the owner of a shutdown, and its handles.

use std::{
    fmt,
    future::Future,
    io,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    BoxFuture, Deadline, Drainable, Grace, GraceError, Notifier, PlanError, Readiness, Reason, Report,
    Reserve, Runtime, Watch,
    conductor::{Conductor, Desk, Event, Setup, describe},
    errand::{Errands, Place},
    latch::{Shared, Waiting},
    machine::Machine,
    notifier::DynNotifier,
    plan::{Ordered, Plan, Reserves},
    report::Outcome,
    signals::Ownership,
    watch::Stages,
};

/// How long `start` waits for the notifiers to prepare.
const PREPARE: Duration = Duration::from_secs(5);

/// What the conductor and the handles share.
#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) stages: Arc<Stages>,
    pub(crate) roster: Roster,
    /// Cancels our own errands that are of use only before the claim; woken before the users' watches.
    pub(crate) claimed: Shared,
    pub(crate) finished: Shared,
    /// Set before `finished`.
    pub(crate) report: OnceLock<Report>,
}

pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) after: Vec<String>,
    pub(crate) drainable: Arc<dyn Drainable>,
    pub(crate) place: Arc<Place>,
}

pub(crate) struct Hook {
    pub(crate) name: String,
    pub(crate) run: BoxFuture<'static, ()>,
    pub(crate) place: Arc<Place>,
}

/// The components that have joined so far. The lock guards the list; no component's code runs under it.
#[derive(Default)]
pub(crate) struct Roster(Mutex<(Vec<Component>, bool)>);

impl Roster {
    fn new(components: Vec<Component>) -> Result<Self, PlanError> {
        plan(&components)?;
        Ok(Roster(Mutex::new((components, false))))
    }

    fn join(&self, component: Component) -> Result<(), AddComponentError> {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (components, frozen) = &mut *roster;
        if *frozen {
            // The component's destructor is foreign code.
            drop(roster);
            return Err(AddComponentError::Draining(component.name.clone()));
        }
        components.push(component);
        let Err(error) = plan(components) else { return Ok(()) };
        let refused = components.pop();
        drop(roster);
        drop(refused);
        Err(error.into())
    }

    /// Tells the first components; nobody else has the roster yet.
    fn tell_joined(&self, watch: &Watch) {
        let components: Vec<_> = {
            let roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            roster.0.iter().map(|component| component.drainable.clone()).collect()
        };
        for component in components {
            component.joined(watch);
        }
    }

    /// Ends joining.
    pub(crate) fn freeze(&self) -> (Vec<Component>, Plan) {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roster.1 = true;
        let components = std::mem::take(&mut roster.0);
        let plan = plan(&components).expect("every component was checked when it joined");
        (components, plan)
    }
}

fn plan(components: &[Component]) -> Result<Plan, PlanError> {
    Plan::new(&components.iter().map(Component::order).collect::<Vec<_>>())
}

impl Component {
    fn order(&self) -> Ordered {
        (self.name.clone(), self.after.clone())
    }
}

/// Sets up a shutdown: see [`Shutdown::process`].
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    runtime: Arc<dyn Runtime>,
    owns_process: bool,
    grace: Option<Grace>,
    reserves: Reserves,
    components: Vec<(Ordered, Arc<dyn Drainable>)>,
    after_nothing: bool,
    take_over: Vec<DynNotifier>,
    told: Vec<DynNotifier>,
    hooks: Vec<(String, BoxFuture<'static, ()>)>,
}

impl Builder {
    fn new(runtime: impl Runtime, owns_process: bool) -> Self {
        Builder {
            runtime: Arc::new(runtime),
            owns_process,
            grace: None,
            reserves: Reserves::default(),
            components: Vec::new(),
            after_nothing: false,
            take_over: Vec::new(),
            told: Vec::new(),
            hooks: Vec::new(),
        }
    }

    /// Adds a part of the service that drains. Names are unique; they are what the report speaks of.
    pub fn component(mut self, name: impl Into<String>, component: impl Drainable) -> Self {
        self.components.push(((name.into(), Vec::new()), Arc::new(component)));
        self
    }

    /// The component added last drains after these: it is closed when they have ended, or their time is over.
    pub fn after<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        match self.components.last_mut() {
            Some(((_, after), _)) => after.extend(names.into_iter().map(Into::into)),
            None => self.after_nothing = true,
        }
        self
    }

    /// Who takes over the jobs that cannot finish. There is one.
    pub fn hand_over_to(mut self, notifier: impl Notifier) -> Self {
        self.take_over.push(Arc::new(notifier));
        self
    }

    /// Who is told besides. What it acknowledges counts for nothing.
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

    /// Starts the shutdown's threads and prepares the notifiers; nothing is shut down yet.
    ///
    /// Blocks the calling thread while the notifiers prepare, five seconds at most.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the set-up: see [`StartError`].
    pub fn start(self) -> Result<Shutdown, StartError> {
        let grace = match self.grace {
            Some(grace) => grace,
            None => Grace::detect()?,
        };
        grace.check()?;
        self.reserves.check(&grace)?;
        if self.after_nothing {
            return Err(StartError::AfterNothing);
        }
        if self.take_over.len() > 1 {
            return Err(StartError::TwoTakeOver(self.take_over.len()));
        }
        let place = || Place::new(&self.runtime).map_err(StartError::Runtime);
        // Even where nobody needs one: a runtime that is not there is found out now.
        drop(place()?);
        let component =
            |((name, after), drainable)| Ok(Component { name, after, drainable, place: place()? });
        let roster =
            Roster::new(self.components.into_iter().map(component).collect::<Result<_, StartError>>()?)?;
        let hook = |(name, run)| Ok(Hook { name, run, place: place()? });
        let hooks: Vec<_> = self.hooks.into_iter().map(hook).collect::<Result<_, StartError>>()?;
        let ownership = match self.owns_process {
            true => Some(Ownership::claim().ok_or(StartError::AlreadyStarted)?),
            false => None,
        };

        let errands = Errands::start().map_err(StartError::Thread)?;
        let desks = open_desks(&self.runtime, &errands, self.take_over, self.told)?;
        let (mailbox, events) = mpsc::channel();
        let go = start_thread(self.owns_process)?;
        if let Some(ownership) = ownership {
            ownership.listen(mailbox.clone()).map_err(StartError::Signals)?;
        }
        let hub = Arc::new(Hub { roster, ..Hub::default() });
        hub.roster.tell_joined(&Watch::new(hub.stages.clone()));
        let conductor = Conductor::new(Setup {
            machine: Machine::new(grace.length(), self.reserves, hooks.len() + desks.len()),
            hub: hub.clone(),
            errands,
            events,
            mailbox: mailbox.clone(),
            desks,
            hooks,
            grace,
            owns_process: self.owns_process,
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

/// Starts the conductor's thread, which waits for its conductor: whatever fails before it is sent ends the thread.
fn start_thread(owns_process: bool) -> Result<Sender<Conductor>, StartError> {
    let (go, conductor) = mpsc::channel::<Conductor>();
    let run = move || {
        let Ok(mut conductor) = conductor.recv() else { return };
        let broken = catch_unwind(AssertUnwindSafe(|| conductor.run())).is_err();
        if broken && owns_process {
            // A defect of this crate. Better gone than deaf to the platform.
            signal_hook::low_level::exit(101);
        }
        conductor.dispose(broken);
    };
    thread::Builder::new().name("sundown".into()).spawn(run).map_err(StartError::Thread)?;
    Ok(go)
}

/// Gives each notifier its place, and has it prepare there.
fn open_desks(
    runtime: &Arc<dyn Runtime>,
    errands: &Errands,
    take_over: Vec<DynNotifier>,
    told: Vec<DynNotifier>,
) -> Result<Vec<Desk>, StartError> {
    let take_over = take_over.into_iter().map(|notifier| ("take-over".to_owned(), true, notifier));
    let told = told.into_iter().enumerate().map(|(n, told)| (format!("told-{}", n + 1), false, told));
    let (tell, answers) = mpsc::channel();
    let give_up = Shared::default();
    let mut desks: Vec<Desk> = Vec::new();
    for (at, (name, takes_over, notifier)) in take_over.chain(told).enumerate() {
        let place = Place::new(runtime).map_err(StartError::Runtime)?;
        let (tell, preparing, theirs) = (tell.clone(), notifier.clone(), place.clone());
        let cancel = give_up.clone();
        errands.run(&name, move || {
            let prepare = async move { preparing.prepare().await.map_err(describe) };
            theirs.drive(Box::pin(prepare), cancel, |outcome| drop(tell.send((at, outcome))));
        });
        desks.push(Desk { name, takes_over, notifier, place });
    }
    let until = Instant::now() + PREPARE;
    let mut late: Vec<_> = (0..desks.len()).collect();
    while let Some(first) = late.first() {
        let answer = answers.recv_timeout(until.saturating_duration_since(Instant::now()));
        let (at, outcome) = answer.unwrap_or((*first, Outcome::Late));
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
    /// `after` was called before any component was added.
    #[error("`after` names an order, but no component was added before it")]
    AfterNothing,
    /// More than one notifier is to take over.
    #[error("{0} notifiers were named to take over, there can be one (others can be told, or chained)")]
    TwoTakeOver(usize),
    /// The runtime cannot give a private place.
    #[error("the runtime gives no private place: {0}")]
    Runtime(#[source] io::Error),
    /// There is a process-wide shutdown already.
    #[error(
        "this process has a process-wide shutdown already: there can be one, which owns signals and exit"
    )]
    AlreadyStarted,
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] io::Error),
    /// The signals could not be registered.
    #[error("SIGTERM, SIGINT and SIGQUIT could not be registered: {0}")]
    Signals(#[source] io::Error),
    /// A notifier could not prepare.
    #[error("notifier {name} could not prepare: {outcome}")]
    Notifier {
        /// Which one.
        name: String,
        /// What happened.
        outcome: Outcome,
    },
}

/// Why a component could not join a running service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddComponentError {
    /// The shutdown has begun.
    #[error("component {0:?} comes too late: the service is draining")]
    Draining(String),
    /// Its name or its order cannot work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The runtime gives it no private place.
    #[error("the runtime gives no private place: {0}")]
    Runtime(#[source] io::Error),
}

/// The owner of a shutdown.
///
/// Not `Clone`; its [`Handle`]s are, and it is one itself. Dropping it begins, hurries, and waits until the shutdown
/// has finished, so that a `main` that returns early cannot cut answers short.
#[derive(Debug)]
pub struct Shutdown {
    handle: Handle,
}

impl Shutdown {
    /// The shutdown of this process: it owns SIGTERM, SIGINT and SIGQUIT, and the exit. There can be one.
    ///
    /// The first of these signals begins; another SIGTERM changes nothing; SIGINT or SIGQUIT after a beginning
    /// hurries, and the next one exits at once with 128 + its number. Once finished, a `main` that has not returned
    /// within the release reserve is ended with the report's exit code, without destructors or exit hooks.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn run(runtime: impl sundown::Runtime) -> Result<(), sundown::StartError> {
    /// let gate = sundown::Gate::new();
    /// let shutdown = sundown::Shutdown::process(runtime).component("requests", gate.clone()).start()?;
    /// // … serve, entering the gate for each request …
    /// let report = shutdown.finished_blocking();
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    pub fn process(runtime: impl Runtime) -> Builder {
        Builder::new(runtime, true)
    }

    /// A shutdown that owns neither signals nor the exit: for plug-ins and tests.
    pub fn embedded(runtime: impl Runtime) -> Builder {
        Builder::new(runtime, false)
    }

    /// Another handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Shutdown {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        if !self.hub.finished.is_set() {
            self.begin(Reason::Dropped);
            self.hurry();
            self.finished_blocking();
        }
    }
}

/// A handle to a shutdown: to begin it, to follow it, to wait for its end.
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    mailbox: Sender<Event>,
    runtime: Arc<dyn Runtime>,
}

impl Handle {
    /// Begins the shutdown, with the usual grace. If it has begun already, a deadline that would come later than that is
    /// tightened, and nothing else changes.
    pub fn begin(&self, reason: impl Into<Reason>) {
        self.send_begin(reason.into(), None);
    }

    /// Begins the shutdown so that it ends within this time, counted from now; a year at most. A shutdown under way is
    /// only ever tightened. With no time at all every step is still begun, and none is waited for.
    pub fn begin_within(&self, reason: impl Into<Reason>, grace: Duration) {
        self.send_begin(reason.into(), Some(grace));
    }

    fn send_begin(&self, reason: Reason, grace: Option<Duration>) {
        // An error means that the conductor has ended: so has the shutdown.
        let _ = self.mailbox.send(Event::Begin { now: Instant::now(), reason, grace });
    }

    /// Waits for the drain no longer: on to the claim. Without effect before the beginning.
    pub fn hurry(&self) {
        let _ = self.mailbox.send(Event::Hurry(Instant::now()));
    }

    /// A watch, for tasks that must know.
    pub fn watch(&self) -> Watch {
        Watch::new(self.hub.stages.clone())
    }

    /// What a readiness probe asks.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(self.hub.stages.clone())
    }

    /// When the process is gone; `None` before the beginning.
    pub fn deadline(&self) -> Option<Deadline> {
        self.hub.stages.ends.get().cloned()
    }

    /// The runtime that the shutdown was set up with.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Adds a component to a running service, to drain after those named.
    ///
    /// # Errors
    ///
    /// When the shutdown has begun, the name is taken, the order cannot work, or the system has no resources for it.
    pub fn component(
        &self,
        name: impl Into<String>,
        component: impl Drainable,
        after: &[&str],
    ) -> Result<(), AddComponentError> {
        let place = Place::new(&self.runtime).map_err(AddComponentError::Runtime)?;
        let (name, after) = (name.into(), after.iter().map(|name| (*name).to_owned()).collect());
        let drainable: Arc<dyn Drainable> = Arc::new(component);
        self.hub.roster.join(Component { name, after, drainable: drainable.clone(), place })?;
        drainable.joined(&self.watch());
        Ok(())
    }

    /// Resolves when the shutdown has finished, with what it did.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn finished(&self) -> impl Future<Output = Report> + Send + 'static {
        let hub = self.hub.clone();
        async move {
            Waiting::new(hub.finished.clone()).await;
            hub.report.get().expect("the report is set before the flag").clone()
        }
    }

    /// The same, blocking the calling thread.
    pub fn finished_blocking(&self) -> Report {
        self.hub.finished.wait_until(None);
        self.hub.report.get().expect("the report is set before the flag").clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("draining", &self.hub.stages.draining.is_set()).finish_non_exhaustive()
    }
}
