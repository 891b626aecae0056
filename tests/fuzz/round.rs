//! One shutdown: drawn from a seed, played, judged.

use std::{
    collections::{BTreeMap, HashSet},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future};
use sundown::{HandOver, Handle, Notifier, NotifyError, Runtime, Shutdown};
use sundown_http::Server;

use crate::{
    client::Got,
    host::Host,
    plan::Plan,
    service::{Bare, World, router},
    verdict::{Facts, Met, judge},
};

/// For the machine, which has other rounds to play: between the end of the grace and our noticing it.
const ROOM: Duration = Duration::from_millis(1500);

/// How long what was started may go on: longer than a handler blocks and a client waits.
const BOUND: Duration = Duration::from_secs(30);

/// How the notifier takes jobs over.
#[derive(Clone, Copy, Debug)]
enum Taking {
    All,
    Some,
    Nothing,
    Never,
}

struct Taker(Taking, Arc<Mutex<HashSet<String>>>);

#[sundown::async_trait]
impl Notifier for Taker {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let keep = match self.0 {
            Taking::All => 1,
            Taking::Some => 2,
            Taking::Nothing => return Err(NotifyError::new("nothing is taken over")),
            Taking::Never => return future::pending().await,
        };
        for job in hand_over.jobs().iter().step_by(keep) {
            let mut taken = self.1.lock().unwrap_or_else(PoisonError::into_inner);
            if hand_over.acknowledge(job.key()) {
                taken.insert(job.id().to_string());
            }
        }
        Ok(())
    }
}

/// What is done in one.
pub(crate) struct Round {
    host: Host,
    is_router: bool,
    are_jobs: bool,
    taking: Taking,
    grace: Duration,
    quiet: Duration,
    begins: Duration,
    hurries: Option<Duration>,
    /// The runtime is dropped so long after the beginning.
    leaves: Option<Duration>,
    clients: Vec<Plan>,
}

pub(crate) struct Played {
    name: &'static str,
    pub(crate) wrong: Vec<String>,
    pub(crate) met: Met,
}

impl Round {
    pub(crate) fn draw(seed: u64) -> Self {
        let dice = &mut fastrand::Rng::with_seed(seed);
        let host = Host::draw(dice);
        let grace = Duration::from_millis(dice.u64(400..1500));
        let begins = Duration::from_millis(dice.u64(..200));
        let leaves = matches!(host, Host::Tokio(_)) && dice.u8(..8) == 0;
        let block = u64::try_from(grace.as_millis()).unwrap_or(0) + 300;
        let count = dice.usize(1..10);
        let mut clients: Vec<_> = (0..count).map(|n| Plan::draw(dice, n, begins, grace, block)).collect();
        if dice.u8(..3) > 0 {
            // Without somebody to wait for, a shutdown is over before most moments come.
            clients.push(Plan::waiting(dice));
        }
        Round {
            host,
            is_router: dice.bool(),
            are_jobs: dice.u8(..3) > 0,
            taking: [Taking::All, Taking::All, Taking::Some, Taking::Nothing, Taking::Never][dice.usize(..5)],
            grace,
            quiet: Duration::from_millis(dice.u64(..150)),
            begins,
            hurries: (dice.u8(..4) == 0).then(|| Duration::from_millis(dice.u64(..300))),
            leaves: leaves.then(|| Duration::from_millis(dice.u64(..500))),
            clients,
        }
    }

    pub(crate) fn play(self) -> Played {
        let Round { host, clients, .. } = &self;
        let mut played = Played { name: host.name(), wrong: Vec::new(), met: vec![(host.name(), 1)] };
        let blocks = clients.iter().any(|plan| plan.script.bytes.windows(6).any(|it| it == b"/block"));
        played.met.push(("blocked", u64::from(blocks)));

        let taken = Arc::<Mutex<HashSet<String>>>::default();
        let (server, shutdown) = self.start(Taker(self.taking, taken.clone()));
        let address = server.local_addr().expect("it is bound");
        let alive = Arc::<AtomicUsize>::default();
        let world = World { runtime: shutdown.runtime().clone(), alive: alive.clone() };
        let main = main(server, shutdown.handle(), world, self.is_router, self.leaves);
        let (ended, ends) = mpsc::channel();
        let runs = self.host.run(async move { drop(ended.send(main.await)) });
        let began = Instant::now();
        let clients: Vec<_> =
            self.clients.into_iter().map(|plan| send(plan, address, began, shutdown.handle())).collect();

        thread::sleep((began + self.begins).saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        shutdown.begin("the fuzzer");
        if let Some(after) = self.hurries {
            thread::sleep(after);
            shutdown.hurry();
        }
        let finishes = aside({
            let handle = shutdown.handle();
            move || drop(handle.finished_blocking())
        });
        let finished = finishes.recv_timeout(self.grace + BOUND).is_ok();
        let took = begun.elapsed();
        if !finished || took > self.grace + ROOM {
            played.wrong(format!("finished after {took:?}, with a grace of {:?}", self.grace));
        }
        match ends.recv_timeout(BOUND) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => played.wrong(format!("serving failed: {error}")),
            Err(_) => played.wrong("serving does not end".to_owned()),
        }
        let handed_over = taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        played.judge(clients, &Facts { begun, handed_over });
        played.wait_for_the_end(&alive, &runs);
        played
    }

