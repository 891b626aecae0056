//! What is left in the file when the process is gone.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use futures_util::FutureExt;
use serde::{Serialize, Serializer};
use serde_json::Value;
use sundown::{HandOver, Notifier, NotifyError, Report};
use sundown_notify::TerminationLog;

use crate::service::{go_down, go_down_telling, letters};

/// A file that the platform has made, gone with the test.
struct Log(PathBuf);

impl Log {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("sundown-termination-log-{}-{count}", process::id()));
        fs::write(&path, "").unwrap();
        Log(path)
    }

    fn notifier(&self) -> TerminationLog {
        TerminationLog::at(&self.0)
    }

    fn text(&self) -> String {
        let text = fs::read_to_string(&self.0).unwrap();
        assert!(text.len() <= 4096, "{} bytes", text.len());
        text
    }

    fn message(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn the_last_message_says_how_it_ended() {
    let log = Log::new();
    let report = go_down_telling(log.notifier(), letters(3)).await;
    assert!(report.is_clean(), "{report}");
    let message = log.message();
    assert_eq!(message["phase"], "finished");
    assert_eq!(message["shutdown"], report.shutdown.to_string());
    assert_eq!(message["reason"], "requested: a test");
    assert_eq!(message["clean"], true);
    assert_eq!(message["counts"]["handed_over"], 3);
    assert_eq!(message.get("jobs"), None);
}

#[tokio::test]
async fn jobs_that_nobody_took_over_are_told_with_their_payload_when_asked_for() {
    // It is told, and takes nothing over: even here, where it is asked to.
    let jobs = || [("a", "s3cr3t")];
    let log = Log::new();
    let report = go_down(log.notifier().with_payloads(), jobs()).await;
    assert_eq!(report.jobs.unacknowledged.len(), 1, "{report}");
    let message = log.message();
    assert_eq!(message["clean"], false);
    assert_eq!(message["jobs"][0]["job"], "a");
    assert_eq!(message["jobs"][0]["payload"], "s3cr3t");
    let log = Log::new();
    go_down(log.notifier(), jobs()).await;
    assert_eq!(log.message()["jobs"][0]["component"], "jobs");
    assert!(!log.text().contains("s3cr3t"), "{}", log.text());
}

#[tokio::test]
async fn who_is_killed_after_the_hand_over_has_said_what_was_incomplete() {
    /// Reads the file when something was written to it.
    struct Reads(TerminationLog, PathBuf, Sender<String>);

    #[sundown::async_trait]
    impl Notifier for Reads {
        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            self.0.incomplete(hand_over).await?;
            let _ = self.2.send(fs::read_to_string(&self.1).unwrap());
            Ok(())
        }
    }
    let log = Log::new();
    // What is longer is not left behind it.
    fs::write(&log.0, "x".repeat(6000)).unwrap();
    let (tell, told) = channel();
    let report = go_down_telling(Reads(log.notifier(), log.0.clone(), tell), letters(1)).await;
    assert!(report.is_clean(), "{report}");
    let message: Value = serde_json::from_str(&told.recv().unwrap()).unwrap();
    assert_eq!((&message["phase"], &message["jobs"][0]["job"]), (&"incomplete".into(), &"a".into()));
}

#[tokio::test]
async fn a_job_that_came_to_be_in_doubt_is_told_so_however_little_room_there_is() {
    /// Leaves the first of its jobs in doubt.
    struct Doubts(TerminationLog);

    #[sundown::async_trait]
    impl Notifier for Doubts {
        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            self.0.incomplete(hand_over).await?;
            hand_over.doubt(hand_over.jobs()[0].key());
            Ok(())
        }

        async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
            self.0.finished(report).await
        }
    }
    for (most, has_details) in [(4096, true), (512, false)] {
        for asked_for in [true, false] {
            let log = Log::new();
            let notifier = log.notifier().at_most(most);
            let notifier = if asked_for { notifier.with_payloads() } else { notifier };
            let report = go_down(Doubts(notifier), [("a", ()), ("b", ())]).await;
            let message = log.message();
            let told =
                |at: usize| (message["jobs"][at]["job"].clone(), message["jobs"][at]["in_doubt"].clone());
            let sure = if has_details { Value::Bool(false) } else { Value::Null };
            assert_eq!(told(0), ("b".into(), sure), "{report}");
            assert_eq!(told(1), ("a".into(), true.into()), "{report}");
        }
    }
}

#[tokio::test]
async fn a_hand_over_that_is_told_after_the_end_does_not_take_its_place() {
    /// Says that it is being serialised, and is when it is let.
    struct Slow(Sender<()>, Mutex<Receiver<()>>);

    impl Serialize for Slow {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let _ = self.0.send(());
            let _ = self.1.lock().unwrap().recv();
            serializer.serialize_unit()
        }
    }

    /// Tells the hand-over on a thread of its own, which it leaves here.
    struct Beside(Arc<TerminationLog>, Mutex<Receiver<()>>, Arc<Mutex<Option<JoinHandle<()>>>>);

    #[sundown::async_trait]
    impl Notifier for Beside {
        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            let (log, offer) = (self.0.clone(), hand_over.rest(Instant::now()));
            let tells = move || log.incomplete(&offer).now_or_never().unwrap().unwrap();
            *self.2.lock().unwrap() = Some(thread::spawn(tells));
            self.1.lock().unwrap().recv().unwrap();
            hand_over.acknowledge(hand_over.jobs()[0].key());
            Ok(())
        }

        async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
            self.0.finished(report).await
        }
    }
    let log = Log::new();
    let ((begins, has_begun), (let_go, may_go)) = (channel(), channel());
    let thread = Arc::default();
    let beside = Beside(Arc::new(log.notifier().with_payloads()), Mutex::new(has_begun), Arc::clone(&thread));
    let report = go_down(beside, [("a", Slow(begins, Mutex::new(may_go)))]).await;
    drop(let_go);
    thread.lock().unwrap().take().unwrap().join().unwrap();
    assert_eq!(log.message()["phase"], "finished", "{report}");
    assert_eq!(log.message()["counts"]["handed_over"], 1);
}

#[tokio::test]
async fn thousands_of_jobs_fit() {
    let log = Log::new();
    let ids: Vec<_> = (0..5000).map(|n| format!("a job with a long name, number {n}")).collect();
    let jobs = ids.iter().map(|id| (id.as_str(), "x".repeat(100)));
    let report = go_down(log.notifier().with_payloads().at_most(1024), jobs).await;
    assert!(log.text().len() <= 1024);
    let message = log.message();
    let told = message["jobs"].as_array().unwrap().len();
    assert_eq!(message["more"], 5000 - told);
    assert_eq!(message["counts"]["unacknowledged"], 5000, "{report}");
}

#[tokio::test]
async fn where_there_is_no_such_file_none_is_made() {
    let log = Log::new();
    fs::remove_file(&log.0).unwrap();
    let error = log.notifier().prepare().await.unwrap_err();
    assert_eq!(error.to_string(), format!("termination log {} cannot be opened", log.0.display()));
    assert!(!log.0.exists());
    if !fs::exists("/dev/termination-log").unwrap() {
        let report = go_down_telling(TerminationLog::new(), letters(1)).await;
        assert!(report.is_clean(), "{report}");
        assert!(!fs::exists("/dev/termination-log").unwrap());
    }
}
