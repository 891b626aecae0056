//! Plays a scenario: the shutdown's own code, on a simulated machine.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sundown::{Builder, Fate, Gate, Handle, JobId, Jobs, Report, Shutdown, Signal};
use sundown_testkit::{
    Event, Faulty, Method, Recorder, TakesOver,
    simulation::{Ending, Simulation, World},
};

use crate::{
    promises::{SAW_CLAIMED, SAW_DRAINING, never},
    scenario::{Kind, Main, Mishap, Order, Part, Scenario},
    store::{Store, Tickets},
    witness::{Seen, Shop, Witness, Worker},
};

/// How often somebody looks at the deadline, in the grace.
const LOOKS: u32 = 30;

/// What was seen of a run.
pub(crate) struct Played {
    pub(crate) ending: Ending<()>,
    /// What the shutdown said in the end; nothing if the process was gone before anybody could read it.
    pub(crate) said: Option<Said>,
    pub(crate) events: Vec<Event>,
    /// What became of the jobs that stores were told of, as it is after the end.
    pub(crate) tickets: Vec<(JobId, Fate)>,
    /// The jobs that the notifier has acknowledged, and was told that it counts.
    pub(crate) acknowledged: Vec<JobId>,
    /// When the owner was dropped, or the first order was given.
    pub(crate) begun: Duration,
}

pub(crate) struct Said {
    pub(crate) report: Report,
    pub(crate) at: Duration,
    /// The deadline as it was then.
    pub(crate) deadline: Duration,
    pub(crate) jobs: std::collections::BTreeMap<String, (Seen, Duration)>,
}

impl Played {
    /// All of it that must be the same when it is played again.
    pub(crate) fn record(&self) -> String {
        let report = self.said.as_ref().map(|said| serde_json::to_string(&said.report));
        let report = report.transpose().expect("a report can be serialised");
        format!("{:?} {:?} {report:?}", self.ending, self.events)
    }
}

pub(crate) fn play(scenario: &Scenario, simulation: &Simulation) -> Played {
    let said = Arc::new(Mutex::new(None));
    let taker = TakesOver::first(scenario.taker.as_ref().map_or(0, |taker| taker.first));
    let tickets = Tickets::default();
    let mut recorder = None;
    let mut begun = Duration::MAX;
    let ending = simulation.run(|world| {
        let events = recorder.insert(world.recorder()).clone();
        let (taker, said, tickets) = (taker.clone(), said.clone(), tickets.clone());
        let stage = Stage { scenario, world, events, taker, said, tickets };
        stage.run(&mut begun);
    });
    let events = recorder.expect("main has run").events();
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).take();
    let tickets = tickets.lock().unwrap_or_else(PoisonError::into_inner);
    let tickets = tickets.iter().map(|ticket| (ticket.id().clone(), ticket.fate())).collect();
    Played { ending, said, events, tickets, acknowledged: taker.taken(), begun }
}

struct Stage<'a> {
    scenario: &'a Scenario,
    world: &'a World,
    events: Recorder,
    taker: TakesOver,
    said: Arc<Mutex<Option<Said>>>,
    tickets: Tickets,
}