    fn start(&self, taker: Taker) -> (Server, Shutdown) {
        let server =
            TcpListener::bind("127.0.0.1:0").and_then(Server::new).expect("the system has resources");
        let server = server.lame_duck(self.quiet, Duration::from_secs(5));
        let server = if self.are_jobs { server.requests_are_jobs("x-job-id") } else { server };
        let builder = self.host.shutdown().component("http", server.clone()).grace(self.grace);
        (server, builder.hand_over_to(taker).start().expect("nothing is missing"))
    }
}

/// Does it on a thread of its own.
fn aside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, does) = mpsc::channel();
    // Nobody may wait for it any more.
    thread::spawn(move || drop(done.send(what())));
    does
}

type Client = (Plan, Receiver<Option<Got>>);

fn send(plan: Plan, address: SocketAddr, began: Instant, shutdown: Handle) -> Client {
    let theirs = plan.clone();
    let finished = shutdown.clone();
    let gets =
        aside(move || theirs.play(address, began, &shutdown.watch(), || drop(finished.finished_blocking())));
    (plan, gets)
}

impl Played {
    fn wrong(&mut self, what: String) {
        self.wrong.push(format!("{}: {what}", self.name));
    }

    fn judge(&mut self, clients: Vec<Client>, facts: &Facts) {
        for (plan, gets) in clients {
            match gets.recv_timeout(BOUND) {
                Err(_) => self.wrong("a client does not end".to_owned()),
                Ok(None) => self.met.push(("refused", 1)),
                Ok(Some(got)) => match judge(&plan, &got, facts) {
                    Ok(met) => self.met.extend(met),
                    Err(what) => self.wrong(described(&what, &plan, &got)),
                },
            }
        }
    }

    /// Nothing tells when the last handler has ended: with a runtime that is dropped, that is on another thread.
    fn wait_for_the_end(&mut self, alive: &AtomicUsize, runs: &JoinHandle<()>) {
        let until = Instant::now() + BOUND;
        while Instant::now() < until && (alive.load(Ordering::SeqCst) > 0 || !runs.is_finished()) {
            thread::sleep(Duration::from_millis(5));
        }
        match alive.load(Ordering::SeqCst) {
            0 if runs.is_finished() => {}
            0 => self.wrong("the runtime does not end".to_owned()),
            left => self.wrong(format!("{left} handlers are left")),
        }
    }
}

fn described(what: &str, plan: &Plan, got: &Got) -> String {
    let sent = &plan.script.bytes[..plan.script.bytes.len().min(1500)];
    let bytes = &got.bytes[..got.bytes.len().min(2000)];
    format!(
        "{what}\n  sent {:?}\n  connecting {:?}, pieces {:?}, then {:?}\n  got {} bytes, {:?}: {:?}",
        String::from_utf8_lossy(sent),
        plan.connects,
        plan.pieces,
        plan.last,
        got.bytes.len(),
        got.end,
        String::from_utf8_lossy(bytes)
    )
}

/// Serves, and stays until the shutdown has finished and its handlers have ended; or leaves early.
async fn main(
    server: Server,
    shutdown: Handle,
    world: World,
    is_router: bool,
    leaves: Option<Duration>,
) -> std::io::Result<()> {
    let runtime: Arc<dyn Runtime> = world.runtime.clone();
    let alive = world.alive.clone();
    let serve = async {
        match is_router {
            true => server.serve(&shutdown, router(world)).await,
            false => server.serve(&shutdown, Bare(world)).await,
        }
    };
    if let Some(after) = leaves {
        let leaving = async {
            shutdown.watch().draining().await;
            runtime.sleep_until(runtime.now() + after).await;
        };
        return future::select(std::pin::pin!(serve), std::pin::pin!(leaving)).map(|_| Ok(())).await;
    }
    let served = serve.await;
    shutdown.finished().await;
    let until = runtime.now() + BOUND / 2;
    while alive.load(Ordering::SeqCst) > 0 && runtime.now() < until {
        runtime.sleep_until(runtime.now() + Duration::from_millis(5)).await;
    }
    served
}

/// A fuzzer that meets nothing finds nothing.
pub(crate) fn assert_met(met: &BTreeMap<&str, u64>) {
    let wanted = [
        "tokio",
        "smol",
        "async-std",
        "whole answer",
        "cut answer",
        "half a head answered",
        "handed over",
        "not started",
        "told to retry",
        "damaged",
        "HTTP/2 preface",
        "tunnel",
        "blocked",
        "refused",
    ];
    let missing: Vec<_> =
        wanted.iter().filter(|what| met.get(*what).is_none_or(|times| *times == 0)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}
