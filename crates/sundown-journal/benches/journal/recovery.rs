//! How long it takes to find what a process has left, and how much memory.

use std::{env, fs, path::Path, process::Command, time::Instant};

use sundown_journal::Journal;

use crate::{PAYLOAD, Verdict};

/// Where the process that recovers finds the journal.
pub(crate) const FILE: &str = "SUNDOWN_BENCH_RECOVER";

const JOBS: usize = 100_000;

/// Leaves jobs as a killed process would, and has them found by another, a few times.
pub(crate) fn measure(place: &Path, verdict: &mut Verdict) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let path = place.join("left.journal");
    let journal = Journal::open(&path).unwrap();
    let jobs = journal.jobs::<&str>("bench");
    let begun: Vec<_> = runtime.block_on(async {
        let begins = (0..JOBS).map(|number| {
            let jobs = jobs.clone();
            tokio::spawn(async move { jobs.begin(format!("job-{number}"), PAYLOAD).await.unwrap() })
        });
        let mut begun = Vec::new();
        for begin in begins.collect::<Vec<_>>() {
            begun.push(begin.await.unwrap());
        }
        begun
    });
    let mut figures = Vec::new();
    for turn in 0..5 {
        // While it is open: as it would be found after a kill.
        let copy = place.join(format!("killed-{turn}.journal"));
        fs::copy(&path, &copy).unwrap();
        let output = Command::new(env::current_exe().unwrap()).env(FILE, &copy).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let numbers = said.split_whitespace().map(|number| number.parse::<f64>().unwrap());
        figures.push(<[f64; 3]>::try_from(numbers.collect::<Vec<_>>()).unwrap());
    }
    let length = fs::metadata(&path).unwrap().len() >> 20;
    drop((begun, jobs, journal));
    // The best turn: in the others somebody else had the processor.
    let [seconds, of_processor, mebibytes] =
        [0, 1, 2].map(|at| figures.iter().map(|figures| figures[at]).min_by(f64::total_cmp).unwrap());
    println!("{JOBS} incomplete jobs in a file of {length} MiB, recovered by a new process:");
    verdict.at_most("seconds", seconds, 0.2);
    println!("seconds of a processor: {of_processor:.2}");
    verdict.at_most("MiB at the peak, of the whole process", mebibytes, 100.0);
}

/// Opens the journal, looks at every job, and prints how long it took in seconds, how long it had a processor, and the
/// most memory in MiB.
pub(crate) fn recover(path: &Path) {
    let start = Instant::now();
    let journal = Journal::open(path).unwrap();
    let left = journal.left_over();
    assert_eq!(left.iter().filter(|job| job.attempts() == 1).count(), JOBS);
    let took = start.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let schedule = fs::read_to_string("/proc/self/schedstat").unwrap();
    let on_processor = schedule.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
    println!(
        "{} {on_processor} {}",
        took.as_secs_f64(),
        peak.unwrap().trim().parse::<f64>().unwrap() / 1024.0
    );
}
