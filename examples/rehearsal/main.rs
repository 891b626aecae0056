//! A rehearsal of the whole shutdown, with real processes: the first thing to run.
//!
//! ```text
//! cargo run --example rehearsal [-- --grace 5 --seed 1 --json --verbose --runtime tokio --threads 2]
//! ```
//!
//! It starts the example service and a monitoring service, lets a crowd of clients at them, sends a SIGTERM
//! in the middle, and tells what everyone got. Then it checks the promises from the outside, with nothing but
//! what clients, monitor, job log and exit status show, and exits with 1 if one of them does not hold.
//!
//! In reading order: [`options`], [`grace`] and [`clock`]. The players: [`process`], [`service`] and
//! [`monitor`]. The public: [`head`] and [`wire`] under a [`client`], each with a part of the [`cast`] on a
//! [`stage`], doing its [`acts`] in the [`crowd`]. What was seen is the [`ledger`], judged by [`promises`],
//! condensed by [`timeline`], [`notes`] and [`summary`], and printed by [`story`]. Nothing here uses the
//! toolkit itself: a witness must not share the defects of the accused.

#![forbid(unsafe_code)]
// A program has no outside: `pub` here means what it means inside of it, the face of a module.
#![allow(unreachable_pub)]

/// Prints a line. Who has stopped reading (`| head`) is no reason to stop.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod clock;
mod grace;
mod options;

mod monitor;
mod process;
mod service;

mod acts;
mod cast;
mod client;
mod crowd;
mod head;
mod stage;
mod wire;

mod ledger;
mod promises;

mod notes;
mod story;
mod summary;
mod timeline;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use clock::Stamp;
use crowd::Crowd;
use ledger::Evidence;
use monitor::Monitor;
use options::Options;
use process::Departure;
use service::Service;
use stage::Stage;
use story::Ticker;
use summary::Summary;

/// What happens before the signal: long enough for everybody to be in the middle of something.
const LEAD: Duration = Duration::from_secs(1);

/// How often the stage manager looks up while the play is on; bounds the error of the time of leaving.
const LOOK: Duration = Duration::from_millis(2);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(monitor::ROLE) {
        return monitor::run();
    }
    match Options::from_args().and_then(|options| rehearse(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rehearsal: {error}");
            ExitCode::from(2)
        }
    }
}

/// The order of the evening; true if every promise held.
fn rehearse(options: &Options) -> Result<bool> {
    let binary = service::find(&options.runtime)?;
    let folder = work_folder(options.seed)?;
    let held = play(options, &binary, &folder).map(|summary| {
        story::tell(&summary, options, &folder);
        summary.held
    });
    if !matches!(held, Ok(false)) {
        // Best effort: a temp folder that stays behind is no reason to fail.
        let _ = fs::remove_dir_all(&folder);
    }
    held
}

fn play(options: &Options, binary: &Path, folder: &Path) -> Result<Summary> {
    story::open(options);
    let monitor = Monitor::start()?;
    let log = folder.join("jobs.log");
    let mut service = Service::start(binary, options, &monitor, &log)?;

    let signal_at = Instant::now() + LEAD;
    let stage = Stage::new(service.address(), signal_at, options.grace);
    let crowd = Crowd::gather(&stage, options.seed)?;
    let (signal, departure) = conduct(&mut service, signal_at, options)?;
    stage.lower_curtain();

    let visits = crowd.disperse();
    let report = service.report();
    fs::write(folder.join("report.txt"), &report)?;
    let evidence = Evidence {
        grace: options.grace,
        signal,
        departure,
        visits,
        notices: monitor.finish()?,
        entries: ledger::read_log(&log)?,
        report,
    };
    Ok(Summary::of(&evidence, options))
}

/// Sends the signal at its moment, then waits until the process has left; what the platform would kill, it
/// kills.
fn conduct(service: &mut Service, signal_at: Instant, options: &Options) -> Result<(Stamp, Departure)> {
    let mut ticker = Ticker::new(options, signal_at);
    while Instant::now() < signal_at {
        if let Some(gone) = service.departed()? {
            let last = service.last_words();
            return Err(format!("the service left before any signal, {gone}; it said: {last}").into());
        }
        ticker.tick();
        thread::sleep(LOOK.min(signal_at.saturating_duration_since(Instant::now())));
    }
    let signal = service.terminate()?;
    let kill_at = Instant::now() + options.grace;
    let departure = loop {
        if let Some(departure) = service.departed()? {
            break departure;
        }
        if Instant::now() >= kill_at {
            break service.kill()?;
        }
        ticker.tick();
        thread::sleep(LOOK);
    };
    ticker.clear();
    Ok((signal, departure))
}

/// A fresh folder for job log and report.
fn work_folder(seed: u64) -> Result<PathBuf> {
    let folder = env::temp_dir().join(format!("rehearsal-{}-{seed}", std::process::id()));
    fs::create_dir(&folder).map_err(|e| format!("cannot make the work folder {}: {e}", folder.display()))?;
    Ok(folder)
}
