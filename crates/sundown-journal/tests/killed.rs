//! A process under load that is killed at random moments, again and again: every job that it had begun is accounted for.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

mod place;

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use sundown_journal::{DurableJob, DurableJobs, Journal};

use crate::place::Place;

const JOURNAL: &str = "SUNDOWN_TEST_KILLED_JOURNAL";
const NO_MORE: &str = "SUNDOWN_TEST_NO_MORE_JOBS";

/// So many callers at once.
const CALLERS: usize = 32;

/// What the child says: about to begin, begun (or resumed), about to end.
fn say(what: char, id: &str) {
    // One write, which a pipe takes whole or not at all; past the test harness, which captures what is printed.
    std::io::stdout().write_all(format!("{what}{id}\n").as_bytes()).unwrap();
}

/// Not a test of its own: the process that is killed.
#[test]
fn a_service_under_load() {
    let Some(path) = env::var_os(JOURNAL) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(Path::new(&path)));
}

async fn serve(path: &Path) {
    let journal = Journal::open(path).unwrap();
    let jobs = journal.jobs::<String>("service");
    let left: Vec<_> =
        journal.left_over().into_iter().map(|job| tokio::spawn(resume(jobs.clone(), job))).collect();
    if env::var_os(NO_MORE).is_none() {
        let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(call(jobs.clone(), caller))).collect();
        for caller in callers {
            caller.await.unwrap();
        }
    }
    for resumed in left {
        resumed.await.unwrap();
    }
    journal.close().unwrap();
}

async fn resume(jobs: DurableJobs<String>, left: sundown_journal::Recovered) {
    let job = jobs.resume(&left).await.unwrap();
    say('+', job.id().as_str());
    work(job).await;
}

/// Begins and ends jobs for ever.
async fn call(jobs: DurableJobs<String>, caller: usize) {
    for number in 0.. {
        let id = format!("{}-{caller}-{number}", process::id());
        say('?', &id);
        let job = jobs.begin(id.clone(), format!("the payload of {id}")).await.unwrap();
        say('+', &id);
        work(job).await;
    }
}

/// Some work, of any length, that ends in any way.
async fn work(job: DurableJob<String>) {
    assert_eq!(*job.payload(), format!("the payload of {}", job.id()));
    let (id, dice) = (job.id().to_string(), fastrand::u8(..));
    if dice & 1 == 0 {
        job.checkpoint(&id).unwrap();
    }
    if dice & 6 == 0 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..30))).await;
    }
    say('-', &id);
    if dice & 8 == 0 {
        job.complete().unwrap();
    } else {
        let commit = job.commit().unwrap();
        tokio::task::yield_now().await;
        commit.done();
    }
}

/// Runs the service, kills it after so long, and returns what it said.
fn run(journal: &Path, kill_after: Option<Duration>) -> Vec<String> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "a_service_under_load", "--nocapture"]).env(JOURNAL, journal);
    if kill_after.is_none() {
        command.env(NO_MORE, "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || said.lines().map(Result::unwrap).collect());
    if let Some(after) = kill_after {
        // Any moment is good: what is waited for is that it is one among all.
        thread::sleep(after);
        // SIGKILL.
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert_eq!(status.success(), kill_after.is_none(), "{status}");
    reader.join().unwrap()
}

#[test]
fn killed_at_random_moments_it_leaves_no_job_unaccounted_for() {
    let kills = if env::var_os("SUNDOWN_FULL").is_some() { 1_000 } else { 30 };
    let seed =
        env::var("SUNDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SUNDOWN_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    // Begun and not ended, for all that was said.
    let mut open = BTreeSet::new();
    let (mut begun, mut found_in_all) = (0, 0);
    for kill in 0..kills {
        let mut maybe = BTreeSet::new();
        for line in run(&place.journal(), Some(Duration::from_micros(dice.u64(2_000..120_000)))) {
            let Some((what, id)) = line.split_at_checked(1) else { continue };
            match what {
                "?" => drop(maybe.insert(id.to_owned())),
                "+" => {
                    begun += 1;
                    maybe.remove(id);
                    open.insert(id.to_owned());
                }
                "-" => {
                    assert!(open.remove(id), "{id} ends and was not begun");
                    maybe.insert(id.to_owned());
                }
                _ => (), // the harness
            }
        }
        let journal = Journal::open(place.journal()).unwrap();
        let left = journal.left_over();
        let found: BTreeSet<_> = left.iter().map(|job| job.id().to_string()).collect();
        assert_eq!(found.len(), left.len(), "kill {kill}: each is there once");
        for job in &left {
            assert_eq!(job.payload::<String>().unwrap(), format!("the payload of {}", job.id()));
        }
        let lost: Vec<_> = open.difference(&found).collect();
        assert!(lost.is_empty(), "kill {kill}: begun, not ended, and not there: {lost:?}");
        let unknown: Vec<_> = found.iter().filter(|id| !open.contains(*id) && !maybe.contains(*id)).collect();
        assert!(unknown.is_empty(), "kill {kill}: there, though never begun, or ended long ago: {unknown:?}");
        found_in_all += found.len();
        open = found;
    }
    println!("{kills} kills, {begun} begins, {found_in_all} jobs found incomplete");
    assert!(begun > kills && found_in_all > kills, "it was killed at work");
    run(&place.journal(), None);
    assert!(Journal::open(place.journal()).unwrap().left_over().is_empty(), "in the end everything is done");
}
