//! The public: who comes, when, and what each asks for. Everything is drawn from the seed, so that a crowd can come
//! again; how the scheduler mixes it cannot be repeated. Every client is a thread and waits for nothing past the
//! curtain, so the crowd always disperses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::Serialize;

use crate::Result;
use crate::client::{Connection, Outcome, Request, Upload, Visit};
use crate::clock::Stamp;
use crate::wire::Between;

/// How long after the grace a client still waits before it counts as left without an answer.
const CURTAIN: Duration = Duration::from_secs(3);

/// How long the quick ones go on after the signal.
const ENCORE: Duration = Duration::from_millis(400);

/// The blocked handler begins this long before the signal.
const BLOCK_BEFORE: Duration = Duration::from_millis(150);

/// Those at the signal send within this time of it, on either side.
const AT_SIGNAL: Duration = Duration::from_millis(12);

/// Between two newcomers, and between two looks at readiness.
const NEWCOMER_EVERY: Duration = Duration::from_millis(50);
const PROBE_EVERY: Duration = Duration::from_millis(25);

/// Clients are many and their needs small.
const STACK: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Quick,
    Kept,
    AtSignal,
    Medium,
    Upload,
    Stream,
    Long,
    Blocked,
    LongUpload,
    LongStream,
    Newcomer,
    Idle,
    Probe,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Quick,
        Self::Kept,
        Self::AtSignal,
        Self::Medium,
        Self::Upload,
        Self::Stream,
        Self::Long,
        Self::Blocked,
        Self::LongUpload,
        Self::LongStream,
        Self::Newcomer,
        Self::Idle,
        Self::Probe,
    ];

    /// Who they are, for the table.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Quick => "quick, a connection each",
            Self::Kept => "quick, on kept connections",
            Self::AtSignal => "quick, at the very signal",
            Self::Medium => "can finish while draining",
            Self::Upload => "upload that ends",
            Self::Stream => "stream that ends",
            Self::Long => "longer than the grace",
            Self::Blocked => "blocks its thread",
            Self::LongUpload => "upload that cannot end",
            Self::LongStream => "stream that cannot end",
            Self::Newcomer => "newcomers after the signal",
            Self::Idle => "idle, say nothing",
            Self::Probe => "readiness probe",
        }
    }

    /// Its answers have a head long before their end.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::LongStream)
    }

    /// It asks for work in time for the work to be done.
    pub fn can_finish(self) -> bool {
        matches!(self, Self::Quick | Self::Kept | Self::AtSignal | Self::Medium | Self::Upload | Self::Stream)
    }

    /// Its work takes longer than the grace.
    pub fn cannot_finish(self) -> bool {
        matches!(self, Self::Long | Self::Blocked | Self::LongUpload | Self::LongStream)
    }
}

/// What every client knows.
pub struct Stage {
    address: SocketAddr,
    signal_at: Instant,
    grace: Duration,
    curtain: Instant,
    left: AtomicBool,
}

impl Stage {
    pub fn new(address: SocketAddr, signal_at: Instant, grace: Duration) -> Arc<Self> {
        let curtain = signal_at + grace + CURTAIN;
        Arc::new(Self { address, signal_at, grace, curtain, left: AtomicBool::new(false) })
    }

    /// The service has left: nobody need come any more.
    pub fn lower_curtain(&self) {
        // Relaxed: it carries no data, and who sees it late knocks once more at a closed door.
        self.left.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) || Instant::now() >= self.curtain
    }

    fn open(&self) -> std::io::Result<Connection> {
        Connection::open(self.address, self.curtain)
    }

    /// One request on a connection of its own.
    fn visit(&self, request: &Request) -> Visit {
        match self.open() {
            Ok(connection) => connection.exchange_last(request),
            Err(error) => no_way_in(request, error.kind()),
        }
    }

    /// How long work takes that is asked for at `start` and ends at `share` of the grace after the signal.
    fn until_share(&self, share: f64, start: Instant) -> u128 {
        let end = self.signal_at + self.grace.mul_f64(share);
        end.saturating_duration_since(start).as_millis()
    }
}

fn no_way_in(request: &Request, kind: std::io::ErrorKind) -> Visit {
    Visit {
        kind: request.kind,
        job: request.job.clone(),
        reused: false,
        connected: None,
        sent: None,
        ended: Stamp::now(),
        outcome: Outcome::NoWayIn(kind),
    }
}

/// Everybody who came.
pub struct Crowd {
    clients: Vec<JoinHandle<()>>,
    visits: Receiver<Visit>,
    tell: Sender<Visit>,
    stage: Arc<Stage>,
    rng: Rng,
}

