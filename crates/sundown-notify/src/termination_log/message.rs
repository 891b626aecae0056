//! What the termination message says, and what it leaves out where there is no room.
//!
//! It is made from the least to the most that is left out, and the first that fits is taken. Nothing is ever cut but
//! texts of others (a reason, a failure), at a character, before they become JSON.

use std::{collections::HashMap, time::Duration};

use serde_json::{Map, Value, json};
use sundown::{HandOver, IncompleteJob, JobLine, Key, Outcome, Report};

use crate::{
    event::{Counts, Facts, encode_within},
    offered::Offered,
};

/// How many characters are kept of a text that somebody else has made.
const TEXT: usize = 200;

/// How many failures are told.
const FAILURES: usize = 8;

/// No job takes less of a message than this: a list, quotes, an id.
const LEAST_PER_JOB: usize = 4;

/// What a message is made of.
pub(super) struct Message<'a> {
    phase: &'static str,
    shutdown: String,
    reason: String,
    /// By name, whatever the room.
    numbers: Vec<(&'static str, Value)>,
    times: Vec<(&'static str, Value)>,
    failures: Vec<String>,
    jobs: Vec<Job<'a>>,
    payloads: bool,
}

/// A job that is told.
struct Job<'a> {
    known: Known<'a>,
    /// As the list says that it is in: what was offered says how it was then.
    in_doubt: bool,
}

/// A job as it was offered, or, where it was not, as the report has it.
enum Known<'a> {
    Offered(&'a IncompleteJob),
    Reported(&'a JobLine),
}

/// How much is left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Without {
    Nothing,
    Payloads,
    Times,
    Details,
    Failures,
}

impl<'a> Message<'a> {
    /// Of the hand-over: these jobs are incomplete.
    pub(super) fn incomplete(hand_over: &'a HandOver, payloads: bool) -> Self {
        let counts = json!({ "incomplete": hand_over.jobs().len(), "in_doubt": hand_over.in_doubt().len() });
        let offered =
            |job: &'a IncompleteJob| Job { known: Known::Offered(job), in_doubt: job.is_in_doubt() };
        Message {
            phase: "incomplete",
            shutdown: hand_over.shutdown().to_string(),
            reason: shortened(&hand_over.reason().to_string()),
            numbers: vec![("counts", counts)],
            times: Vec::new(),
            failures: Vec::new(),
            jobs: hand_over.all().map(offered).collect(),
            payloads,
        }
    }

    /// Of the end: nobody has taken these jobs over. What was offered is known better than the report has it.
    pub(super) fn finished(report: &'a Report, offered: &'a [IncompleteJob], payloads: bool) -> Self {
        let known: HashMap<Key, &IncompleteJob> = offered.iter().map(|job| (job.key(), job)).collect();
        let job = |in_doubt, line: &'a JobLine| {
            let known = known.get(&line.key).map_or(Known::Reported(line), |job| Known::Offered(job));
            Job { known, in_doubt }
        };
        let unacknowledged = report.jobs.unacknowledged.iter().map(|line| job(false, line));
        let in_doubt = report.jobs.in_doubt.iter().map(|line| job(true, line));
        Message {
            phase: "finished",
            shutdown: report.shutdown.to_string(),
            reason: shortened(&report.reason.to_string()),
            numbers: vec![("clean", report.is_clean().into()), ("counts", json!(Counts::of(&report.jobs)))],
            times: vec![
                ("took_ms", ms(report.took)),
                ("unused_ms", ms(report.unused)),
                ("grace", report.grace.to_string().into()),
            ],
            failures: failures(report).take(FAILURES).map(|text| shortened(&text)).collect(),
            jobs: unacknowledged.chain(in_doubt).collect(),
            payloads,
        }
    }

    /// As much of it as there is room for.
    pub(super) fn fit(&self, most: usize) -> Vec<u8> {
        use Without::{Details, Failures, Nothing, Payloads, Times};
        // No more can fit, and there may be millions.
        let room = most / LEAST_PER_JOB;
        if self.jobs.len() <= room {
            for without in [Nothing, Payloads, Times, Details, Failures] {
                if let Ok(text) = encode_within(&self.with(without, self.jobs.len(), most), most) {
                    return text;
                }
            }
        }
        // The most jobs with which it fits, by halves: the longer the list, the longer the text.
        let (mut fits, mut too_many) = (0, self.jobs.len().min(room) + 1);
        while fits + 1 < too_many {
            let count = fits + (too_many - fits) / 2;
            match encode_within(&self.with(Failures, count, most), most) {
                Ok(_) => fits = count,
                Err(_) => too_many = count,
            }
        }
        let mut least = self.with(Failures, fits, most);
        encode_within(&least, most).unwrap_or_else(|_| {
            least.remove("reason");
            encode_within(&least, usize::MAX).expect("numbers and names serialise")
        })
    }

    fn with(&self, without: Without, count: usize, most: usize) -> Map<String, Value> {
        let mut all = Map::new();
        let mut put = |name: &str, value: Value| drop(all.insert(name.into(), value));
        put("phase", self.phase.into());
        put("shutdown", self.shutdown.as_str().into());
        put("reason", self.reason.as_str().into());
        self.numbers.iter().for_each(|(name, value)| put(name, value.clone()));
        if count > 0 {
            let payloads = self.payloads && without < Without::Payloads;
            let jobs = self.jobs.iter().take(count);
            put("jobs", jobs.map(|job| job.shown(without < Without::Details, payloads, most)).collect());
        }
        if count < self.jobs.len() {
            put("more", (self.jobs.len() - count).into());
        }
        if without < Without::Failures && !self.failures.is_empty() {
            put("failures", self.failures.as_slice().into());
        }
        if without < Without::Times {
            self.times.iter().for_each(|(name, value)| put(name, value.clone()));
        }
        all
    }
}