impl Stage<'_> {
    fn run(&self, begun: &mut Duration) {
        let shops: Vec<_> = self.scenario.parts.iter().map(|part| open(part.kind)).collect();
        let shutdown = self.start(&shops);
        let witness = Witness::default();
        self.work(&shops, &shutdown, &witness);
        self.watch_deadline(shutdown.handle());
        self.listen(shutdown.handle(), witness);
        self.trouble();
        *begun = self.scenario.orders[0].0;
        self.order(shutdown.handle());
        match self.scenario.main {
            Main::Waits => drop(shutdown.finished_blocking()),
            Main::Hangs => self.world.advance(Duration::from_secs(7 * 24 * 3600)),
            Main::Drops => {
                self.world.advance(self.scenario.dropped().saturating_sub(self.world.elapsed()));
                drop(shutdown);
            }
        }
        // Whoever waits for the report gets it.
        self.world.advance(Duration::from_millis(1));
    }

    fn start(&self, shops: &[Shop]) -> Shutdown {
        let runtime = self.world.runtime();
        let mut builder = match self.scenario.owns_process {
            true => Shutdown::process(runtime.clone()),
            false => Shutdown::embedded(runtime.clone()),
        };
        builder = builder.grace(self.scenario.grace);
        for (reserve, length) in &self.scenario.reserves {
            builder = builder.reserve(*reserve, *length);
        }
        for (at, (part, shop)) in self.scenario.parts.iter().zip(shops).enumerate() {
            builder = self.add(builder, at, part, shop);
        }
        if let Some(taker) = &self.scenario.taker {
            builder = builder.hand_over_to(self.faulty(self.taker.clone(), "taker", &taker.mishaps));
        }
        for (at, mishaps) in self.scenario.told.iter().enumerate() {
            builder = builder.tell(self.faulty(TakesOver::all(), &format!("told-{}", at + 1), mishaps));
        }
        for (at, fault) in self.scenario.hooks.iter().cloned().enumerate() {
            let (runtime, events, name) = (runtime.clone(), self.events.clone(), format!("hook-{at}"));
            builder = builder.at_release(name.clone(), async move {
                events.note(name);
                if let Some(fault) = fault {
                    let _ = fault.come_true(&runtime).await;
                }
            });
        }
        builder.start().expect("what is drawn can start")
    }

    fn add(&self, builder: Builder, at: usize, part: &Part, shop: &Shop) -> Builder {
        let name = format!("part-{at}");
        let after = part.after.iter().map(|other| format!("part-{other}"));
        let builder = match shop {
            Shop::Gate(gate) => builder.component(&name, self.faulty(gate.clone(), &name, &part.mishaps)),
            Shop::Jobs(jobs) if part.kind == Kind::Jobs => {
                builder.component(&name, self.faulty(jobs.clone(), &name, &part.mishaps))
            }
            Shop::Jobs(jobs) => {
                let honest = !part.is_wrong_in(Method::Close) && !part.is_wrong_in(Method::Drained);
                let store = Store::new(&name, jobs.clone(), &self.events, &self.tickets, honest);
                builder.component(&name, self.faulty(store, &name, &part.mishaps))
            }
        }
        .after(after);
        part.within.into_iter().fold(builder, |builder, (time, overdue)| builder.within(time, overdue))
    }

    fn faulty<T>(&self, inner: T, name: &str, mishaps: &[Mishap]) -> Faulty<T> {
        let faulty = Faulty::new(self.world.runtime(), inner).recorded(name, &self.events);
        mishaps.iter().fold(faulty, |faulty, Mishap { method, fault, before }| match before {
            true => faulty.before(*method, fault.clone()),
            false => faulty.after(*method, fault.clone()),
        })
    }

    fn work(&self, shops: &[Shop], shutdown: &Shutdown, witness: &Witness) {
        for (number, work) in self.scenario.work.iter().enumerate() {
            let worker = Worker {
                world: self.world.clone(),
                work: work.clone(),
                id: format!("part-{}/{number}", work.part),
                shop: shops[work.part].clone(),
                watch: shutdown.watch(),
                witness: witness.clone(),
            };
            if work.thread {
                let world = self.world.clone();
                self.world.spawn("worker", move || world.block_on(worker.run()));
            } else {
                self.world.spawn_task(worker.run());
            }
        }
    }

    /// Notes what was said, and what the workers had seen by then.
    fn listen(&self, handle: Handle, witness: Witness) {
        let (world, said) = (self.world.clone(), self.said.clone());
        self.world.spawn("listener", move || {
            let report = handle.finished_blocking();
            let at = world.elapsed();
            let ends = handle.deadline().expect("it is set before the announcement").at();
            let deadline = (at + ends.saturating_duration_since(world.now()))
                .saturating_sub(world.now().saturating_duration_since(ends));
            let heard = Said { report, at, deadline, jobs: witness.jobs() };
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
        });
    }

    /// Promise 2: the deadline only comes nearer.
    fn watch_deadline(&self, handle: Handle) {
        let (world, events, claimed) = (self.world.clone(), self.events.clone(), handle.watch().claimed());
        self.world.spawn("waits for the claim", move || {
            world.block_on(claimed);
            events.note(SAW_CLAIMED);
        });
        let (world, events) = (self.world.clone(), self.events.clone());
        let between = self.scenario.grace / LOOKS;
        self.world.spawn("watcher", move || {
            let mut nearest: Option<Instant> = None;
            let deadline = world.block_on(handle.watch().draining());
            events.note(SAW_DRAINING);
            while !deadline.has_passed() {
                let at = handle.deadline().expect("it is set before the announcement").at();
                if nearest.is_some_and(|nearest| at > nearest) {
                    events.note(never::LATER_DEADLINE);
                }
                nearest = Some(at);
                world.advance(between);
            }
        });
    }

    fn trouble(&self) {
        self.world.delay_threads(self.scenario.late);
        if let Some(at) = self.scenario.blocked {
            let world = self.world.clone();
            self.world.spawn("trouble", move || {
                world.advance(at);
                world.block_runtime(true);
            });
        }
        if let Some((at, more)) = self.scenario.threads {
            let world = self.world.clone();
            self.world.spawn("trouble", move || {
                world.advance(at);
                world.limit_threads(more);
            });
        }
    }

    fn order(&self, handle: Handle) {
        let (world, orders, grace) = (self.world.clone(), self.scenario.orders.clone(), self.scenario.grace);
        self.world.spawn("orders", move || {
            for (at, order) in orders {
                world.advance(at.saturating_sub(world.elapsed()));
                match order {
                    Order::Signal(Signal::Term) => world.terminate(grace),
                    Order::Signal(signal) => world.signal(signal),
                    Order::Begin => handle.begin("a deploy"),
                    Order::Within(time) => handle.begin_within("a deploy", time),
                    Order::Hurry => handle.hurry(),
                }
            }
        });
    }
}

fn open(kind: Kind) -> Shop {
    match kind {
        Kind::Gate => Shop::Gate(Gate::new()),
        Kind::Jobs | Kind::Store => Shop::Jobs(Jobs::new()),
    }
}