impl Crowd {
    pub fn gather(stage: &Arc<Stage>, seed: u64) -> Result<Self> {
        let (tell, visits) = mpsc::channel();
        let rng = Rng::with_seed(seed);
        let mut crowd = Self { clients: Vec::new(), visits, tell, stage: stage.clone(), rng };
        crowd.those_who_stay()?;
        crowd.those_who_can_finish()?;
        crowd.those_who_cannot()?;
        crowd.the_quick()?;
        crowd.client(readiness_probe)?;
        crowd.client(newcomers)?;
        Ok(crowd)
    }

    /// Waits for everybody to go home; what they saw, in the order in which it ended.
    pub fn disperse(self) -> Vec<Visit> {
        for client in self.clients {
            // A client that panicked has told what it saw before; its silence after is found by the checks.
            let _ = client.join();
        }
        drop(self.tell);
        let mut visits: Vec<_> = self.visits.iter().collect();
        visits.sort_by_key(|visit| visit.ended);
        visits
    }

    fn those_who_stay(&mut self) -> Result<()> {
        for i in 0..4 {
            let spoke = i % 2 == 1;
            self.client(move |stage, tell, _| idle(stage, tell, spoke.then(|| format!("idle-{i}"))))?;
        }
        Ok(())
    }

    fn those_who_can_finish(&mut self) -> Result<()> {
        for i in 0..6 {
            let share = 0.06 + 0.36 * self.rng.f64();
            self.once(0.2, 0.8, move |stage, now| {
                let ms = stage.until_share(share, now);
                Request::new(Kind::Medium, format!("/sleep?ms={ms}"), format!("medium-{i}"))
            })?;
        }
        for i in 0..2 {
            let share = 0.15 + 0.2 * self.rng.f64();
            self.once(0.2, 0.8, move |stage, now| {
                let ms = stage.until_share(share, now);
                Request::new(Kind::Stream, format!("/stream?ms={ms}"), format!("stream-{i}"))
            })?;
            self.once(0.4, 0.8, move |stage, now| {
                let ms = stage.until_share(share, now);
                upload(Kind::Upload, format!("upload-{i}"), Duration::from_millis(ms as u64))
            })?;
        }
        Ok(())
    }

    fn those_who_cannot(&mut self) -> Result<()> {
        for i in 0..8 {
            self.once(0.1, 0.9, move |stage, now| {
                let ms = stage.until_share(2.0, now);
                Request::new(Kind::Long, format!("/sleep?ms={ms}"), format!("long-{i}"))
            })?;
        }
        for i in 0..2 {
            self.once(0.1, 0.8, move |stage, now| {
                let ms = stage.until_share(2.0, now);
                Request::new(Kind::LongStream, format!("/stream?ms={ms}"), format!("long-stream-{i}"))
            })?;
        }
        self.once(0.2, 0.8, |stage, _| upload(Kind::LongUpload, "long-upload-0".into(), stage.grace.mul_f64(2.5)))?;
        self.client(|stage, tell, _| {
            sleep_until(stage.signal_at - BLOCK_BEFORE);
            let ms = stage.until_share(2.0, Instant::now());
            let request = Request::new(Kind::Blocked, format!("/block?ms={ms}"), "blocked-0");
            report(tell, stage.visit(&request));
        })
    }

    fn the_quick(&mut self) -> Result<()> {
        for i in 0..4 {
            self.client(move |stage, tell, rng| quick(stage, tell, rng, i))?;
            self.client(move |stage, tell, rng| kept(stage, tell, rng, i))?;
        }
        for i in 0..16 {
            let kept = i % 2 == 0;
            self.client(move |stage, tell, rng| at_signal(stage, tell, rng, i, kept))?;
        }
        Ok(())
    }

    /// A client with one request, sent at some moment between `from` and `to` of the time before the signal.
    fn once(
        &mut self,
        from: f64,
        to: f64,
        ask: impl FnOnce(&Stage, Instant) -> Request + Send + 'static,
    ) -> Result<()> {
        let share = from + (to - from) * self.rng.f64();
        let begin = Instant::now();
        self.client(move |stage, tell, _| {
            let lead = stage.signal_at.saturating_duration_since(begin);
            sleep_until(begin + lead.mul_f64(share));
            let request = ask(stage, Instant::now());
            report(tell, stage.visit(&request));
        })
    }

    fn client(&mut self, act: impl FnOnce(&Arc<Stage>, &Sender<Visit>, Rng) + Send + 'static) -> Result<()> {
        let (stage, tell, rng) = (self.stage.clone(), self.tell.clone(), self.rng.fork());
        let client = thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || act(&stage, &tell, rng))
            .map_err(|e| format!("cannot start client thread {}: {e}", self.clients.len() + 1))?;
        self.clients.push(client);
        Ok(())
    }
}