impl Job<'_> {
    fn shown(&self, details: bool, payloads: bool, most: usize) -> Value {
        let mut shown = match self.known {
            Known::Offered(job) if !details => json!({ "job": job.id() }),
            Known::Reported(job) if !details => json!({ "job": job.id }),
            Known::Reported(job) => json!({ "job": job.id, "key": job.key, "component": job.component }),
            // What cannot be made, or is longer than all may be, is left out.
            Known::Offered(job) => payloads
                .then(|| encode_within(job, most).ok())
                .flatten()
                .and_then(|text| serde_json::from_slice(&text).ok())
                .unwrap_or_else(|| json!(Facts::of(job))),
        };
        if details || self.in_doubt {
            shown["in_doubt"] = self.in_doubt.into();
        }
        shown
    }
}

/// Who failed, the hand-over first.
fn failures(report: &Report) -> impl Iterator<Item = String> + '_ {
    let notifiers = report.notifiers.iter().flat_map(|it| {
        [("incomplete", &it.incomplete), ("draining", &it.draining), ("finished", &it.finished)]
            .map(|(call, outcome)| (&it.name, call, outcome))
    });
    let components = report.components.iter().flat_map(|it| {
        [
            ("drain", &it.drained),
            ("claim", &it.claim),
            ("conclude", &it.conclude),
            ("force", &it.force),
            ("in flight", &it.in_flight),
        ]
        .map(|(call, outcome)| (&it.name, call, outcome))
    });
    let hooks = report.release.iter().map(|it| (&it.name, "release", &it.outcome));
    let all = notifiers.chain(components).chain(hooks);
    all.filter(|(.., outcome)| Outcome::is_failure(outcome))
        .map(|(name, call, outcome)| format!("{name}, {call}: {outcome}"))
}

fn ms(time: Duration) -> Value {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde::Serialize;
    use sundown::{LeftOver, Uuid};

    use super::*;

    fn offer<P: Serialize + Clone + Send + Sync + 'static>(count: u64, id: &str, payload: P) -> HandOver {
        let instance = Uuid::new_v4();
        let jobs = (0..count).map(|n| {
            let id = format!("{id}-{n}").try_into().unwrap();
            LeftOver::new(Key::new(instance, n), id, "worker", payload.clone()).checkpoint("row 3")
        });
        HandOver::of_left_over(jobs, Instant::now() + Duration::from_secs(5))
    }

    fn fit(message: &Message<'_>, most: usize) -> Value {
        let text = message.fit(most);
        assert!(text.len() <= most, "{} bytes", text.len());
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn what_fits_is_told_in_full() {
        let offer = offer(2, "job", "payload");
        let all = fit(&Message::incomplete(&offer, true), 4096);
        assert_eq!(all["phase"], "incomplete");
        assert_eq!(all["reason"], "the process died");
        assert_eq!(all["counts"]["incomplete"], 2);
        assert_eq!(all["jobs"][1]["job"], "job-1");
        assert_eq!(all["jobs"][1]["payload"], "payload");
        assert_eq!(all["jobs"][1]["checkpoint"], "row 3");
        assert_eq!(all.get("more"), None);
    }

    #[test]
    fn payloads_are_told_only_when_asked_for() {
        let offer = offer(1, "job", "s3cr3t");
        let text = Message::incomplete(&offer, false).fit(4096);
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("s3cr3t") && !text.contains("row 3"), "{text}");
        assert!(text.contains("\"attempts\":1"), "{text}");
    }

    #[test]
    fn payloads_go_first_then_details_then_the_last_jobs() {
        let long = offer(2, "job", "x".repeat(3000));
        let shown = fit(&Message::incomplete(&long, true), 4096);
        assert_eq!(shown["jobs"][0].get("payload"), None);
        assert_eq!(shown["jobs"][1]["component"], "worker");

        let many = offer(100, "job", ());
        let shown = fit(&Message::incomplete(&many, true), 4096);
        assert_eq!(shown["jobs"][99], json!({ "job": "job-99" }));

        let more = offer(10_000, "job", ());
        let shown = fit(&Message::incomplete(&more, true), 4096);
        let told = shown["jobs"].as_array().unwrap().len();
        assert!(told > 150, "{told} of them fit");
        assert_eq!(shown["more"], 10_000 - told);
        assert_eq!(shown["counts"]["incomplete"], 10_000);
    }

    #[test]
    fn a_message_is_json_and_fits_whatever_it_is_about() {
        for count in [0, 1, 2, 7, 40, 300] {
            for id in ["j", "\"\\\"\\", &"ü".repeat(120)] {
                let offer = offer(count, id, "payload");
                for most in [512, 513, 1000, 4096] {
                    fit(&Message::incomplete(&offer, true), most);
                }
            }
        }
    }

    #[test]
    fn a_payload_that_does_not_serialise_costs_itself() {
        #[derive(Clone)]
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                panic!("a broken payload")
            }
        }
        let shown = fit(&Message::incomplete(&offer(1, "job", Broken), true), 4096);
        assert_eq!(shown["jobs"][0]["component"], "worker");
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(shortened(&"ü".repeat(200)), "ü".repeat(200));
        assert_eq!(shortened(&"ü".repeat(201)), format!("{}…", "ü".repeat(200)));
    }
}
