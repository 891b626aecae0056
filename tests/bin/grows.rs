//! A service that uses more and more memory, by what blocks its runtime: `grows ROOT PACE UP_TO CACHE`, in MiB.
//!
//! It waits for a line on stdin, so that it can be put under a limit before it does anything. With memory watched below
//! ROOT (`-`: not at all) and eight jobs begun it writes a file of CACHE, prints `cached`, and grows by PACE a second to
//! UP_TO. If it gets there it prints `grown`, waits for another line, and begins the shutdown itself. `took` is printed
//! for each job that is handed over, `finished` with the report.

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    fs::File,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use sundown::{HandOver, Jobs, Notifier, NotifyError, Report, Shutdown};
use sundown_memory::MemoryWatch;
use sundown_tests::fixture::say;
use sundown_tokio::Tokio;

const MIB: usize = 1 << 20;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [root, pace, up_to, cache] = &arguments[..] else { return Err("grows ROOT PACE UP_TO CACHE".into()) };
    wait_for_a_line()?;

    let jobs = Jobs::<u32>::new();
    let shutdown = Shutdown::process(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(Taker)
        .grace(Duration::from_secs(10))
        .start()?;
    let watch = match &**root {
        "-" => None,
        root => Some(MemoryWatch::at(root).start(&shutdown)?),
    };
    if let Some(watch) = &watch {
        say(&watch.status().to_string());
    }
    let _begun: Vec<_> = (1..=8).map(|n| jobs.begin(format!("job-{n}"), n)).collect::<Result<_, _>>()?;

    fill_the_cache(cache.parse()?)?;
    say("cached");
    let _used = grow(pace.parse()?, up_to.parse()?);
    say("grown");
    wait_for_a_line()?;
    shutdown.begin("it was not alarmed");
    shutdown.hurry();
    Ok(shutdown.finished().await.exit_code())
}

fn wait_for_a_line() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}

/// Writes a file that has no name, so that its pages are charged to this process.
fn fill_the_cache(mebibytes: usize) -> io::Result<()> {
    let path = env::temp_dir().join(format!("sundown-cache-{}", std::process::id()));
    let mut file = File::create(&path)?;
    std::fs::remove_file(path)?;
    for _ in 0..mebibytes {
        file.write_all(&[1; MIB])?;
    }
    file.sync_all()?;
    // Open to the end: a file that is gone has no pages.
    std::mem::forget(file);
    Ok(())
}

/// Touches so many mebibytes a second, whatever else goes on.
fn grow(pace: u32, up_to: u32) -> Vec<Vec<u8>> {
    let started = Instant::now();
    let mut used = Vec::new();
    for n in 0..up_to {
        used.push(vec![1; MIB]);
        let due = started + Duration::from_secs(u64::from(n)) / pace;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    used
}

/// Takes everything over.
struct Taker;

#[sundown::async_trait]
impl Notifier for Taker {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        for job in hand_over.jobs() {
            say(&format!("took {}", job.id()));
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let record = serde_json::to_string(report);
        say(&format!("finished {}", record.map_err(|error| NotifyError::new("no JSON").because(error))?));
        Ok(())
    }
}
