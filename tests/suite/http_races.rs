//! Handlers that end when a shutdown takes their exchange: each client gets one whole answer, and it is true.

use std::{thread, time::Duration};

use sundown_tests::{
    http::{Answer, Client, Monitor, Reply, Service, h2::Client as Framed, terminate_and_hurry},
    sized,
};

use super::PROGRAMS;

const CROWD: usize = 250;

/// So close to the moment, in microseconds, a handler's end counts as a race with it; and so many are wanted.
const CLOSE: i64 = 3_000;
const WANTED: usize = 3_500;

/// The ids of one crowd, and when the handler of each is to end, in microseconds around the moment: four in ten within
/// 3 ms of it, and a few up to 40 ms away, lest a slow machine miss it altogether.
fn crowd() -> Vec<(String, i64)> {
    let half = CROWD as i64 / 2;
    let place = |n: usize| i64::try_from(n).expect("a crowd is small") - half;
    let at = |n| 40_000 * place(n).pow(3) / half.pow(3);
    (0..CROWD).map(|n| (format!("job-{n:03}"), at(n))).collect()
}

/// What the rounds of a race have come to.
#[derive(Default)]
struct Race {
    rounds: usize,
    /// How many were faster than the moment, and how many were not.
    faster: usize,
    slower: usize,
    close: usize,
    /// Where the moment has turned out to be.
    aim: i64,
}

impl Race {
    /// In a campaign, until there were enough.
    fn goes_on(&self, rounds: usize) -> bool {
        let wanted = sized(0, WANTED);
        assert!(self.rounds <= rounds + wanted / 10, "the machine is too busy: {} were close", self.close);
        self.rounds < rounds || self.close < wanted
    }

    fn note(&mut self, faster: usize) {
        let turn = crowd()[faster.min(CROWD - 1)].1;
        self.rounds += 1;
        self.faster += faster;
        self.slower += CROWD - faster;
        self.close += crowd().iter().filter(|(_, at)| (at - turn).abs() <= CLOSE).count();
        self.aim += turn.clamp(-10_000, 10_000);
    }

    fn conclude(&self, what: &str) {
        let Race { faster, slower, close, .. } = self;
        println!(
            "{what}: of {} handlers, {close} within {CLOSE} us of it, {faster} were faster and {slower} were not",
            faster + slower
        );
        assert!(*faster > 0 && *slower > 0, "the race did not happen");
    }
}

/// Sends the crowd's requests; the handlers have begun.
fn begin(service: &mut Service, path: impl Fn(i64) -> String) -> Vec<(String, Client)> {
    let clients: Vec<_> = crowd()
        .into_iter()
        .map(|(id, at)| {
            let client = service.begin(&path(at), &id);
            (id, client)
        })
        .collect();
    clients
}

/// Who was answered by its handler, if the others' answers are what `instead` says.
fn own(replies: impl IntoIterator<Item = (String, Reply)>, instead: impl Fn(&str, Reply)) -> Vec<String> {
    let mut own = Vec::new();
    for (id, reply) in replies {
        if reply.field("sundown-fate").is_none() {
            reply.assert_own(&format!("own {id}\n"));
            own.push(id);
        } else {
            instead(&id, reply);
        }
    }
    own
}

/// The one answer of each.
fn replies(clients: Vec<(String, Client)>) -> impl Iterator<Item = (String, Reply)> {
    clients.into_iter().map(|(id, client)| (id, client.only_reply("GET")))
}

#[test]
fn a_job_that_commits_around_the_claim_is_done_or_handed_over_and_its_client_knows_which() {
    let mut race = Race::default();
    while race.goes_on(4) {
        let threads = ["1", "2"][race.rounds % 2];
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("GRACE", "2"), ("THREADS", threads)], Some(&monitor));
        let clients = begin(&mut service, |at| format!("/around-claim?us={}", race.aim + at));
        service.terminate();
        let mut all = own(replies(clients), |id, reply| reply.assert_success("handed-over", id));
        race.note(all.len());
        all.extend(monitor.jobs());
        all.sort();
        let ids: Vec<_> = crowd().into_iter().map(|(id, _)| id).collect();
        assert_eq!(all, ids, "each is done or handed over, and none is both");
        service.end().assert_code(0);
    }
    race.conclude("against the claim");
}