/// An upload of twenty pieces that takes about `time`.
fn upload(kind: Kind, job: String, time: Duration) -> Request {
    let body = Upload { pieces: 20, size: 2048, pause: time / 20 };
    Request { upload: Some(body), ..Request::new(kind, "/upload", job) }
}

/// One request after another, on a new connection each.
fn quick(stage: &Stage, tell: &Sender<Visit>, mut rng: Rng, who: usize) {
    for n in 0.. {
        if Instant::now() >= stage.signal_at + ENCORE || stage.is_over() {
            return;
        }
        report(tell, stage.visit(&Request::new(Kind::Quick, "/fast", format!("quick-{who}-{n}"))));
        thread::sleep(Duration::from_millis(rng.u64(10..40)));
    }
}

/// One request after another, on the same connection for as long as it is kept.
fn kept(stage: &Stage, tell: &Sender<Visit>, mut rng: Rng, who: usize) {
    let mut connection = None;
    for n in 0.. {
        if Instant::now() >= stage.signal_at + ENCORE || stage.is_over() {
            return;
        }
        let request = Request::new(Kind::Kept, "/fast", format!("kept-{who}-{n}"));
        connection = ask_again(stage, tell, connection, &request);
        thread::sleep(Duration::from_millis(rng.u64(10..40)));
    }
}

/// Sends `request` on `connection` if that is still open, else on a new one; returns what can be used again.
fn ask_again(
    stage: &Stage,
    tell: &Sender<Visit>,
    connection: Option<Connection>,
    request: &Request,
) -> Option<Connection> {
    let usable = connection.and_then(|mut connection| match connection.between() {
        Between::Quiet => Some(connection),
        Between::Closed | Between::Reset => None,
        Between::Bytes(_) => {
            report(tell, connection.wait_for_the_end(request.kind));
            None
        }
    });
    let mut connection = match usable.map_or_else(|| stage.open(), Ok) {
        Ok(connection) => connection,
        Err(error) => {
            report(tell, no_way_in(request, error.kind()));
            return None;
        }
    };
    let visit = connection.exchange(request);
    let goes_on = visit.answer().is_some_and(|answer| !answer.is_last);
    report(tell, visit);
    goes_on.then_some(connection)
}

/// Sends a request within milliseconds of the signal; if `kept`, on a connection that has served before.
fn at_signal(stage: &Stage, tell: &Sender<Visit>, mut rng: Rng, who: usize, kept: bool) {
    let moment = stage.signal_at - AT_SIGNAL + AT_SIGNAL.mul_f64(2.0 * rng.f64());
    let mut connection = None;
    if kept {
        sleep_until(moment - Duration::from_millis(rng.u64(200..600)));
        let request = Request::new(Kind::AtSignal, "/fast", format!("before-signal-{who}"));
        connection = ask_again(stage, tell, None, &request);
    }
    sleep_until(moment);
    let request = Request::new(Kind::AtSignal, "/fast", format!("at-signal-{who}"));
    let connection = ask_again(stage, tell, connection, &request);
    if let Some(connection) = connection {
        report(tell, connection.wait_for_the_end(Kind::Idle));
    }
}

/// Connects, perhaps says something once, and then nothing.
fn idle(stage: &Stage, tell: &Sender<Visit>, first: Option<String>) {
    let Ok(mut connection) = stage.open() else { return };
    if let Some(job) = first {
        report(tell, connection.exchange(&Request::new(Kind::Idle, "/fast", job)));
    }
    report(tell, connection.wait_for_the_end(Kind::Idle));
}

/// Asks again and again whether the service is ready, until it is gone.
fn readiness_probe(stage: &Arc<Stage>, tell: &Sender<Visit>, _: Rng) {
    let request = Request { job: None, ..Request::new(Kind::Probe, "/readyz", "") };
    while !stage.is_over() {
        report(tell, stage.visit(&request));
        thread::sleep(PROBE_EVERY);
    }
}

/// A new client every so often from the signal on, until the service is gone; none waits for the one before.
fn newcomers(stage: &Arc<Stage>, tell: &Sender<Visit>, mut rng: Rng) {
    sleep_until(stage.signal_at);
    let mut all = Vec::new();
    for n in 0.. {
        if stage.is_over() {
            break;
        }
        let request = Request::new(Kind::Newcomer, "/fast", format!("newcomer-{n}"));
        let (stage, tell) = (stage.clone(), tell.clone());
        let newcomer = thread::Builder::new().stack_size(STACK).spawn(move || report(&tell, stage.visit(&request)));
        all.extend(newcomer);
        thread::sleep(NEWCOMER_EVERY.mul_f64(0.8 + 0.4 * rng.f64()));
    }
    for newcomer in all {
        let _ = newcomer.join();
    }
}

fn report(tell: &Sender<Visit>, visit: Visit) {
    // The receiver is kept until everybody has gone home.
    let _ = tell.send(visit);
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}
