//! What a log gets to hold.

use serde_json::{Value, json};
use sundown::Outcome;
use sundown_notify::LogLine;

use crate::{
    paper::{Full, Paper},
    service::{go_down_telling, letters},
};

/// The lines about jobs, and all others.
fn jobs_and_news(paper: &Paper) -> (Vec<Value>, Vec<Value>) {
    assert!(paper.text().lines().all(|line| line.len() < 8 * 1024), "a line is too long");
    paper.lines().into_iter().partition(|line| line["type"] == "dev.sundown.job.incomplete.v1")
}

#[tokio::test]
async fn every_event_is_a_line() {
    let paper = Paper::default();
    let report = go_down_telling(LogLine::to(paper.clone()), letters(3)).await;
    assert!(report.is_clean(), "{report}");
    let (jobs, news) = jobs_and_news(&paper);
    let messages: Vec<_> = jobs.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["a", "b", "c"].map(|id| format!("job {id} of jobs is incomplete")));
    for line in &jobs {
        assert_eq!(line["level"], "warn");
        assert_eq!(line["data"]["shutdown"], report.shutdown.to_string());
        assert_eq!(line["source"], format!("urn:uuid:{}", report.shutdown));
    }
    let shown: Vec<_> = news.iter().map(|line| (&line["level"], &line["message"])).collect();
    let expected = [json!("draining: requested: a test"), json!("the shutdown is finished")];
    assert_eq!(shown, [(&json!("info"), &expected[0]), (&json!("info"), &expected[1])]);
}

#[tokio::test]
async fn a_payload_is_written_only_when_asked_for() {
    let secret = || [("a", "s3cr3t")];
    let paper = Paper::default();
    go_down_telling(LogLine::to(paper.clone()), secret()).await;
    assert_eq!(jobs_and_news(&paper).0.len(), 1);
    assert!(!paper.text().contains("s3cr3t"), "{}", paper.text());
    let paper = Paper::default();
    go_down_telling(LogLine::to(paper.clone()).with_payloads(), secret()).await;
    assert_eq!(jobs_and_news(&paper).0[0]["data"]["payload"], "s3cr3t");
}

#[tokio::test]
async fn a_line_that_would_be_too_long_loses_the_payload() {
    let paper = Paper::default();
    let jobs = [("a", "x".repeat(7 * 1024)), ("b", "x".repeat(8 * 1024))];
    let report = go_down_telling(LogLine::to(paper.clone()).with_payloads(), jobs).await;
    let (jobs, _) = jobs_and_news(&paper);
    assert_eq!(jobs[0]["data"]["payload"].as_str().unwrap().len(), 7 * 1024);
    assert_eq!(jobs[1]["data"].get("payload"), None);
    assert_eq!(jobs[1]["data"]["component"], "jobs");
    assert!(matches!(report.notifiers[1].incomplete, Outcome::Done(_)), "{report}");
}

#[tokio::test]
async fn a_report_that_would_be_too_long_is_told_in_numbers() {
    let paper = Paper::default();
    let ids: Vec<_> = (0..200).map(|n| format!("job-{n}")).collect();
    go_down_telling(LogLine::to(paper.clone()), ids.iter().map(|id| (id.as_str(), ()))).await;
    let (jobs, news) = jobs_and_news(&paper);
    assert_eq!(jobs.len(), 200);
    let finished = news.iter().find(|line| line["type"] == "dev.sundown.shutdown.finished.v1").unwrap();
    assert_eq!(finished["data"]["counts"]["handed_over"], 200);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_in_the_report_and_breaks_nothing() {
    let report = go_down_telling(LogLine::to(Full), letters(2)).await;
    assert_eq!(report.jobs.handed_over.len(), 2, "{report}");
    let Outcome::Failed(why) = &report.notifiers[1].incomplete else { panic!("{report}") };
    assert_eq!(why, "log line: a line was not written: no storage space");
}
