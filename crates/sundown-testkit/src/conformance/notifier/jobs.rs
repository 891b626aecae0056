//! Jobs of every kind and number.

use std::collections::BTreeMap;

use serde::Serialize;
use sundown::{JobId, Outcome, Report};

use super::{
    Notifying, Outside,
    accepting::{as_taken, only_taken},
    notifying::Fresh,
    stage::{SLICE, acknowledged, jobs},
};
use crate::conformance::trial::{Checked, Trial, require};

pub(super) fn odd_ids_arrive(trial: &Trial<Fresh>) -> Checked {
    let longest = "x".repeat(JobId::MAX);
    let ids = [
        "a",
        " ",
        "null",
        "ü",
        "仕事-17",
        "🦀",
        "e\u{301}",
        "\u{202e}backwards",
        "\"quoted\" \\ and 'single'",
        "<tag>&amp;%00{}[]",
        "../../etc/passwd",
        &longest,
    ];
    let notifying = trial.fresh(Outside::Accepts)?;
    let jobs: Vec<_> = ids.iter().map(|id| ((*id).to_owned(), ())).collect();
    let report = trial.go_down(&notifying, SLICE, jobs)?;
    all_arrive(&notifying, &report)
}

/// The payloads of all sorts of services.
#[derive(Serialize)]
#[serde(untagged)]
enum Payload {
    Nothing,
    Number(f64),
    Text(String),
    Bytes(Vec<u8>),
    Nested(BTreeMap<String, Vec<Option<BTreeMap<String, i64>>>>),
    Variant(Variant),
}

#[derive(Serialize)]
enum Variant {
    Resize { width: u32, comment: Option<char> },
}

pub(super) fn odd_payloads_arrive(trial: &Trial<Fresh>) -> Checked {
    let nested = BTreeMap::from([
        (String::new(), Vec::new()),
        ("\"key\"".into(), vec![None, Some(BTreeMap::from([("least".into(), i64::MIN)]))]),
    ]);
    let payloads = [
        Payload::Nothing,
        Payload::Number(1e300),
        Payload::Text("\0 \n \" \\ \u{2028} ü 🦀".into()),
        Payload::Text("long ".repeat(40_000)),
        Payload::Bytes((0..=255).collect()),
        Payload::Nested(nested),
        Payload::Variant(Variant::Resize { width: u32::MAX, comment: Some('\u{7f}') }),
    ];
    let notifying = trial.fresh(Outside::Accepts)?;
    let jobs = payloads.into_iter().enumerate().map(|(n, payload)| (format!("job-{n}"), payload)).collect();
    let report = trial.go_down(&notifying, SLICE, jobs)?;
    all_arrive(&notifying, &report)
}

fn all_arrive(notifying: &Notifying, report: &Report) -> Checked {
    as_taken(notifying, report)?;
    let lost = report.jobs.unacknowledged.iter().chain(&report.jobs.in_doubt);
    let lost: Vec<_> = lost.map(|line| line.id.to_string()).collect();
    require(lost.is_empty(), || {
        let outcome = &report.notifiers[0].incomplete;
        format!("expected every job to be taken over, these were not: {lost:?}; `incomplete` {outcome}")
    })
}

pub(super) fn thousands_of_jobs_are_acknowledged_to_the_job(trial: &Trial<Fresh>) -> Checked {
    let notifying = trial.fresh(Outside::Accepts)?;
    let report = trial.go_down(&notifying, SLICE, jobs(5000))?;
    // On a slow machine not all may get their turn; then the call says so.
    match &report.notifiers[0].incomplete {
        Outcome::Done(_) => all_arrive(&notifying, &report),
        _ => only_taken(&notifying, &report),
    }?;
    require(!acknowledged(&report).is_empty(), || {
        format!(
            "expected some of 5000 jobs to be acknowledged; `incomplete` {}",
            report.notifiers[0].incomplete
        )
    })
}
