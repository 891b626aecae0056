//! The public: who comes, when, and what each asks for. Everything is drawn from the seed, so that a crowd
//! can come again; how the scheduler mixes it cannot be repeated. Every client is a thread and waits for
//! nothing past the curtain, so the crowd always disperses.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::Result;
use crate::acts::{at_signal, idle, kept, newcomers, quick, readiness_probe, report, returning};
use crate::cast::Kind;
use crate::client::{Request, Upload, Visit};
use crate::stage::{Stage, sleep_until};

/// The blocked handler begins this long before the signal.
const BLOCK_BEFORE: Duration = Duration::from_millis(150);

/// Clients are many and their needs small.
pub const STACK: usize = 256 * 1024;

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
            let share = 0.1 + 0.6 * self.rng.f64();
            self.once(0.2, 0.8, move |stage| {
                let ms = until(stage.within_drain(share)).as_millis();
                Request::new(Kind::Medium, format!("/sleep?ms={ms}"), format!("medium-{i}"))
            })?;
        }
        for i in 0..2 {
            let share = 0.2 + 0.4 * self.rng.f64();
            self.once(0.2, 0.8, move |stage| {
                let ms = until(stage.within_drain(share)).as_millis();
                Request::new(Kind::Stream, format!("/stream?ms={ms}"), format!("stream-{i}"))
            })?;
            self.once(0.4, 0.8, move |stage| {
                upload(Kind::Upload, format!("upload-{i}"), until(stage.within_drain(share)))
            })?;
        }
        for i in 0..6 {
            let share = 0.05 + 0.9 * self.rng.f64();
            self.client(move |stage, tell, _| returning(stage, tell, i, share))?;
        }
        Ok(())
    }

    fn those_who_cannot(&mut self) -> Result<()> {
        for i in 0..8 {
            self.once(0.1, 0.9, move |stage| {
                let ms = stage.forever().as_millis();
                Request::new(Kind::Long, format!("/sleep?ms={ms}"), format!("long-{i}"))
            })?;
        }
        for i in 0..2 {
            self.once(0.1, 0.8, move |stage| {
                let ms = stage.forever().as_millis();
                Request::new(Kind::LongStream, format!("/stream?ms={ms}"), format!("long-stream-{i}"))
            })?;
        }
        self.once(0.2, 0.8, |stage| upload(Kind::LongUpload, "long-upload-0".into(), stage.forever()))?;
        self.client(|stage, tell, _| {
            sleep_until(stage.signal_at() - BLOCK_BEFORE);
            let ms = stage.forever().as_millis();
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
        ask: impl FnOnce(&Stage) -> Request + Send + 'static,
    ) -> Result<()> {
        let share = from + (to - from) * self.rng.f64();
        let begin = Instant::now();
        self.client(move |stage, tell, _| {
            let lead = stage.signal_at().saturating_duration_since(begin);
            sleep_until(begin + lead.mul_f64(share));
            let request = ask(stage);
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

fn until(moment: Instant) -> Duration {
    moment.saturating_duration_since(Instant::now())
}
