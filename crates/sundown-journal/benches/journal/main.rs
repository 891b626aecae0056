//! What the journal costs, beside its parts, on one disk in one run.
//!
//! ```text
//! cargo bench -p sundown-journal
//! ```
//!
//! The parts are redb alone with one durable commit a record, redb behind a thread that batches, with nothing else, and a
//! file that is synced after each record. Each is measured for a moment in turn, again and again, and compared within a
//! turn: a disk that is slow for a while is slow for all. What counts is the median of the turns. What is compared is held to the bounds that the
//! crate promises; the process fails if one is missed.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench ends where it cannot go on")]

mod bare;
mod recovery;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sundown_journal::{DurableJobs, Journal};
use tokio::runtime::Runtime;

use crate::bare::Batching;

/// About what a job says of itself.
const PAYLOAD: &str =
    "resize the image cat-0123456789.png to a width of 640 px and put it into the bucket of customer 17";

/// A moment of one measurement, and how often each has its turn.
const MOMENT: Duration = Duration::from_millis(250);
const TURNS: usize = 21;

fn main() -> ExitCode {
    if let Some(path) = env::var_os(recovery::FILE) {
        recovery::recover(Path::new(&path));
        return ExitCode::SUCCESS;
    }
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let mut verdict = Verdict(true);
    throughput(&place, &mut verdict);
    recovery::measure(&place, &mut verdict);
    fs::remove_dir_all(&place).unwrap();
    if verdict.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether all bounds held.
struct Verdict(bool);

impl Verdict {
    fn at_least(&mut self, what: &str, measured: f64, bound: f64) {
        self.say(what, measured, "at least", bound, measured >= bound);
    }

    fn at_most(&mut self, what: &str, measured: f64, bound: f64) {
        self.say(what, measured, "at most", bound, measured <= bound);
    }

    fn say(&mut self, what: &str, measured: f64, relation: &str, bound: f64, holds: bool) {
        println!(
            "{what}: {measured:.2}, {relation} {bound}: {}",
            if holds { "holds" } else { "DOES NOT HOLD" }
        );
        self.0 &= holds;
    }
}

fn throughput(place: &Path, verdict: &mut Verdict) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let alone = bare::open(&place.join("alone.redb"));
    let batching = Batching::start(bare::open(&place.join("batching.redb")));
    let journal = Journal::open(place.join("jobs.journal")).unwrap();
    let jobs = journal.jobs::<&str>("bench");
    let mut file = fs::File::create(place.join("file")).unwrap();
    let mut number = 0_u64;
    let mut commit = || {
        number += 1;
        bare::write(&alone, &[number], number.checked_sub(1).as_slice());
    };
    let mut append = || {
        file.write_all(PAYLOAD.as_bytes()).unwrap();
        file.sync_data().unwrap();
    };
    let turns: Vec<_> = (0..TURNS)
        .map(|_| Turn {
            append: alone_for_a_moment(&mut append),
            batched_1: batched(&runtime, &batching, 1),
            commit: alone_for_a_moment(&mut commit),
            journal_1: journaled(&runtime, &jobs, 1),
            journal_64: journaled(&runtime, &jobs, 64),
            batched_64: batched(&runtime, &batching, 64),
        })
        .collect();
    let median = |of: fn(&Turn) -> f64| median(turns.iter().map(of).collect());
    println!("records/s, each begun durably and ended lazily (medians of {TURNS} turns of {MOMENT:?}):");
    println!("  a file, synced after each record        {:>9.0}", median(|turn| turn.append));
    println!("  redb, a durable commit for each record  {:>9.0}", median(|turn| turn.commit));
    let (one, many) = (median(|turn| turn.batched_1), median(|turn| turn.batched_64));
    println!("  redb behind a batching thread,  1 caller  {one:>7.0}   64 callers {many:>7.0}");
    let (one, many) = (median(|turn| turn.journal_1), median(|turn| turn.journal_64));
    println!("  the journal,                    1 caller  {one:>7.0}   64 callers {many:>7.0}");
    let alone = median(|turn| turn.commit / turn.journal_1);
    verdict.at_most("begin at one caller, in durable commits", alone, 1.3);
    let part = median(|turn| turn.journal_64 / turn.batched_64);
    verdict.at_least("64 callers, in bare batching writers", part, 0.8);
    let commits = median(|turn| turn.journal_64 / turn.commit);
    verdict.at_least("64 callers, in durable commits for each record", commits, 10.0);
    let syncs = median(|turn| turn.journal_64 / turn.append);
    println!("64 callers, in syncs of a file for each record: {syncs:.2}");
}

/// Records a second, one after another.
struct Turn {
    append: f64,
    batched_1: f64,
    commit: f64,
    journal_1: f64,
    journal_64: f64,
    batched_64: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Records a second, by one thread.
fn alone_for_a_moment(mut write: impl FnMut()) -> f64 {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < MOMENT {
        write();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn journaled(runtime: &Runtime, jobs: &DurableJobs<&'static str>, callers: usize) -> f64 {
    let jobs = jobs.clone();
    called(runtime, callers, move |number| {
        let jobs = jobs.clone();
        async move {
            let job = jobs.begin(format!("job-{number}"), PAYLOAD).await.unwrap();
            job.complete().unwrap();
        }
    })
}

fn batched(runtime: &Runtime, batching: &Batching, callers: usize) -> f64 {
    let batching = batching.clone();
    called(runtime, callers, move |number| {
        let batching = batching.clone();
        async move {
            batching.insert(number).await;
            batching.remove(number);
        }
    })
}

/// Calls a second, by so many tasks at once.
fn called<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    callers: usize,
    call: impl Fn(u64) -> F + Clone + Send + 'static,
) -> f64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (call, over, count) = (call.clone(), over.clone(), count.clone());
            runtime.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    call(NUMBERS.fetch_add(1, Ordering::Relaxed)).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    std::thread::sleep(MOMENT);
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}