/// One job, which the monitor takes its time for: the others end while it does, and after.
const TAKES: Duration = Duration::from_millis(20);
/// About when the answer step begins, in microseconds after the claim.
const ANSWER: i64 = 23_000;

#[test]
fn a_handler_that_ends_around_the_answer_step_answers_or_is_answered_for() {
    let mut race = Race::default();
    while race.goes_on(3) {
        let threads = ["1", "2", "2"][race.rounds % 3];
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(TAKES));
        let mut service = PROGRAMS.responder(&[("THREADS", threads)], Some(&monitor));
        let slow = service.begin("/wait", "slow");
        let at = |at: i64| (ANSWER + race.aim + at).max(0);
        let clients = begin(&mut service, |us| format!("/after-claim?done=true&us={}", at(us)));
        terminate_and_hurry(&service, &monitor);
        race.note(own(replies(clients), |id, reply| reply.assert_success("completed", id)).len());
        slow.only_reply("GET").assert_success("handed-over", "slow");
        service.end().assert_code(0);
    }
    race.conclude("against the answer step");
}

#[test]
fn a_stream_whose_handler_ends_around_the_answer_step_gets_one_answer() {
    const STREAMS: usize = 50;
    let mut race = Race::default();
    while race.goes_on(2) {
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(TAKES));
        let mut service = PROGRAMS.responder(&[("THREADS", "2")], Some(&monitor));
        let slow = service.begin("/wait", "slow");
        let mut clients: Vec<_> = (0..CROWD / STREAMS)
            .map(|_| Framed::connect(service.address))
            .map(|client| (client, Vec::new()))
            .collect();
        let count = clients.len();
        for (n, (id, at)) in crowd().into_iter().enumerate() {
            let (client, streams) = &mut clients[n % count];
            let us = (ANSWER + race.aim + at).max(0);
            let stream = client.get(&format!("/after-claim?done=true&us={us}"), &id);
            service.wait_for_start(&id);
            streams.push((id, stream));
        }
        // Read side by side: who is slow to acknowledge a PING is told no more.
        let reading: Vec<_> = clients
            .into_iter()
            .map(|(client, streams)| (thread::spawn(move || client.end()), streams))
            .collect();
        terminate_and_hurry(&service, &monitor);
        let mut faster = 0;
        for (transcript, streams) in reading {
            let transcript = transcript.join().expect("nobody panics");
            let replies = streams.iter().map(|(id, stream)| (id.clone(), transcript.whole_reply(*stream)));
            faster += own(replies, |id, reply| reply.assert_success("completed", id)).len();
            transcript.assert_farewell(streams.last().expect("there are some").1);
        }
        race.note(faster);
        slow.only_reply("GET").assert_success("handed-over", "slow");
        service.end().assert_code(0);
    }
    race.conclude("of streams against the answer step");
}

#[test]
fn a_blocking_handler_that_ends_around_the_rescue_answers_or_is_answered_for() {
    /// In this time after the claim, the handlers block their threads; 250 ms later, the rescue begins.
    const DELAY: Duration = Duration::from_millis(100);
    const RESCUE: i64 = 353_000;
    /// Handlers that end meanwhile, in microseconds: a runtime that does nothing at all would not be waited for so long.
    const PACE: [i64; 4] = [160_000, 220_000, 280_000, 335_000];
    // One for each handler, and some to spare.
    let threads = (CROWD + PACE.len() + 2).to_string();
    let (mut race, mut rescued) = (Race::default(), 0);
    while race.goes_on(4) {
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(DELAY));
        let mut service = PROGRAMS.responder(&[("THREADS", &threads)], Some(&monitor));
        let slow = service.begin("/wait", "slow");
        let pace = PACE
            .map(|us| service.begin(&format!("/after-claim?block=true&done=true&us={us}"), &us.to_string()));
        let path = |at| format!("/after-claim?block=true&done=true&us={}", RESCUE + race.aim + at);
        let clients = begin(&mut service, path);
        terminate_and_hurry(&service, &monitor);
        race.note(own(replies(clients), |id, reply| reply.assert_success("completed", id)).len());
        slow.only_reply("GET").assert_success("handed-over", "slow");
        pace.map(|client| client.only_reply("GET").status).iter().for_each(|status| assert_eq!(*status, 200));
        let ending = service.end();
        ending.assert_code(0);
        rescued += ending.report().note("http", "answered by the rescue");
    }
    race.conclude("against the rescue");
    assert!(rescued > 0, "it was not the rescue");
}
