//! Two adapters in one process: its shutdown on tokio, and an embedded one on smol, which begins when the first does.
//!
//! Prints `refused` with what is said to a third, which wants the process, too; then `ready`; at the end `embedded` and
//! `finished` with the reports.

#![forbid(unsafe_code)]

use std::{process::ExitCode, sync::Arc, time::Duration};

use sundown::{Gate, HandOver, Jobs, Notifier, NotifyError, Report, Runtime, Shutdown};
use sundown_smol::Smol;
use sundown_tests::fixture::say;
use sundown_tokio::Tokio;

const GRACE: Duration = Duration::from_secs(4);

/// Takes every job over, after a while by its own runtime's time.
struct Taker(Arc<dyn Runtime>);

#[sundown::async_trait]
impl Notifier for Taker {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        self.0.sleep_until(self.0.now() + Duration::from_millis(20)).await;
        for job in hand_over.jobs() {
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("the system has resources");
    let tokio = Tokio::of(runtime.handle().clone());
    let (ours, theirs) = (Jobs::new(), Jobs::new());
    let _in_hand = [ours.begin("ours", ()), theirs.begin("theirs", ())];

    let process = Shutdown::process(tokio.clone()).grace(GRACE).component("jobs", ours);
    let process = process.hand_over_to(Taker(Arc::new(tokio))).start().expect("it is the first");
    let embedded = Shutdown::embedded(Smol::global()).grace(GRACE / 2).component("jobs", theirs);
    let embedded = embedded.hand_over_to(Taker(Arc::new(Smol::global()))).start().expect("it owns nothing");
    match Shutdown::process(Smol::global()).grace(GRACE).component("gate", Gate::new()).start() {
        Ok(_) => say("started"),
        Err(error) => say(&format!("refused {error}")),
    }

    say("ready");
    let watch = process.watch();
    runtime.block_on(async { drop(watch.draining().await) });
    embedded.begin("the process ends");
    tell("embedded", &smol::block_on(embedded.finished()));
    let report = runtime.block_on(process.finished());
    tell("finished", &report);
    report.exit_code()
}

fn tell(whose: &str, report: &Report) {
    say(&format!("{whose} {}", serde_json::to_string(report).expect("a report is JSON")));
}
