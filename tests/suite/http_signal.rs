//! Requests that are sent at the moment of the signal: none is lost. Lost is who gets a reset, an end without an answer,
//! or part of one; and over HTTP/2 who gets none and is not told that trying again is safe.

use std::{
    thread,
    time::{Duration, Instant},
};

use h2::Reason;
use sundown_tests::{
    http::{Client, End, Monitor, Reply, Service, h2::Client as Framed},
    sized,
};

use super::PROGRAMS;

/// So far from the signal requests are sent, before and after it.
const AROUND: Duration = Duration::from_millis(10);
const CROWD: u32 = 200;

/// How a request comes.
enum Comes {
    /// On a connection that has served one.
    Kept(Client),
    /// On a connection that is open.
    Open(Client),
    /// With its connection.
    New,
    /// On a connection of HTTP/2 that has served one.
    KeptFramed(Framed),
    /// With its connection.
    NewFramed,
}

/// A connection on which one has been sent.
enum Sent {
    Plain(Client),
    Framed(Framed, u32),
}

impl Comes {
    fn send(self, service: &Service, id: &str) -> Sent {
        let framed = |mut client: Framed| {
            let stream = client.get("/fast", id);
            Sent::Framed(client, stream)
        };
        match self {
            Comes::Kept(mut client) | Comes::Open(mut client) => {
                client.get("/fast", id);
                Sent::Plain(client)
            }
            Comes::New => Sent::Plain(Client::asking(service.address, "/fast", id)),
            Comes::KeptFramed(client) => framed(client),
            Comes::NewFramed => framed(Framed::connect(service.address)),
        }
    }
}

/// What became of a request that was not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    /// By an answer that says so.
    ToldToRetry,
    /// By the protocol: it may be tried again, whatever it is.
    Refused,
}

impl Sent {
    fn outcome(self, id: &str) -> Result<Outcome, String> {
        match self {
            Sent::Plain(client) => {
                let transcript = client.end();
                if transcript.end != End::Fin || transcript.bytes.is_empty() {
                    return Err(transcript.to_string());
                }
                Ok(told(&transcript.only_reply("GET"), id))
            }
            Sent::Framed(client, stream) => {
                let transcript = client.end();
                let last = transcript.goaways().iter().map(|(last, _)| *last).min();
                match transcript.reply(stream) {
                    Some(reply) if reply.is_whole => Ok(told(&reply, id)),
                    None if transcript.reset(stream) == Some(Reason::REFUSED_STREAM) => Ok(Outcome::Refused),
                    None if last.is_some_and(|last| stream > last) => Ok(Outcome::Refused),
                    _ => Err(transcript.to_string()),
                }
            }
        }
    }
}

fn told(reply: &Reply, id: &str) -> Outcome {
    if reply.status == 200 {
        reply.assert_own(&format!("done {id}\n"));
        return Outcome::Served;
    }
    reply.assert_retry("not-started");
    Outcome::ToldToRetry
}

#[derive(Debug, Default)]
struct Counts {
    sent: u32,
    /// No further from the signal than they should be.
    around: u32,
    outcomes: Vec<Outcome>,
    lost: Vec<String>,
}

impl Counts {
    fn of(&self, what: Outcome) -> usize {
        self.outcomes.iter().filter(|outcome| **outcome == what).count()
    }
}

/// One signal, and a crowd around it.
fn round(counts: &mut Counts, dice: &mut fastrand::Rng, comes: impl Fn(&mut Service, u32) -> Comes) {
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.service(&[("THREADS", "2")], Some(&monitor));
    let mut crowd: Vec<_> = (0..CROWD)
        .map(|n| (2 * AROUND * dice.u32(..10_000) / 10_000, format!("n-{n}"), comes(&mut service, n)))
        .collect();
    crowd.sort_by_key(|(at, ..)| *at);
    let began = Instant::now();
    let mut signalled = None;
    let mut sent = Vec::new();
    for (at, id, comes) in crowd {
        if at >= AROUND && signalled.is_none() {
            wait_until(began + AROUND);
            signalled = Some(service.terminate());
        }
        wait_until(began + at);
        sent.push((id.clone(), comes.send(&service, &id), Instant::now()));
    }
    let signalled = signalled.unwrap_or_else(|| service.terminate());
    for (id, sent, at) in sent {
        let off = at.saturating_duration_since(signalled).max(signalled.saturating_duration_since(at));
        counts.sent += 1;
        counts.around += u32::from(off <= AROUND);
        match sent.outcome(&id) {
            Ok(outcome) => counts.outcomes.push(outcome),
            Err(what) => counts.lost.push(format!("{id}: {what}")),
        }
    }
    service.end().assert_code(0);
}

fn wait_until(moment: Instant) {
    while Instant::now() < moment {
        thread::yield_now();
    }
}

/// Rounds until so many requests were sent around the signal.
fn none_is_lost(how: &str, wanted: u32, comes: impl Fn(&mut Service, u32) -> Comes) {
    let mut dice = fastrand::Rng::new();
    let mut counts = Counts::default();
    while counts.around < wanted {
        round(&mut counts, &mut dice, &comes);
        assert!(counts.sent < 20 * wanted, "the machine is too busy for this test: {counts:?}");
    }
    println!(
        "{how}: of {} requests, {} within {AROUND:?} of the signal, {} were served, {} told to retry, {} refused, {} lost",
        counts.sent,
        counts.around,
        counts.of(Outcome::Served),
        counts.of(Outcome::ToldToRetry),
        counts.of(Outcome::Refused),
        counts.lost.len()
    );
    assert!(counts.lost.is_empty(), "lost: {:#?}", counts.lost);
}

#[test]
fn of_the_requests_around_the_signal_none_is_lost() {
    none_is_lost("HTTP/1", sized(600, 7200), |service, n| match n % 4 {
        0 | 1 => Comes::Kept(service.connect_kept()),
        2 => Comes::Open(service.connect()),
        _ => Comes::New,
    });
}

#[test]
fn of_the_streams_that_are_opened_around_the_signal_none_is_lost() {
    none_is_lost("HTTP/2", sized(300, 2400), |service, n| match n % 2 {
        0 => {
            let mut client = Framed::connect(service.address);
            let stream = client.get("/fast", "before");
            assert_eq!(client.reply(stream).status, 200);
            Comes::KeptFramed(client)
        }
        _ => Comes::NewFramed,
    });
}
