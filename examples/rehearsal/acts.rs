//! What a client does on the stage when it does more than ask once. Each act ends by itself: with its last
//! line, when the service has left, or at the curtain.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::cast::Kind;
use crate::client::{Connection, Request, Visit};
use crate::crowd::STACK;
use crate::stage::{Stage, sleep_until};
use crate::wire::Between;

/// How long the quick ones go on after the signal.
const ENCORE: Duration = Duration::from_millis(400);

/// Those at the signal send within this time of it, on either side.
const AT_SIGNAL: Duration = Duration::from_millis(12);

/// Between two newcomers, and between two looks at readiness.
const NEWCOMER_EVERY: Duration = Duration::from_millis(50);
const PROBE_EVERY: Duration = Duration::from_millis(25);

/// One request after another, on a new connection each.
pub fn quick(stage: &Stage, tell: &Sender<Visit>, mut rng: Rng, who: usize) {
    for n in 0.. {
        if Instant::now() >= stage.signal_at() + ENCORE || stage.is_over() {
            return;
        }
        report(tell, stage.visit(&Request::new(Kind::Quick, "/fast", format!("quick-{who}-{n}"))));
        thread::sleep(Duration::from_millis(rng.u64(10..40)));
    }
}

/// One request after another, on the same connection for as long as it is kept.
pub fn kept(stage: &Stage, tell: &Sender<Visit>, mut rng: Rng, who: usize) {
    let mut connection = None;
    for n in 0.. {
        if Instant::now() >= stage.signal_at() + ENCORE || stage.is_over() {
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
            report(tell, Visit::no_way_in(request, error.kind()));
            return None;
        }
    };
    let visit = connection.exchange(request);
    let goes_on = visit.answer().is_some_and(|answer| !answer.is_last);
    report(tell, visit);
    goes_on.then_some(connection)
}

/// Sends a request within milliseconds of the signal; if `kept`, on a connection that has served before.
pub fn at_signal(stage: &Stage, tell: &Sender<Visit>, mut rng: Rng, who: usize, kept: bool) {
    let moment = stage.signal_at() - AT_SIGNAL + AT_SIGNAL.mul_f64(2.0 * rng.f64());
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

/// Speaks once before the signal, keeps the connection, and speaks again at `share` of the drain: if the
/// connection was closed meanwhile on a new one, and if the close is on its way, across it.
pub fn returning(stage: &Stage, tell: &Sender<Visit>, who: usize, share: f64) {
    sleep_until(stage.signal_at() - Duration::from_millis(300));
    let first = Request::new(Kind::Returning, "/fast", format!("returning-{who}-first"));
    let connection = ask_again(stage, tell, None, &first);
    sleep_until(stage.within_drain(share));
    let again = Request::new(Kind::Returning, "/fast", format!("returning-{who}-again"));
    ask_again(stage, tell, connection, &again);
}

/// Connects, perhaps says something once, and then nothing.
pub fn idle(stage: &Stage, tell: &Sender<Visit>, first: Option<String>) {
    let Ok(mut connection) = stage.open() else { return };
    if let Some(job) = first {
        report(tell, connection.exchange(&Request::new(Kind::Idle, "/fast", job)));
    }
    report(tell, connection.wait_for_the_end(Kind::Idle));
}

/// Asks again and again whether the service is ready, until it is gone.
pub fn readiness_probe(stage: &Arc<Stage>, tell: &Sender<Visit>, _: Rng) {
    let request = Request { job: None, ..Request::new(Kind::Probe, "/readyz", "") };
    while !stage.is_over() {
        report(tell, stage.visit(&request));
        thread::sleep(PROBE_EVERY);
    }
}

/// A new client every so often from the signal on, until the service is gone; none waits for the one before.
pub fn newcomers(stage: &Arc<Stage>, tell: &Sender<Visit>, mut rng: Rng) {
    sleep_until(stage.signal_at());
    let mut all = Vec::new();
    for n in 0.. {
        if stage.is_over() {
            break;
        }
        let request = Request::new(Kind::Newcomer, "/fast", format!("newcomer-{n}"));
        let (stage, tell) = (stage.clone(), tell.clone());
        let newcomer =
            thread::Builder::new().stack_size(STACK).spawn(move || report(&tell, stage.visit(&request)));
        // One that found no thread never came; the next may.
        all.extend(newcomer.ok());
        thread::sleep(NEWCOMER_EVERY.mul_f64(0.8 + 0.4 * rng.f64()));
    }
    for newcomer in all {
        let _ = newcomer.join();
    }
}

pub fn report(tell: &Sender<Visit>, visit: Visit) {
    // The receiver is kept until everybody has gone home.
    let _ = tell.send(visit);
}
