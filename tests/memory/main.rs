//! A memory limit, seen from outside: what grows towards it hands its jobs over before the kill, and page cache is no
//! alarm.
//!
//! The limit is a real one where the system lets us make a control group of our own, and in any case one that a thread of
//! ours plays: it keeps the files of a made-up group true from what the process really uses, and kills it at the limit.

#![forbid(unsafe_code)]

mod played;
mod real;

use std::time::Duration;

use rustix::process::Pid;
use sundown_tests::{Child, Ending, side_by_side};

use self::{played::Played, real::Real};

const MIB: u64 = 1 << 20;
const PROGRAM: &str = env!("CARGO_BIN_EXE_grows");
const JOBS: [&str; 8] = ["job-1", "job-2", "job-3", "job-4", "job-5", "job-6", "job-7", "job-8"];

/// Growth that never ends.
const FOR_EVER: u64 = 100_000;

/// A limit for one process, which ends with this.
trait Limit {
    /// Where the process finds its files.
    fn root(&self) -> String;

    /// Puts a process under it.
    fn adopt(&mut self, pid: Pid);

    /// The process has so many bytes of page cache now.
    fn cached(&self, bytes: u64);

    /// What the process uses, less what can be taken back, in bytes.
    fn working_set(&self) -> u64;
}

/// Makes a limit of so many bytes; `None` where that is not allowed.
type Make = fn(u64) -> Option<Box<dyn Limit>>;

const LIMITS: [(&str, Make); 2] = [
    ("played", |bytes| Some(Box::new(Played::new(bytes)))),
    ("real", |bytes| Some(Box::new(Real::new(bytes)?))),
];

/// A process under a limit, before it has done anything.
fn spawn(limit: &mut dyn Limit, watched: bool, pace: u64, up_to: u64, cache: u64) -> Child {
    let root = if watched { limit.root() } else { "-".to_owned() };
    let mut child = Child::spawn(PROGRAM, &format!("{root} {pace} {up_to} {cache}"), &[]);
    limit.adopt(child.pid());
    child.tell("go");
    child
}

fn taken(ending: &Ending) -> Vec<&str> {
    let mut taken: Vec<_> = ending.lines.iter().filter_map(|line| line.text.strip_prefix("took ")).collect();
    taken.sort_unstable();
    taken
}

/// Whether the kernel, or whoever plays it, ended it.
fn was_killed(ending: &Ending) -> bool {
    ending.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

#[test]
fn what_grows_hands_every_job_over_before_it_dies() {
    // A pace and a limit, which is reached after some seconds.
    let growths = [(20, 128 * MIB), (100, 256 * MIB)];
    let cases = LIMITS.into_iter().flat_map(|limit| growths.map(|growth| (limit, growth)));
    side_by_side(&cases.collect::<Vec<_>>(), |((kind, make), (pace, bytes))| {
        let Some(mut limit) = make(*bytes) else { return };
        let mut child = spawn(&mut *limit, true, *pace, FOR_EVER, 0);
        let began = child.wait_for("took job-1").at;
        let first = limit.working_set();
        child.wait_for("took job-8");
        let left = bytes.saturating_sub(limit.working_set());
        let ending = child.end();

        assert_eq!(taken(&ending), JOBS, "{}", ending.text());
        let killed = was_killed(&ending);
        println!(
            "{kind} limit, {pace} MiB/s: handed over from {} % of the limit on, {} ms before it, {}",
            first * 100 / bytes,
            left * 1000 / (pace * MIB),
            if killed {
                format!("killed {} ms later", ending.after(began).as_millis())
            } else {
                "left".into()
            },
        );
        assert!(killed || ending.status.code() == Some(0), "{}: {}", ending.status, ending.text());
        if !killed {
            assert_eq!(ending.report().reason(), "the memory limit was near");
        }
    });
}

#[test]
fn what_is_not_watched_dies_with_its_jobs() {
    side_by_side(&LIMITS, |(_, make)| {
        let Some(mut limit) = make(64 * MIB) else { return };
        let ending = spawn(&mut *limit, false, 100, FOR_EVER, 0).end();
        assert!(was_killed(&ending), "{}: {}", ending.status, ending.text());
        assert_eq!(taken(&ending), [""; 0]);
    });
}

#[test]
fn page_cache_is_no_alarm() {
    // Together more than the limit: the kernel takes back what it can.
    const LIMIT: u64 = 256 * MIB;
    const CACHE: u64 = 150;
    side_by_side(&LIMITS, |(kind, make)| {
        let Some(mut limit) = make(LIMIT) else { return };
        let mut child = spawn(&mut *limit, true, 50, 130, CACHE);
        child.wait_for("cached");
        limit.cached(CACHE * MIB);
        child.wait_for("grown");
        println!("{kind} limit: a working set of {} MiB", limit.working_set() / MIB);
        assert!(child.stays_for(Duration::from_secs(1)), "it ended by itself");
        child.tell("end");
        let ending = child.end();
        assert_eq!(ending.report().reason(), "requested: it was not alarmed");
        ending.assert_code(0);
    });
}
